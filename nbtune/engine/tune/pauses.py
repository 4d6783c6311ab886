"""The trials that the user pauses and resumes, whatever the scheduler decides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ray.tune.experiment import Trial

from nbtune.spec.cell.entry import Entry

__all__ = ["Pauses", "pause_refusal"]


class Pauses:
    """Knows the trials that the user has paused or resumed.

    Attributes:
        pausing: ids of the trials that are being paused -> whether the user has requested it.
    """

    def __init__(self) -> None:
        self.pausing: dict[str, bool] = {}
        self._to_pause: set[str] = set()  # the user has requested their pause
        self._paused_by_user: set[str] = set()  # those that are paused, and not by the scheduler's decision
        self._to_resume: list[str] = []  # the user has resumed them, in order
        self._open: dict[str, Any] = {}  # the trials that are not over, and some that are, in the order of Tune's list

    def pause(self, trial_id: str) -> None:
        """Pause a running trial with its next checkpoint.

        Args:
            trial_id: Tune's id.
        """
        self._to_pause.add(trial_id)

    def resume(self, trial_id: str) -> bool:
        """Let a trial run again that the user has paused; return whether the user has.

        Args:
            trial_id: Tune's id.
        """
        if trial_id not in self._to_pause:
            return False
        self._to_pause.discard(trial_id)
        if trial_id in self._paused_by_user:  # else the scheduler has paused it as well
            self._paused_by_user.discard(trial_id)
            self._to_resume.append(trial_id)
        return True

    def is_paused(self, trial_id: str) -> bool:
        """Return whether the user has requested the pause of a trial, and has not resumed it.

        Args:
            trial_id: Tune's id.
        """
        return trial_id in self._to_pause

    def goes_on(self, trial_id: str) -> bool:
        """Return whether a trial that the user has resumed will run: else the scheduler has paused it, too."""
        return trial_id in self._to_resume

    def note_pauses(self, trial_ids: Iterable[str]) -> None:
        """Note which of some trials are paused: population based training pauses trials without telling Tune's loop.

        Args:
            trial_ids: Tune's ids of trials that were running.
        """
        for trial_id in trial_ids:
            if (trial := self._open.get(trial_id)) is not None and trial.status == Trial.PAUSED:
                self.pausing.setdefault(trial_id, trial_id in self._to_pause)


def pause_refusal(trial: Any, number: int, entry: Entry, trials: Iterable[Any], pauses: Pauses) -> str | None:
    """Return why the user cannot pause a trial; None if that is possible.

    Args:
        trial: Tune's trial.
        number: its number.
        entry: how Tune runs the program.
        trials: all trials.
        pauses: the pauses that the user has requested.
    """
    is_by_scheduler = trial.status == Trial.PAUSED and not pauses.is_paused(trial.trial_id)
    if trial.status != Trial.RUNNING and not is_by_scheduler:
        state = {Trial.PENDING: "is pending", Trial.PAUSED: "is already paused"}.get(trial.status, "is over")
        return f"trial {number} {state}: only a running trial can be paused"
    if entry.is_class and not entry.saves:
        return (
            f"{entry.name} has no save_checkpoint, without which a paused trial would lose what it has trained. Write"
            " save_checkpoint and load_checkpoint"
        )
    if not entry.saves and not any(known.latest_checkpoint_result for known in trials):
        return (
            "no trial has saved a checkpoint so far. A paused trial resumes from its latest checkpoint, and without one"
            " it would lose what it has trained. Save one with report(…, checkpoint={…}), and load it with"
            " get_checkpoint()"
        )
    return None
