"""Trials that are over without a number as the value of the experiment's metric: why."""

from __future__ import annotations

from collections.abc import Sequence

from nbtune.results.state import NO_VALUE, TrialState
from nbtune.spec.options.objectives import Objective
from nbtune.spec.space.values import label

__all__ = ["no_value_hint", "no_value_note"]

_MAX_NAMES = 10


def no_value_note(state: TrialState, objectives: Sequence[Objective]) -> str:
    """Return why a trial has no value of a metric; an empty text if it has all, has failed or is not over.

    Args:
        state: the trial.
        objectives: the objectives of the experiment.
    """
    if not (state.status == "finished" or (state.status == "stopped" and state.iterations > 0)):
        return ""
    values = state.values or (NO_VALUE,) * len(objectives)
    metric = next((one.metric for one, v in zip(objectives, values, strict=True) if not v.has_number), None)
    if metric is None:
        return ""
    if metric in state.metrics:
        value = state.metrics[metric]
        times = "" if state.iterations == 1 else f" in {state.iterations} reports"
        return f"{metric} was never a finite number{times}; its last value was {label(value)} ({type(value).__name__})"
    if not state.iterations:
        return f"never reported {metric!r}: it made no report"
    names = [*state.metrics]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return f"never reported {metric!r}; it reported {', '.join(names[:_MAX_NAMES])}{more}"


def no_value_hint(states: list[TrialState], objectives: Sequence[Objective]) -> str:
    """Return a warning of the experiment about its trials without a value of a metric; an empty text without any.

    Args:
        states: all trials.
        objectives: as for `no_value_note`.
    """
    notes = [(state.number, note) for state in states if (note := no_value_note(state, objectives))]
    if not notes:
        return ""
    more = f", and {len(notes) - 1} more without a value" if len(notes) > 1 else ""
    return f"trial {notes[0][0]}: {notes[0][1]}{more}"
