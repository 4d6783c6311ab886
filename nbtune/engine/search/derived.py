"""`Derived`: a parameter that depends on others, as a domain of Ray Tune."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ray.tune.search.sample import Domain as RayDomain
from ray.tune.search.variant_generator import RecursiveDependencyError

from nbtune.engine.search.sampling import Rejected, sample_domain
from nbtune.engine.search.tokens import with_values
from nbtune.spec.space.domain import depends_on, resolve

__all__ = ["Derived"]


class Derived(RayDomain):
    """Samples a domain after the parameters that it depends on.

    Ray's ``sample_from`` does not work for this: it is sampled after the trial is created, with another random state,
    and objects among the values that it depends on are replaced by placeholders (`ray.tune.impl.placeholder`).
    Tune calls the `sample` method of a domain of a type that it does not know.

    Args:
        domain: a `nbtune.spec.space.domain.Domain` or an expression.
    """

    def __init__(self, domain: Any) -> None:
        self.domain = domain

    def sample(self, config: Any = None, size: int = 1, random_state: Any = None) -> Any:
        """Return a sample, or `Rejected` if the domain cannot be evaluated.

        Args:
            config: the trial's specification as far as Tune has sampled it, with the parameters under "config".
            size: ignored; Tune passes 1.
            random_state: the random state of the experiment.

        Raises:
            RecursiveDependencyError: a parameter that it depends on is not sampled yet. Tune tries again later.
        """
        sampled = with_values(dict.get(config, "config", {}))
        for name in depends_on(self.domain):
            if any(isinstance(value, RayDomain) for value in _leaves(sampled.get(name))):
                raise RecursiveDependencyError(f"{name} is not sampled yet")
        try:
            return sample_domain(resolve(self.domain, sampled), sampled, random_state)
        except ValueError as error:
            return Rejected(str(error))

    def is_valid(self, value: Any) -> bool:
        """Accept any value of `points_to_evaluate`: nbtune has validated them before.

        Args:
            value: the value of a point.
        """
        return True

    @property
    def domain_str(self) -> str:
        """The domain as text."""
        return repr(self.domain)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    else:
        yield value
