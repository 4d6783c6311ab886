"""Creates Ray Tune's search algorithm and scheduler from the options and the space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any

from nbtune.engine.search.algorithms.base import Request
from nbtune.engine.search.algorithms.library import Library
from nbtune.engine.search.grids import grid, with_grids
from nbtune.engine.search.own_settings import has_own_space
from nbtune.engine.search.registry import algorithm_of, scheduler_of
from nbtune.engine.search.sampling import Sampler
from nbtune.engine.search.schedulers.base import ScheduleRequest
from nbtune.engine.search.to_ray import to_ray
from nbtune.engine.search.tokens import Tokens
from nbtune.spec.options.named import Named
from nbtune.spec.options.options import Spec
from nbtune.spec.space.domain import Domain
from nbtune.spec.space.space import Space, nested

__all__ = ["Search", "make_scheduler", "make_search"]


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
        repeat: how often each configuration is trained.
        is_slow: whether the algorithm needs so long for a proposal that Tune's loop must not wait for it.
    """

    algorithm: Any
    param_space: dict[str, Any]
    tokens: Tokens
    samples: int
    grid: tuple[dict[str, Any], ...] | None
    accepts: Callable[[dict[str, Any]], bool]
    replaces_rejected: bool
    seed: int | None
    repeat: int = 1
    is_slow: bool = False


def make_search(spec: Spec, space: Space) -> Search:
    """Create the search algorithm of an experiment, with the space as it takes it.

    Args:
        spec: the options.
        space: the search space.

    Raises:
        ValueError: a grid has too many points, or a domain or constraint cannot be evaluated.
    """
    gridded = with_grids(spec, space)
    tokens = Tokens(gridded)
    enumerated = grid(spec, space)
    points = None if enumerated is None else [tokens.encode(point) for point in enumerated]
    entry = algorithm_of(spec.search)
    is_whole = bool(space.constraints) or isinstance(entry, Library)
    completed = _completed_points(space, spec.points, spec.seed) if is_whole else spec.points
    given = [tokens.encode(point) for point in completed]
    request = Request(spec, space, tokens, given, points)
    if isinstance(spec.search, Named) and entry is not None:
        algorithm, param_space = entry.make(request), entry.param_space(request)
    elif isinstance(entry, Library) and not has_own_space(spec.search):
        algorithm, param_space = entry.wrap(spec.search, request), entry.param_space(request)
    else:
        algorithm, param_space = spec.search, to_ray(tokens.space)
    if spec.warm_start is not None and entry is not None and entry.learns:
        for trial in spec.warm_start.trials:
            value = trial.values if spec.several else trial.values[0]
            algorithm.add_evaluated_point(tokens.encode(trial.point), value)
    return Search(
        algorithm,
        param_space,
        tokens,
        spec.samples if points is None else len(given) + spec.samples * len(points),
        None if points is None else tuple(map(nested, points)),
        lambda config: _satisfies(space, config),
        replaces_rejected=points is None and gridded.grid_size == 1,
        seed=spec.seed,
        repeat=spec.repeat,
        is_slow=entry is not None and entry.is_slow(spec.search),
    )


def make_scheduler(spec: Spec, space: Space) -> Any:
    """Create the scheduler for ``TuneConfig(scheduler=...)``.

    Args:
        spec: the options. A scheduler object is returned as it is.
        space: the search space.
    """
    entry = scheduler_of(spec.scheduler)
    if not isinstance(spec.scheduler, Named) or entry is None:
        return spec.scheduler
    scheduler = entry.make(ScheduleRequest(spec, space))
    if spec.several and entry.needs_metric:
        from nbtune.engine.protocol.result import tune_name

        arguments = spec.scheduler.arguments
        scheduler.set_search_properties(tune_name(arguments["metric"]), arguments["mode"])
    return scheduler


def _completed_points(
    space: Space, points: Sequence[Mapping[str, Any]], seed: int | None
) -> Iterator[Mapping[str, Any]]:
    """Yield the points to evaluate, with values for the parameters that they leave open.

    Most libraries take whole points only. Others would sample those parameters without regard to the constraints, and
    the point would be rejected.
    """
    sampler = Sampler(space, seed)
    decided = {parameter.name for parameter in space.parameters if isinstance(parameter.domain, Domain)}
    decided |= {parameter.name for parameter in space.dependent}
    for point in points:
        config = sampler.draw_valid(point)[0]
        completed = {name: reduce(getitem, name.split("/"), config) for name in space.names}
        yield {
            name: value for name, value in completed.items() if name in point or (name in decided and value is not None)
        }


def _satisfies(space: Space, config: dict[str, Any]) -> bool:
    try:
        return space.violated(config) is None
    except ValueError:  # a constraint cannot be evaluated
        return False
