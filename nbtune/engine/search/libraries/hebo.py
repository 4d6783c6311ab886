"""Ray Tune's searcher for HEBO."""

from __future__ import annotations

from typing import Any

import numpy as np
from hebo.acq_optimizers import evolution_optimizer
from ray.tune.search.hebo import HEBOSearch

__all__ = ["Hebo"]

_minimize = evolution_optimizer.minimize


def _seeded(*arguments: Any, **named: Any) -> Any:
    return _minimize(*arguments, **{"seed": int(np.random.randint(2**31 - 1)), **named})


# The evolution strategies of pymoo, which maximise the acquisition function, draw from a generator of their own since
# version 0.6.1. So HEBO's seed, which is that of NumPy's and PyTorch's global generators, is without effect on them.
evolution_optimizer.minimize = _seeded


class Hebo(HEBOSearch):
    """HEBOSearch that makes each proposal from all results that there are.

    Ray Tune's makes eight at once and waits until all of their trials are over, also while CPUs are idle.
    """

    _opt: Any

    def suggest(self, trial_id: str) -> Any:
        """Return the next configuration.

        Args:
            trial_id: Tune's id.
        """
        import pandas as pd

        if self._initial_points:
            parameters = self._initial_points.pop(0)
        else:
            parameters = self._opt.suggest(n_suggestions=1).to_dict("records")[0]
        self._live_trial_mapping[trial_id] = pd.DataFrame([parameters], index=[0])
        return dict(parameters)
