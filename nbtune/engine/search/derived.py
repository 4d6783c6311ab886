"""A parameter that depends on others, as a domain of Ray Tune's own kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ray.tune.search.sample import Domain as RayDomain
from ray.tune.search.variant_generator import RecursiveDependencyError

from nbtune.engine.search.sampling import Rejected, sample_domain
from nbtune.spec.space.domain import depends_on, resolve

__all__ = ["Derived"]


class Derived(RayDomain):
    """Samples a domain once the parameters that it depends on are sampled.

    A ``sample_from`` would be sampled only after the trial is made, from a random state of its own, and what it depends
    on would be placeholders where the values are objects (ray.tune.impl.placeholder). Tune leaves a domain that it
    does not know to its own `sample`.

    Args:
        derived: the domain, as `nbtune.spec` has it.
    """

    def __init__(self, derived: Any) -> None:
        self.derived = derived

    def sample(self, config: Any = None, size: int = 1, random_state: Any = None) -> Any:
        """Return a sample, or `Rejected` where there can be none.

        Args:
            config: what Tune has sampled so far: the trial's specification, its parameters under "config".
            size: 1.
            random_state: the experiment's.

        Raises:
            RecursiveDependencyError: what it depends on is not sampled yet; Tune comes back.
        """
        sampled = dict(dict.get(config, "config", {}))
        for name in depends_on(self.derived):
            if any(isinstance(value, RayDomain) for value in _leaves(sampled.get(name))):
                raise RecursiveDependencyError(f"{name} is not sampled yet")
        try:
            return sample_domain(resolve(self.derived, sampled), sampled, random_state)
        except ValueError as error:
            return Rejected(str(error))

    def is_valid(self, value: Any) -> bool:
        """Take any value that a point to try gives: whether it fits is checked before."""
        return True

    @property
    def domain_str(self) -> str:
        """The domain as text."""
        return repr(self.derived)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    else:
        yield value
