"""A space as Ray Tune's own objects."""

from __future__ import annotations

from typing import Any

from nbtune.engine.search.sampling import ray_domain
from nbtune.spec.space.domain import Domain
from nbtune.spec.space.space import Parameter, Space, nested, top_level

__all__ = ["to_ray"]


def to_ray(space: Space) -> dict[str, Any]:
    """Return the dictionary that ``Tuner(param_space=...)`` takes. Defaults and constraints have no place in it."""
    seen = frozenset().union(
        *(parameter.depends for parameter in space.parameters),
        *(constraint.test.depends for constraint in space.constraints),
    )
    return nested({parameter.name: _for_ray(parameter, seen) for parameter in space.ordered})


def _for_ray(parameter: Parameter, seen: frozenset[str]) -> Any:
    domain = parameter.domain
    # Tune puts placeholders in place of a choice's objects, and of functions. Conditions are to see the objects.
    is_seen = top_level(parameter.name) in seen and isinstance(domain, Domain)
    if parameter.depends or (is_seen and domain.kind in {"choice", "sample_from"}):
        from nbtune.engine.search.derived import Derived

        return Derived(domain)
    return ray_domain(domain)
