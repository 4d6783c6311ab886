"""Tune's controller as a scheduler sees it: without the trials that the user has paused."""

from __future__ import annotations

from typing import Any

__all__ = ["FilteredController"]


class FilteredController:
    """Tune's controller without the trials that the user has paused.

    Args:
        controller: the controller.
        hidden: the ids of these trials.
        trials: the other trials; None for all that the controller has.
    """

    def __init__(self, controller: Any, hidden: set[str], trials: list[Any] | None = None) -> None:
        self._controller, self._hidden, self._trials = controller, hidden, trials

    def get_trials(self) -> list[Any]:
        """Return the trials that are not hidden."""
        trials = self._controller.get_trials() if self._trials is None else self._trials
        return [trial for trial in trials if trial.trial_id not in self._hidden]

    def get_live_trials(self) -> set[Any]:
        """Return those of the controller that are not over and not hidden."""
        return {trial for trial in self._controller.get_live_trials() if trial.trial_id not in self._hidden}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._controller, name)
