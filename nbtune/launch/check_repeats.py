"""Checks of the option `repeat` before the start: what cannot be repeated, and what counts of the repeats."""

from __future__ import annotations

from collections.abc import Iterator

from nbtune.engine.search.schedulers.base import Scheduler, ScheduleRequest
from nbtune.errors import Problem, option_ref

__all__ = ["repeat_notes", "repeat_problems"]


def repeat_problems(request: ScheduleRequest, scheduler: Scheduler | None) -> Iterator[Problem]:
    """Yield what keeps configurations from being trained several times.

    Args:
        request: the options and the space.
        scheduler: the scheduler; None for an object of the user's own class.
    """
    spec = request.spec
    if spec.repeat == 1:
        return
    if scheduler is not None and (reason := scheduler.no_repeats(request)):
        text = (
            f"not possible with {scheduler.name}, which {reason}; leave one of the two out, or use"
            f" {option_ref('scheduler', 'asha')}, hyperband or median"
        )
        yield Problem(text, code="conflict", option="repeat")
    if spec.several:
        names = ", ".join(objective.metric for objective in spec.several)
        text = f"compares configurations by the mean of one metric, and there are several: {names}; give a single one"
        yield Problem(text, code="conflict", option="repeat")


def repeat_notes(request: ScheduleRequest, scheduler: Scheduler | None) -> Iterator[str]:
    """Yield what the user should know about the repeats before the start, one sentence each, without the full stop.

    Args:
        request: the options and the space, without problems.
        scheduler: the scheduler; None for an object of the user's own class.
    """
    spec = request.spec
    if spec.repeat == 1 or spec.metric is None:
        return
    if scheduler is not None and scheduler.stops_trials(request):
        yield (
            f"{scheduler.name} compares and stops single trials; the value of a configuration is the mean of what its"
            f" {spec.repeat} trials have reached until they end"
        )
