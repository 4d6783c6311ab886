"""Search algorithms and schedulers by name, as Ray Tune's own objects."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import getitem
from typing import Any

from nbtune.engine.protocol.registry import put_live
from nbtune.engine.protocol.result import tune_name
from nbtune.engine.search.optuna_space import DefineByRun, optuna_problem
from nbtune.engine.search.sampling import Sampler, combinations
from nbtune.engine.search.to_ray import to_ray
from nbtune.errors import Problem
from nbtune.spec.options.options import Spec
from nbtune.spec.space.domain import Domain, alternatives
from nbtune.spec.space.space import Parameter, Space, nested

__all__ = ["Search", "make_scheduler", "make_search", "search_problems", "trial_count"]

MOST_POINTS = 100_000
"""Points of a grid with conditions or constraints, at most: they are counted one by one."""


@dataclass(frozen=True)
class Search:
    """How an experiment is searched.

    Attributes:
        algorithm: for ``TuneConfig(search_alg=...)``.
        param_space: for ``Tuner(param_space=...)``.
        samples: for ``TuneConfig(num_samples=...)``.
        grid: the points of one pass over the grid, where they are given one by one, else None.
        accepts: whether a configuration may be tried.
        refills: whether a configuration that may not is replaced by another.
        seed: makes the same replacements come again, or None.
    """

    algorithm: Any
    param_space: dict[str, Any]
    samples: int
    grid: tuple[dict[str, Any], ...] | None
    accepts: Callable[[dict[str, Any]], bool]
    refills: bool
    seed: int | None


def make_search(spec: Spec, space: Space) -> Search:
    """Return how an experiment is searched."""
    grid = _grid(spec, space)
    spec = replace(spec, points=tuple(_whole(space, spec.points, spec.seed)))
    points = [nested(point) for point in spec.points]
    samples, param_space = spec.samples, None
    if grid is not None:
        # Tune's own generator takes each as a point to try, and samples what they leave open.
        points = [*points, *(nested(point) for _ in range(spec.samples) for point in grid)]
        samples = len(points)
        param_space = to_ray(Space(tuple(map(_as_choice, space.parameters)), space.constraints))
    if spec.search in ("random", "grid"):
        from ray.tune.search.basic_variant import BasicVariantGenerator

        algorithm: Any = BasicVariantGenerator(points_to_evaluate=points or None, random_state=spec.seed)
    elif spec.search == "optuna":
        algorithm = _optuna(spec, space)
        param_space = {} if _by_run(space) else None
    else:
        algorithm = spec.search
    crossed = _crossed(spec, space)
    return Search(
        algorithm,
        to_ray(crossed) if param_space is None else param_space,
        samples,
        None if grid is None else tuple(map(nested, grid)),
        lambda config: _fulfils(space, config),
        refills=grid is None and crossed.grid_size == 1,
        seed=spec.seed,
    )


def search_problems(spec: Spec, space: Space) -> list[Problem]:
    """Return what the search algorithm cannot do with the space, by line."""
    problems = []
    for parameter in space.parameters:
        text = _problem(spec, parameter)
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
    """Return how many trials the experiment will have.

    Raises:
        ValueError: they cannot be counted, for what `_grid` says.
    """
    if (grid := _grid(spec, space)) is not None:
        return len(spec.points) + spec.samples * len(grid)
    return spec.samples * _crossed(spec, space).grid_size


def make_scheduler(spec: Spec) -> Any:
    """Return the scheduler for ``TuneConfig(scheduler=...)``."""
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

    return (
        {"fifo": FIFOScheduler, "asha": ASHAScheduler}[spec.scheduler]()
        if isinstance(spec.scheduler, str)
        else spec.scheduler
    )


def _whole(space: Space, points: Sequence[Mapping[str, Any]], seed: int | None) -> Iterator[Mapping[str, Any]]:
    """Yield the user's own points so that they may be tried: where constraints say what the rest of them can be.

    An algorithm would sample the rest regardless of them, and the whole point would be thrown away.
    """
    if not space.constraints:
        yield from points
        return
    sampler = Sampler(space, seed)
    decided = {parameter.name for parameter in space.parameters if isinstance(parameter.domain, Domain)}
    decided |= {parameter.name for parameter in space.dependent}
    for point in points:
        config = sampler.accepted(point)[0]
        whole = {name: reduce(getitem, name.split("/"), config) for name in space.names}
        yield {name: value for name, value in whole.items() if name in point or (name in decided and value is not None)}


# -- grids ----------------------------------------------------------------------------------------


def _grid(spec: Spec, space: Space) -> list[dict[str, Any]] | None:
    """Return the points of one pass over a grid that Tune cannot cross by itself, else None.

    It cannot where values are there on a condition only, or where constraints leave out some of the points.

    Raises:
        ValueError: there are too many, or a domain or constraint cannot be evaluated.
    """
    everything = spec.search == "grid"
    parts = {p.name: [part for part in alternatives(p.domain) if isinstance(part, Domain)] for p in space.parameters}
    if not (everything or (spec.search == "random" and any(_grids(found) for found in parts.values()))):
        return None
    if not space.constraints and not space.dependent:
        return None
    points = list(itertools.islice(combinations(space, all_finite=everything), MOST_POINTS + 1))
    if len(points) > MOST_POINTS:
        raise ValueError(
            f"this grid has more than {MOST_POINTS:,} points, and with conditions or constraints each is looked at"
            " before anything starts; give it fewer values, or use --search random"
        )
    return points


def _grids(parts: list[Domain]) -> bool:
    return any(part.kind == "grid_search" for part in parts)


def _crossed(spec: Spec, space: Space) -> Space:
    """Return the space as Tune is to cross it: for "grid", finite domains become grids."""
    if spec.search != "grid":
        return space
    return Space(tuple(map(_as_grid, space.parameters)), space.constraints)


def _as_grid(parameter: Parameter) -> Parameter:
    values = parameter.domain.values if isinstance(parameter.domain, Domain) else None
    if values is None or parameter.domain.kind == "grid_search":
        return parameter
    return replace(parameter, domain=Domain("grid_search", {"values": values}))


def _as_choice(parameter: Parameter) -> Parameter:
    """Return a parameter of a grid whose points are given one by one: as a grid it would be crossed again."""
    if not isinstance(parameter.domain, Domain) or parameter.domain.kind != "grid_search":
        return parameter
    return replace(parameter, domain=Domain("choice", {"categories": parameter.domain.arguments["values"]}))


# -- what an algorithm can do -----------------------------------------------------------------------


def _problem(spec: Spec, parameter: Parameter) -> str | None:
    domain = parameter.domain
    parts = [part for part in alternatives(domain) if isinstance(part, Domain)]
    if spec.search == "grid":
        fits = all(part.values is not None or part.kind in {"sample_from", "custom"} or _counts(part) for part in parts)
        return (
            None
            if fits
            else "a grid needs finitely many values; write grid_search([...]), or use --search random or optuna"
        )
    if spec.search == "optuna":
        return optuna_problem(domain)
    if spec.search != "random" and not _is_basic(spec.search) and parameter.depends:
        return (
            f"{type(spec.search).__name__} cannot search a parameter that depends on others; --search random, grid and"
            " optuna can"
        )
    return None


def _counts(domain: Domain) -> bool:
    """Tell whether a domain whose values depend on other parameters has finitely many of them."""
    return domain.kind in {"choice", "grid_search"} or "int" in domain.kind


def _is_basic(search: Any) -> bool:
    return type(search).__name__ == "BasicVariantGenerator"


def _fulfils(space: Space, config: dict[str, Any]) -> bool:
    try:
        return space.violated(config) is None
    except ValueError:  # it cannot be told, so it may not be tried
        return False


def _by_run(space: Space) -> bool:
    """Tell whether Optuna has to be asked for one parameter after the other, so that conditions see their values."""
    return bool(space.dependent or space.constraints)


def _optuna(spec: Spec, space: Space) -> Any:
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    class Search(OptunaSearch):
        """OptunaSearch that bears a report without the metric, which would end the whole experiment."""

        def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
            if self.metric in result:
                super().on_trial_result(trial_id, result)

    points = [dict(point) for point in spec.points] or None
    if _by_run(space):
        put_live(by_run := DefineByRun(space))
        metric = None if spec.metric is None else tune_name(spec.metric)
        return Search(by_run, metric=metric, mode=spec.mode, points_to_evaluate=points, seed=spec.seed)
    return Search(points_to_evaluate=points, seed=spec.seed)
