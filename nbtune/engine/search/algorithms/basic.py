"""Random and grid search, both by Ray Tune's generator of variants."""

from __future__ import annotations

from typing import Any, ClassVar

from nbtune.engine.search.algorithms.base import Algorithm, Request
from nbtune.engine.search.grids import without_grids
from nbtune.engine.search.to_ray import to_ray
from nbtune.engine.search.tokens import Tokens
from nbtune.errors import option_ref
from nbtune.spec.space.domain import MAX_VALUES, Domain, alternatives, depends_on
from nbtune.spec.space.space import Parameter, nested

__all__ = ["Grid", "Random"]


class Random(Algorithm):
    """Random search, also with `grid_search` parameters."""

    name = "random"
    summary = "draws each trial's parameters independently, and crosses the grid_search parameters"
    classes: ClassVar[tuple[str, ...]] = ("BasicVariantGenerator",)
    needs_metric = False
    objectives = float("inf")

    def problem(self, parameter: Parameter) -> str | None:
        return None

    def make(self, request: Request) -> Any:
        from ray.tune.search.basic_variant import BasicVariantGenerator

        points = [nested(point) for point in request.points]
        if request.grid is not None:
            # Tune's generator evaluates each as a given point, and samples the parameters that the point does not set.
            points += [nested(point) for _ in range(request.spec.samples) for point in request.grid]
        return BasicVariantGenerator(points_to_evaluate=points or None, random_state=request.spec.seed)

    def param_space(self, request: Request) -> dict[str, Any]:
        if request.grid is None:
            return to_ray(request.tokens.space)
        return to_ray(Tokens(without_grids(request.space)).space)


class Grid(Random):
    """Grid search."""

    name = "grid"
    summary = "tries every combination of the choice, grid_search and integer parameters"
    classes: ClassVar[tuple[str, ...]] = ()

    def problem(self, parameter: Parameter) -> str | None:
        parts = [part for part in alternatives(parameter.domain) if isinstance(part, Domain)]
        if any("int" in part.kind and part.values is None and not depends_on(part) for part in parts):
            return f"a grid lists at most {MAX_VALUES:,} integers; use a step, or {option_ref('search', 'random')}"
        if all(
            part.values is not None or part.kind in {"sample_from", "custom"} or _is_finite_if_resolved(part)
            for part in parts
        ):
            return None
        return "a grid needs a finite number of values; use grid_search([...])"


def _is_finite_if_resolved(domain: Domain) -> bool:
    """Return whether a domain that depends on other parameters has a finite number of values once they are known."""
    return domain.kind in {"choice", "grid_search"} or "int" in domain.kind
