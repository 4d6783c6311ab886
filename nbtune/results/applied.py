"""What the events of a trial change in its state."""

from __future__ import annotations

from nbtune.engine.protocol.events import (
    AttemptFailed,
    CheckpointSaved,
    DataRead,
    Event,
    TrialEnded,
    TrialPaused,
    TrialQueued,
    TrialStarted,
)
from nbtune.results.state import SavedCheckpoint, TrialState

__all__ = ["apply_event"]


def apply_event(state: TrialState, event: Event) -> str | None:
    """Update the state of a trial, except for its parameters and status.

    Args:
        state: the trial's state.
        event: an event of the trial.

    Returns:
        Its new status; None if the event does not change it.
    """
    match event:
        case TrialStarted():
            state.started, state.reason, state.reads = state.started or event.time, "", {}
            return "running"
        case TrialPaused():
            state.reason = event.reason
            return "paused"
        case TrialQueued():
            state.reason = state.condition = ""
            state.started = state.ended = state.error = state.traceback = None
            return "pending"
        case DataRead():
            state.reads = {**state.reads, event.worker: event.reads}
        case CheckpointSaved() if event.path:
            state.checkpoints.append(SavedCheckpoint(event.path, event.iteration))
        case AttemptFailed():
            state.failures += 1
            state.error, state.traceback = event.error, event.traceback
            return "failed" if event.final else "pending"
        case TrialEnded():
            state.ended, state.reason, state.condition = event.time, event.reason, event.condition
            if event.status != "failed":
                state.error = state.traceback = None  # a retry has succeeded
            return event.status
    return None
