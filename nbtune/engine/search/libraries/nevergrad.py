"""Ray Tune's searcher for Nevergrad."""

from __future__ import annotations

from typing import Any

import nevergrad
import numpy as np
from nevergrad.optimization import metamodel
from ray.tune.search.nevergrad import NevergradSearch

from nbtune.engine.search.libraries.learner import Learner

__all__ = ["Nevergrad"]

# NGOpt, the default, fits models for many budgets, and calls `float` with a prediction, an array of one number.
# NumPy 2.4 refuses that, which would end the experiment. Nevergrad 1.0.12 is the newest version.
vars(metamodel)["float"] = lambda value: float(np.asarray(value).item())


class Nevergrad(Learner, NevergradSearch):
    """NevergradSearch that takes the optimizer by its name and a seed, and learns from points that it has not proposed.

    Args:
        optimizer: the name of one of `nevergrad.optimizers`, a class, or a configured optimizer.
        random_state_seed: the seed, or None.
        more: as for `NevergradSearch`.
    """

    _nevergrad_opt: Any
    _space: Any

    def __init__(self, optimizer: Any = "NGOpt", random_state_seed: int | None = None, **more: Any) -> None:
        if isinstance(optimizer, str):
            if optimizer not in nevergrad.optimizers.registry:
                from nbtune.errors import did_you_mean

                hint = did_you_mean(optimizer, nevergrad.optimizers.registry)
                raise ValueError(f"Nevergrad has no optimizer {optimizer!r}{hint}")
            optimizer = nevergrad.optimizers.registry[optimizer]
        self._seed = random_state_seed
        super().__init__(optimizer=optimizer, **more)

    def _setup_nevergrad(self) -> None:
        if (seed := getattr(self, "_seed", None)) is not None and self._space is not None:
            self._space.random_state.seed(seed)
        super()._setup_nevergrad()
        if self._space is not None:
            self._nevergrad_opt.enable_pickling()  # else some optimizers cannot be saved with the experiment

    @staticmethod
    def convert_search_space(spec: dict[str, Any]) -> Any:
        """Convert a space to Nevergrad's.

        On a logarithmic scale, Ray Tune's takes steps by a factor of e, however wide the scale is. Nevergrad's own are
        a sixth of the scale, as those of other numbers.

        Args:
            spec: the space, with domains of Ray Tune.
        """
        space: Any = NevergradSearch.convert_search_space(spec)
        return nevergrad.p.Dict(**{name: _with_own_steps(space[name]) for name in space})

    def learn(self, point: dict[str, Any], value: float) -> None:
        # Some optimizers cannot use it.
        candidate = self._nevergrad_opt.parametrization.spawn_child(new_value=point)
        self._nevergrad_opt.tell(candidate, self._metric_op * value)


def _with_own_steps(parameter: Any) -> Any:
    if not isinstance(parameter, nevergrad.p.Log):
        return parameter
    lower, upper = (float(bound[0]) for bound in parameter.bounds)
    own = nevergrad.p.Log(lower=lower, upper=upper)
    return own.set_integer_casting() if parameter.integer else own
