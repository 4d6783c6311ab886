"""Checks of several objectives before the start: who optimises them all, and by which one a scheduler compares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nbtune.engine.search.algorithms.base import Algorithm
from nbtune.engine.search.own_settings import compares_trials, own_metric, own_mode
from nbtune.engine.search.registry import ALGORITHMS
from nbtune.engine.search.schedulers.base import Scheduler
from nbtune.errors import Problem, option_ref
from nbtune.spec.options.named import Named
from nbtune.spec.options.objectives import Objective
from nbtune.spec.options.options import Spec
from nbtune.spec.space.values import label

__all__ = ["check_objectives", "with_own_objectives"]


def with_own_objectives(spec: Spec) -> Spec:
    """Return the options with the objectives that a search algorithm was created with, if there are several.

    Args:
        spec: the options.
    """
    metrics, modes = own_metric(spec.search), own_mode(spec.search)
    if spec.objectives or not isinstance(metrics, (list, tuple)) or not isinstance(modes, (list, tuple)):
        return spec
    return replace(spec, several=tuple(map(Objective, metrics, modes)), scope="last")


def check_objectives(spec: Spec, search: Algorithm | None, scheduler: Scheduler | None) -> Iterator[Problem]:
    """Yield the problems of several objectives.

    Args:
        spec: the options.
        search: the search algorithm; None for an object of the user's own class.
        scheduler: the scheduler; None for an object of the user's own class.
    """
    if not spec.several:
        return
    names = [objective.metric for objective in spec.several]
    if search is not None and search.needs_metric and search.objectives < len(names):
        able = [one.name for one in ALGORITHMS.values() if not one.needs_metric or one.objectives >= len(names)]
        yield Problem(
            f"{search.name} optimises one metric, and there are {len(names)}: {', '.join(names)}. Algorithms that take"
            f" several: {', '.join(able)}",
            code="conflict",
            option="search",
        )
    if not isinstance(spec.search, Named) and own_metric(spec.search) is None and compares_trials(spec.search):
        modes = [objective.mode for objective in spec.several]
        text = f"create {type(spec.search).__name__} with the objectives, metric={names} and mode={modes}"
        yield Problem(text, code="missing", option="search")
    if isinstance(spec.scheduler, Named):
        if scheduler is not None and scheduler.needs_metric:
            yield from _named_problems(spec.scheduler, names, spec.several[0])
    elif own_metric(spec.scheduler) is None and compares_trials(spec.scheduler):
        name = type(spec.scheduler).__name__
        text = f"{name} compares trials by one metric: create it with metric=… (of {', '.join(names)}) and mode=…"
        yield Problem(text, code="missing", option="scheduler")


def _named_problems(value: Named, names: list[str], first: Objective) -> Iterator[Problem]:
    """Yield the problems of the metric and the mode that a scheduler is given as arguments."""
    arguments = value.arguments
    if "metric" not in arguments or "mode" not in arguments:
        example = Named(value.name, {**arguments, "metric": first.metric, "mode": first.mode})
        text = f"{value.name} compares trials by one metric; give it one of {', '.join(names)}, with its mode:"
        yield Problem(f"{text} {option_ref('scheduler', str(example))}", code="missing", option="scheduler")
        return
    if not isinstance(arguments["metric"], str):
        yield Problem(f"expected a metric as metric=…, got {label(arguments['metric'])}", option="scheduler")
    if arguments["mode"] not in ("min", "max"):
        yield Problem(f"expected mode='min' or mode='max', got {label(arguments['mode'])}", option="scheduler")
