"""Converts a search space to Ray Tune's objects."""

from __future__ import annotations

from typing import Any

from nbtune.engine.search.sampling import ray_domain
from nbtune.spec.space.domain import Domain
from nbtune.spec.space.space import Parameter, Space, nested, top_level

__all__ = ["to_ray"]


def to_ray(space: Space) -> dict[str, Any]:
    """Convert a space to the dictionary for ``Tuner(param_space=...)``, without defaults and constraints.

    Args:
        space: the search space.
    """
    referenced = space.referenced
    return nested({parameter.name: _ray_parameter(parameter, referenced) for parameter in space.ordered})


def _ray_parameter(parameter: Parameter, referenced: frozenset[str]) -> Any:
    domain = parameter.domain
    # Tune replaces objects in a choice, and functions, by placeholders. Conditions need the objects themselves.
    is_referenced = top_level(parameter.name) in referenced and isinstance(domain, Domain)
    if parameter.depends or (is_referenced and domain.kind in {"choice", "sample_from"}):
        from nbtune.engine.search.derived import Derived

        return Derived(domain)
    return ray_domain(domain)
