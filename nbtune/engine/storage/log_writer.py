"""Writes the event log to storage, reports storage failures, and decides when they end the experiment.

A failure that may pass by itself (an object store that does not answer) is retried for a minute. A full or
read-only disk ends the experiment within seconds, since nothing that is trained could be saved. In both cases
writing is retried until some minutes after the end.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable

from nbtune.engine.protocol.events import ExperimentUpdated
from nbtune.engine.protocol.failures import UnsavedCheckpoint
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.storage.deletions import Deletions
from nbtune.engine.storage.lease import LeaseLostError
from nbtune.engine.storage.log import EventLog

__all__ = ["LogWriter"]

_PERMANENT = {errno.ENOSPC: "it is full", errno.EDQUOT: "the quota is used up", errno.EROFS: "it is read-only"}
_TIMEOUT = 60.0  # seconds of failed writes after which the experiment ends
_PERMANENT_TIMEOUT = 5.0  # the same for errors that only a person can resolve
_RETRY_AFTER_END = 300.0  # seconds after the end of the experiment during which writing is retried
_MIN_INTERVAL = 0.2  # seconds between two writes
_INTERVAL_FACTOR = 15  # the interval is at least this many times the duration of the last write
_RETRY_INTERVALS = (1.0, 10.0)  # seconds between two attempts: the first and the longest interval


class LogWriter:
    """Writes a log to storage, on a thread of its own.

    Args:
        log: the log.
        storage_name: the storage as messages show it.
        end_experiment: called once when storage has failed for too long.
        repair: rewrites Tune's files that are incomplete in storage; raises OSError where storage still fails.
        confirm: raises `LeaseLostError` if another driver owns the experiment.
        deletions: what to delete after the log is in storage.

    Attributes:
        confirm: the same as the argument.
        failure: why the experiment has to end, or None.
        has_failed: whether storage has failed at any time.
    """

    def __init__(
        self,
        log: EventLog,
        storage_name: str,
        end_experiment: Callable[[], None],
        repair: Callable[[], None] = lambda: None,
        confirm: Callable[[], None] = lambda: None,
        deletions: Deletions | None = None,
    ) -> None:
        self._log, self._storage_name = log, storage_name
        self._end_experiment, self._repair, self.confirm = end_experiment, repair, confirm
        self._deletions = deletions
        self._stored = 0  # how many events are in storage
        self._failing_since: float | None = None
        self._lock = threading.Lock()  # two threads call `flush`
        self.failure: str | None = None
        self.has_failed = False

    def run(self, done: threading.Event) -> None:
        """Write new events to storage periodically until `done` is set.

        A driver that is killed loses the events since the last write: on a disk, those of a fraction of a second.
        The interval grows with the duration of a write, so that a slow storage is idle most of the time.

        Args:
            done: set at the end of the experiment.
        """
        interval = _MIN_INTERVAL
        while not done.wait(interval):
            started = time.monotonic()
            try:
                is_flushed = self.flush()
            except LeaseLostError:  # the driver ends, and says so
                return
            if is_flushed:
                interval = max(_MIN_INTERVAL, _INTERVAL_FACTOR * (time.monotonic() - started))
                self._delete()
            else:
                interval = _RETRY_INTERVALS[0]

    def flush(self) -> bool:
        """Write all events to storage; return whether that succeeded.

        Raises:
            LeaseLostError: another driver owns the experiment, and nothing was written.
        """
        with self._lock:
            self.confirm()
            try:
                stored = len(self._log)
                self._log.flush()
                self._stored = stored
            except Exception as error:  # a custom filesystem may raise anything
                self._on_error(error)
                return False
            if self._failing_since is not None:
                self._failing_since = None
                if self.failure is None:
                    self._append_error(None)
            return True

    def on_trial_failure(self, unsaved: UnsavedCheckpoint | None, *, final: bool) -> None:
        """End the experiment if a trial could not save its checkpoint for a permanent reason.

        Args:
            unsaved: why the trial could not save its checkpoint; None if it failed for another reason.
            final: whether the trial is not retried.
        """
        if unsaved is None:
            return
        self.has_failed = True
        if final and unsaved.errno in _PERMANENT:
            self._fail(f"{unsaved.reason} ({_PERMANENT[unsaved.errno]})")

    def flush_until_given_up(self) -> None:
        """Write all events at the end of the experiment; retry until storage has failed for too long."""
        while not self.flush_and_repair() and self.failure is None:
            time.sleep(_RETRY_INTERVALS[0])

    def retry_after_end(self) -> bool:
        """Retry for some minutes after the end; return whether everything is in storage."""
        deadline, interval = time.monotonic() + _RETRY_AFTER_END, _RETRY_INTERVALS[0]
        while not self.flush_and_repair():
            if time.monotonic() > deadline:
                return False
            time.sleep(interval)
            interval = min(1.5 * interval, _RETRY_INTERVALS[1])
        return True

    def finish(self, end: Metadata, on_final: Callable[[], None]) -> None:
        """Write the end of the experiment, and whatever is not written yet.

        Args:
            end: what the last event records.
            on_final: called when everything is in storage, or cannot be written there for now.
        """
        try:
            self.flush_until_given_up()
            if self.failure is not None:
                end = {"status": "failed", "error": self.failure}
            self._log.append(ExperimentUpdated(time=time.time(), metadata=end))
            is_complete = self.flush_and_repair()
            on_final()
            if not is_complete:
                self.retry_after_end()
        except LeaseLostError as error:  # readers of this driver still learn of it, from memory
            lost: Metadata = {"status": "running elsewhere", "error": f"this driver has ended its trials: {error}"}
            self._log.append(ExperimentUpdated(time=time.time(), metadata=lost))
            on_final()

    def flush_and_repair(self) -> bool:
        """Write all events, and repair incomplete files if storage has failed; return whether both succeeded."""
        flushed = self.flush()
        self._delete()
        try:
            if self.has_failed:
                self._repair()  # even on a full disk: it deletes incomplete files
        except Exception:  # a custom filesystem may raise anything; the caller retries
            return False
        return flushed

    def _delete(self) -> None:
        if self._deletions is not None:
            self._deletions.run(self._stored)

    def _on_error(self, error: Exception) -> None:
        self.has_failed = True
        code = getattr(error, "errno", None)
        reason = f"{error}" if code not in _PERMANENT else f"{_PERMANENT[code]} ({error})"
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            if self.failure is None:
                self._append_error(f"cannot write to the storage {self._storage_name}: {reason}. Retrying")
        if time.monotonic() - self._failing_since >= (_PERMANENT_TIMEOUT if code in _PERMANENT else _TIMEOUT):
            self._fail(reason)

    def _fail(self, reason: str) -> None:
        if self.failure is None:
            self.failure = f"the experiment has ended because its storage {self._storage_name} failed: {reason}"
            self._append_error(self.failure)
            self._end_experiment()

    def _append_error(self, error: str | None) -> None:
        self._log.append(ExperimentUpdated(time=time.time(), metadata={"error": error}))
