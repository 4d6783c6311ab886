"""Search algorithms and schedulers by name: creates Ray Tune's objects from the options and the space."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import getitem
from typing import Any

from nbtune.engine.protocol.registry import register_live
from nbtune.engine.protocol.result import tune_name
from nbtune.engine.search.optuna_space import DefineByRun, distribution, inner_problem, on_grid, optuna_problem
from nbtune.engine.search.sampling import Sampler, grid_points
from nbtune.engine.search.to_ray import to_ray
from nbtune.engine.search.tokens import Tokens
from nbtune.errors import Problem, SpecError, option_ref
from nbtune.spec.options.options import Spec
from nbtune.spec.space.domain import MAX_VALUES, Domain, alternatives, depends_on, inner_domains
from nbtune.spec.space.space import Parameter, Space, nested

__all__ = ["Search", "make_scheduler", "make_search", "search_problems", "trial_count"]

MAX_GRID_POINTS = 100_000
"""The maximum number of points of a grid with conditions or constraints, which has to be enumerated."""


@dataclass(frozen=True)
class Search:
    """How the space of an experiment is searched.

    Attributes:
        algorithm: for ``TuneConfig(search_alg=...)``.
        param_space: for ``Tuner(param_space=...)``, with tokens.
        tokens: from values to tokens.
        samples: for ``TuneConfig(num_samples=...)``.
        grid: the points of one pass over the grid, with tokens, if they are enumerated, else None.
        accepts: returns whether a configuration satisfies all constraints.
        replaces_rejected: whether a configuration that is not accepted is replaced by another sample.
        seed: the seed of the replacements, or None.
    """

    algorithm: Any
    param_space: dict[str, Any]
    tokens: Tokens
    samples: int
    grid: tuple[dict[str, Any], ...] | None
    accepts: Callable[[dict[str, Any]], bool]
    replaces_rejected: bool
    seed: int | None


def make_search(spec: Spec, space: Space) -> Search:
    """Create the search algorithm of an experiment, with the space as it takes it.

    Args:
        spec: the options.
        space: the search space.

    Raises:
        ValueError: a grid has too many points, or a domain or constraint cannot be evaluated.
    """
    gridded = _with_grids(spec, space)
    tokens = Tokens(gridded)
    grid = None if (points := _grid(spec, space)) is None else [tokens.encode(point) for point in points]
    given = [tokens.encode(point) for point in _completed_points(space, spec.points, spec.seed)]
    points_to_evaluate = [nested(point) for point in given]
    samples, param_space = spec.samples, to_ray(tokens.space)
    if grid is not None:
        # Tune's generator evaluates each as a given point, and samples the parameters that the point does not set.
        points_to_evaluate = [*points_to_evaluate, *(nested(point) for _ in range(spec.samples) for point in grid)]
        samples = len(points_to_evaluate)
        param_space = to_ray(Tokens(Space(tuple(map(_as_choice, space.parameters)), space.constraints)).space)
    if spec.search in ("random", "grid"):
        from ray.tune.search.basic_variant import BasicVariantGenerator

        algorithm: Any = BasicVariantGenerator(points_to_evaluate=points_to_evaluate or None, random_state=spec.seed)
    elif spec.search == "optuna":
        algorithm = _optuna(spec, space, given)
        # The search has the space; Tune has what does not vary.
        constants = () if _needs_define_by_run(space) else tokens.space.parameters
        param_space = to_ray(Space(tuple(p for p in constants if not isinstance(p.domain, Domain)), ()))
    else:
        algorithm = spec.search
    return Search(
        algorithm,
        param_space,
        tokens,
        samples,
        None if grid is None else tuple(map(nested, grid)),
        lambda config: _satisfies(space, config),
        replaces_rejected=grid is None and gridded.grid_size == 1,
        seed=spec.seed,
    )


def search_problems(spec: Spec, space: Space) -> list[Problem]:
    """Return what the search algorithm does not support in the space, a problem for each parameter or point.

    Args:
        spec: the options.
        space: the search space.
    """
    problems = []
    for parameter in space.parameters:
        text = _problem(spec, parameter)
        if text:
            message = f"{parameter.domain!r}: {text}"
            problems.append(Problem(message, parameter.line, "unsupported", parameter=parameter.name))
    for point in spec.points:
        problems += [
            Problem(
                f"unknown parameter {name!r}; the parameters are {', '.join(space.names)}",
                code="unknown",
                option="points",
            )
            for name in point
            if name not in space.names
        ]
    return problems


def trial_count(spec: Spec, space: Space) -> int:
    """Return the number of trials of an experiment.

    Args:
        spec: the options.
        space: the search space.

    Raises:
        SpecError: a grid has too many points.
        ValueError: a domain or constraint cannot be evaluated.
    """
    if (grid := _grid(spec, space)) is not None:
        return len(spec.points) + spec.samples * len(grid)
    return spec.samples * _with_grids(spec, space).grid_size


def make_scheduler(spec: Spec) -> Any:
    """Create the scheduler for ``TuneConfig(scheduler=...)``.

    Args:
        spec: the options. A scheduler object is returned as it is.
    """
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

    return (
        {"fifo": FIFOScheduler, "asha": ASHAScheduler}[spec.scheduler]()
        if isinstance(spec.scheduler, str)
        else spec.scheduler
    )


def _completed_points(
    space: Space, points: Sequence[Mapping[str, Any]], seed: int | None
) -> Iterator[Mapping[str, Any]]:
    """Yield the points to evaluate; if the space has constraints, with values for the parameters that they leave open.

    The search algorithm would sample those parameters without regard to the constraints, and the point would be
    rejected as a whole.
    """
    if not space.constraints:
        yield from points
        return
    sampler = Sampler(space, seed)
    decided = {parameter.name for parameter in space.parameters if isinstance(parameter.domain, Domain)}
    decided |= {parameter.name for parameter in space.dependent}
    for point in points:
        config = sampler.draw_valid(point)[0]
        completed = {name: reduce(getitem, name.split("/"), config) for name in space.names}
        yield {
            name: value for name, value in completed.items() if name in point or (name in decided and value is not None)
        }


# -- grids ----------------------------------------------------------------------------------------


def _grid(spec: Spec, space: Space) -> list[dict[str, Any]] | None:
    """Return the points of one pass over a grid that Tune cannot generate by itself, else None.

    Tune generates plain products only: neither parameters with a condition, nor grids with constraints.

    Raises:
        SpecError: the grid has too many points.
        ValueError: a domain or constraint cannot be evaluated.
    """
    all_finite = spec.search == "grid"
    parts = {p.name: [part for part in alternatives(p.domain) if isinstance(part, Domain)] for p in space.parameters}
    if not (all_finite or (spec.search == "random" and any(_has_grid(domains) for domains in parts.values()))):
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


def _has_grid(domains: list[Domain]) -> bool:
    return any(domain.kind == "grid_search" for domain in domains)


def _with_grids(spec: Spec, space: Space) -> Space:
    """Return the space with its finite domains as grids if the search is "grid", else the space."""
    if spec.search != "grid":
        return space
    return Space(tuple(map(_as_grid, space.parameters)), space.constraints)


def _as_grid(parameter: Parameter) -> Parameter:
    values = parameter.domain.values if isinstance(parameter.domain, Domain) else None
    if values is None or parameter.domain.kind == "grid_search":
        return parameter
    return replace(parameter, domain=Domain("grid_search", {"values": values}))


def _as_choice(parameter: Parameter) -> Parameter:
    """Return a parameter with a choice in place of a grid: Tune must not multiply the enumerated points by it."""
    if not isinstance(parameter.domain, Domain) or parameter.domain.kind != "grid_search":
        return parameter
    return replace(parameter, domain=Domain("choice", {"categories": parameter.domain.arguments["values"]}))


# -- what an algorithm supports --------------------------------------------------------------------


def _problem(spec: Spec, parameter: Parameter) -> str | None:
    domain = parameter.domain
    parts = [part for part in alternatives(domain) if isinstance(part, Domain)]
    if spec.search == "grid":
        is_finite = all(
            part.values is not None or part.kind in {"sample_from", "custom"} or _is_finite_if_resolved(part)
            for part in parts
        )
        if any("int" in part.kind and part.values is None and not depends_on(part) for part in parts):
            return f"a grid lists at most {MAX_VALUES:,} integers; use a step, or {option_ref('search', 'random')}"
        return (
            None
            if is_finite
            else "a grid needs a finite number of values; use grid_search([...]), or"
            f" {option_ref('search', 'random')} or {option_ref('search', 'optuna')}"
        )
    if spec.search == "optuna":
        return optuna_problem(domain)
    if spec.search != "random" and not _is_basic(spec.search) and any(len(list(inner_domains(p))) > 1 for p in parts):
        return inner_problem(type(spec.search).__name__)
    if spec.search != "random" and not _is_basic(spec.search) and parameter.depends:
        return (
            f"{type(spec.search).__name__} does not support a parameter that depends on others; use"
            f" {' or '.join(option_ref('search', name) for name in ('random', 'grid', 'optuna'))}"
        )
    return None


def _is_finite_if_resolved(domain: Domain) -> bool:
    """Return whether a domain that depends on other parameters has a finite number of values once they are known."""
    return domain.kind in {"choice", "grid_search"} or "int" in domain.kind


def _is_basic(search: Any) -> bool:
    return type(search).__name__ == "BasicVariantGenerator"


def _satisfies(space: Space, config: dict[str, Any]) -> bool:
    try:
        return space.violated(config) is None
    except ValueError:  # a constraint cannot be evaluated
        return False


def _needs_define_by_run(space: Space) -> bool:
    """Return whether Optuna has to suggest the parameters one by one, since conditions or constraints need them."""
    return bool(space.dependent or space.constraints)


def _optuna(spec: Spec, space: Space, points: list[dict[str, Any]]) -> Any:
    import optuna
    from ray.tune.search.optuna import OptunaSearch
    from ray.tune.utils.util import flatten_dict, unflatten_dict

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    domains = {p.name: p.domain for p in space.parameters if isinstance(p.domain, Domain)}

    class GridOptunaSearch(OptunaSearch):
        """OptunaSearch whose values are those of the domains."""

        def suggest(self, trial_id: str) -> Any:
            config = super().suggest(trial_id)
            if not isinstance(config, dict) or _needs_define_by_run(space):
                return config
            return unflatten_dict({name: on_grid(domains[name], value) for name, value in flatten_dict(config).items()})

    searched: Any
    if _needs_define_by_run(space):
        register_live(searched := DefineByRun(space))
    else:
        searched = {name: distribution(domain) for name, domain in domains.items()}
    metric = None if spec.metric is None else tune_name(spec.metric)
    return GridOptunaSearch(searched, metric=metric, mode=spec.mode, points_to_evaluate=points or None, seed=spec.seed)
