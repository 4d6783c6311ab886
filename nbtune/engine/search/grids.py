"""Grids: which parameters are crossed, and the points of a grid that Ray Tune cannot generate by itself."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from nbtune.engine.search.sampling import grid_points
from nbtune.errors import Problem, SpecError, option_ref
from nbtune.spec.options.named import is_named
from nbtune.spec.options.options import Spec
from nbtune.spec.space.domain import Domain, alternatives
from nbtune.spec.space.space import Parameter, Space

__all__ = ["MAX_GRID_POINTS", "grid", "trial_count", "with_grids", "without_grids"]

MAX_GRID_POINTS = 100_000
"""The maximum number of points of a grid with conditions or constraints, which has to be enumerated."""


def trial_count(spec: Spec, space: Space) -> int:
    """Return the number of trials of an experiment, the repeats of its configurations included.

    Args:
        spec: the options.
        space: the search space.

    Raises:
        SpecError: a grid has too many points.
        ValueError: a domain or constraint cannot be evaluated.
    """
    if (points := grid(spec, space)) is not None:
        return (len(spec.points) + spec.samples * len(points)) * spec.repeat
    return spec.samples * with_grids(spec, space).grid_size * spec.repeat


def grid(spec: Spec, space: Space) -> list[dict[str, Any]] | None:
    """Return the points of one pass over a grid that Tune cannot generate by itself, else None.

    Tune generates plain products only: neither parameters with a condition, nor grids with constraints.

    Args:
        spec: the options.
        space: the search space.

    Raises:
        SpecError: the grid has too many points.
        ValueError: a domain or constraint cannot be evaluated.
    """
    all_finite = is_named(spec.search, "grid")
    parts = {p.name: [part for part in alternatives(p.domain) if isinstance(part, Domain)] for p in space.parameters}
    if not (all_finite or (is_named(spec.search, "random") and any(_has_grid(domains) for domains in parts.values()))):
        return None
    if not space.constraints and not space.dependent:
        return None
    points = list(itertools.islice(grid_points(space, all_finite=all_finite), MAX_GRID_POINTS + 1))
    if len(points) > MAX_GRID_POINTS:
        text = (
            f"expected a grid of at most {MAX_GRID_POINTS:,} points, since a grid with conditions or constraints is"
            f" enumerated before anything starts. Use fewer values, or {option_ref('search', 'random')}"
        )
        raise SpecError([Problem(text, code="unsupported")])
    return points


def with_grids(spec: Spec, space: Space) -> Space:
    """Return the space with its finite domains as grids if the search is "grid", else the space.

    Args:
        spec: the options.
        space: the search space.
    """
    if not is_named(spec.search, "grid"):
        return space
    return Space(tuple(map(_as_grid, space.parameters)), space.constraints)


def without_grids(space: Space) -> Space:
    """Return the space with choices in place of grids: Tune must not multiply the enumerated points by them.

    Args:
        space: the search space.
    """
    return Space(tuple(map(_as_choice, space.parameters)), space.constraints)


def _has_grid(domains: list[Domain]) -> bool:
    return any(domain.kind == "grid_search" for domain in domains)


def _as_grid(parameter: Parameter) -> Parameter:
    values = parameter.domain.values if isinstance(parameter.domain, Domain) else None
    if values is None or parameter.domain.kind == "grid_search":
        return parameter
    return replace(parameter, domain=Domain("grid_search", {"values": values}))


def _as_choice(parameter: Parameter) -> Parameter:
    if not isinstance(parameter.domain, Domain) or parameter.domain.kind != "grid_search":
        return parameter
    return replace(parameter, domain=Domain("choice", {"categories": parameter.domain.arguments["values"]}))
