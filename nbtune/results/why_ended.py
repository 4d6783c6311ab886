"""Why a trial is over or paused, in a few words."""

from __future__ import annotations

from nbtune.results.state import TrialState

__all__ = ["why_ended"]

_WORDS = {
    "done": "its code has ended",
    "max_t": "it has reached the scheduler's max_t",
    "pruned": "its code has raised optuna.TrialPruned",
    "error": "its code has failed",
    "experiment": "the experiment has ended",
}


def why_ended(state: TrialState) -> str:
    """Return why a trial is over or paused; an empty text if it is neither.

    Args:
        state: the trial.
    """
    if state.reason == "condition":
        return f"stop condition: {state.condition}"
    if state.reason in {"scheduler", "user"}:
        return f"{'paused' if state.status == 'paused' else 'stopped'} by the {state.reason}"
    return _WORDS.get(state.reason, "")
