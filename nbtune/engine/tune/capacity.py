"""How many trials are open, and whether another one is proposed now."""

from __future__ import annotations

from abc import abstractmethod

__all__ = ["Capacity"]


class Capacity:
    """Counts the trials that are open and those that hold resources.

    Args:
        slots: how many trials fit on the cluster at once; None if it can grow.

    Attributes:
        started: the ids of the trials that hold resources.
    """

    def __init__(self, slots: int | None) -> None:
        self._slots = slots
        self._open: set[str] = set()  # trials that are not over and not paused by the user
        self.started, self._paused_by_scheduler = set[str](), set[str]()

    @property
    @abstractmethod
    def max_concurrent(self) -> int | None:
        """How many trials may run at once."""

    def on_added(self, trial_id: str) -> None:
        """Count a trial that Tune has got: a new one, or one of an earlier run."""
        self._open.add(trial_id)

    def on_started(self, trial_id: str) -> None:
        """Count a trial as one that holds resources."""
        self.started.add(trial_id)
        self._paused_by_scheduler.discard(trial_id)

    def on_paused_by_scheduler(self, trial_id: str) -> None:
        """Count a trial as paused by the scheduler. It does not keep others from being proposed."""
        self.started.discard(trial_id)
        self._open.add(trial_id)  # the user may have paused it as well until now
        self._paused_by_scheduler.add(trial_id)

    def on_paused_by_user(self, trial_id: str) -> None:
        """Count a trial as paused by the user. It does not wait for resources."""
        self.started.discard(trial_id)
        self._open.discard(trial_id)

    def on_over(self, trial_id: str) -> None:
        """Do not count a trial any more: it is over."""
        for trials in (self._open, self.started, self._paused_by_scheduler):
            trials.discard(trial_id)

    def on_queued(self, trial_id: str) -> None:
        """Count a trial as one that waits for resources again: it is resumed or retried."""
        self.started.discard(trial_id)
        self._open.add(trial_id)

    def _has_capacity(self) -> bool:
        """Return whether to propose another trial: as many as can run, and one in reserve.

        A proposal that comes early is based on fewer results, and cannot be withdrawn when the limit is lowered. If the
        cluster grows, the trial in reserve starts, and the next one follows.
        """
        if self.max_concurrent is not None and len(self._open) >= self.max_concurrent:
            return False
        if self._slots is None:
            return True
        waiting = len(self._open - self.started - self._paused_by_scheduler)
        return waiting < max(1, self._slots + 1 - len(self.started))
