"""Search algorithms and schedulers by name, as Ray Tune's own objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbtune.errors import Problem
from nbtune.spec.options import Spec
from nbtune.spec.space import Domain, Parameter, Space

__all__ = ["make_scheduler", "make_search", "search_problems", "searched_space", "trial_count"]


def _as_grid(parameter: Parameter) -> Parameter:
    values = parameter.domain.values if isinstance(parameter.domain, Domain) else None
    if values is None or parameter.domain.kind == "grid_search":
        return parameter
    return Parameter(parameter.name, Domain("grid_search", {"values": values}), parameter.default, parameter.line)


def searched_space(spec: Spec, space: Space) -> Space:
    """Return the space as the search algorithm is to see it: for "grid", finite domains become grids."""
    return Space(tuple(map(_as_grid, space.parameters))) if spec.search == "grid" else space


def search_problems(spec: Spec, space: Space) -> list[Problem]:
    """Return what the search algorithm cannot do with the space, by line."""
    refused: dict[str, Callable[[Domain], str | None]] = {
        "grid": lambda domain: (
            None
            if domain.values is not None or domain.kind in {"sample_from", "custom"}
            else "a grid needs finitely many values; write grid_search([...]), or use --search random or optuna"
        ),
        "optuna": lambda domain: (
            f"--search optuna cannot use {domain.kind}; write choice([...]), or use --search random"
            if domain.kind in {"grid_search", "sample_from", "randn", "qrandn", "custom"}
            else None
        ),
    }
    rule = refused.get(spec.search) if isinstance(spec.search, str) else None
    problems = []
    for parameter in space.parameters:
        text = rule(parameter.domain) if rule and isinstance(parameter.domain, Domain) else None
        if text:
            problems.append(Problem(f"{parameter.name}: {parameter.domain!r}: {text}", parameter.line))
    for point in spec.points:
        problems += [
            Problem(f"--points: {name!r} is no parameter; there are {', '.join(space.names)}")
            for name in point
            if name not in space.names
        ]
    return problems


def trial_count(spec: Spec, space: Space) -> int:
    """Return how many trials the experiment will have."""
    return spec.samples * searched_space(spec, space).grid_size


def make_search(spec: Spec) -> Any:
    """Return the search algorithm for ``TuneConfig(search_alg=...)``."""
    points = [dict(point) for point in spec.points] or None
    if spec.search in ("random", "grid"):
        from ray.tune.search.basic_variant import BasicVariantGenerator

        return BasicVariantGenerator(points_to_evaluate=points, random_state=spec.seed)
    if spec.search == "optuna":
        return _optuna(spec, points)
    return spec.search


def _optuna(spec: Spec, points: list[dict[str, Any]] | None) -> Any:
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    class Search(OptunaSearch):
        """OptunaSearch that bears a report without the metric, which would end the whole experiment."""

        def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
            if self.metric in result:
                super().on_trial_result(trial_id, result)

    return Search(points_to_evaluate=points, seed=spec.seed)


def make_scheduler(spec: Spec) -> Any:
    """Return the scheduler for ``TuneConfig(scheduler=...)``."""
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

    return (
        {"fifo": FIFOScheduler, "asha": ASHAScheduler}[spec.scheduler]()
        if isinstance(spec.scheduler, str)
        else spec.scheduler
    )
