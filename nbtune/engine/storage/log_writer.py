"""The keeper: keeps the event log in storage, says when storage fails, and decides when that is the end.

A fault that may pass by itself (an object store that does not answer) is waited for; a full or
read-only disk ends the experiment soon, since it trains for nothing. Whatever it is, writing is tried
again until some minutes after the end.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Mapping

from nbtune.engine.protocol.events import Event
from nbtune.engine.protocol.failures import unsaved
from nbtune.engine.storage.log import EventLog

__all__ = ["Keeper"]

_LASTING = {errno.ENOSPC: "it is full", errno.EDQUOT: "the quota is used up", errno.EROFS: "it is read-only"}
_PATIENCE = 60.0  # seconds of failing after which the experiment ends
_LASTING_PATIENCE = 5.0  # the same where only a person can help
_AFTERWARDS = 300.0  # seconds after the end that writing is tried again for
_LEAST = 0.2  # seconds between two writings
_SHARE = 15  # times as long as writing took is waited before the next
_PAUSES = (1.0, 10.0)  # seconds between two tries, at first and at last


class Keeper:
    """Keeps a log in storage, on a thread of its own.

    Args:
        log: the log.
        place: its storage, as a person calls it.
        give_up: what ends the experiment.
        mend: what makes whole what else has been cut off in storage; raises OSError where it cannot yet.

    Attributes:
        fault: why the experiment has to end, or None.
        troubled: whether storage has failed at any time.
    """

    def __init__(
        self, log: EventLog, place: str, give_up: Callable[[], None], mend: Callable[[], None] = lambda: None
    ) -> None:
        self._log, self._place, self._give_up, self._mend = log, place, give_up, mend
        self._since: float | None = None  # when it began to fail
        self._lock = threading.Lock()  # one writer at a time says what happened
        self.fault: str | None = None
        self.troubled = False

    def run(self, done: threading.Event) -> None:
        """Bring storage up to date again and again until `done` is set.

        What a driver that is killed has not written is lost: on a disk that is a fraction of a second. A slow
        or failing storage is left in peace for most of the time.
        """
        pause = _LEAST
        while not done.wait(pause):
            began = time.monotonic()
            well = self.flush()
            pause = max(_LEAST, _SHARE * (time.monotonic() - began)) if well else _PAUSES[0]

    def flush(self) -> bool:
        """Bring storage up to date; return whether it took everything."""
        with self._lock:
            try:
                self._log.flush()
            except Exception as error:  # whatever a filesystem raises
                self._failed(error)
                return False
            if self._since is not None:
                self._since = None
                if self.fault is None:
                    self._tell(None)
            return True

    def trial_failed(self, failure: Mapping[str, str], *, final: bool) -> None:
        """Hear of a trial's failure: where it could not save its checkpoint for good, neither can the next one.

        Args:
            failure: what the "failed" event says.
            final: whether the trial is not tried again.
        """
        code, reason = unsaved(failure["error"])
        if reason is None:
            return
        self.troubled = True
        if final and code in _LASTING:
            self._end(f"{reason} ({_LASTING[code]})")

    def settle(self) -> None:
        """At the experiment's end: write the rest, as long as there is patience."""
        while not self.complete() and self.fault is None:
            time.sleep(_PAUSES[0])

    def outlast(self) -> bool:
        """After the end: go on trying for some minutes. Return whether everything is in storage."""
        until, pause = time.monotonic() + _AFTERWARDS, _PAUSES[0]
        while not self.complete():
            if time.monotonic() > until:
                return False
            time.sleep(pause)
            pause = min(1.5 * pause, _PAUSES[1])
        return True

    def complete(self) -> bool:
        """Write the rest, and make whole what was cut off; return whether everything is in storage."""
        kept = self.flush()
        try:
            if self.troubled:
                self._mend()  # on a full disk too: it removes what is cut off
        except Exception:  # whatever a filesystem raises: it is tried again
            return False
        return kept

    def _failed(self, error: Exception) -> None:
        self.troubled = True
        code = getattr(error, "errno", None)
        reason = f"{error}" if code not in _LASTING else f"{_LASTING[code]} ({error})"
        if self._since is None:
            self._since = time.monotonic()
            if self.fault is None:
                self._tell(f"the storage {self._place} takes nothing: {reason}. It is tried again")
        if time.monotonic() - self._since >= (_LASTING_PATIENCE if code in _LASTING else _PATIENCE):
            self._end(reason)

    def _end(self, reason: str) -> None:
        if self.fault is None:
            self.fault = f"the experiment has ended since its storage {self._place} failed: {reason}"
            self._tell(self.fault)
            self._give_up()

    def _tell(self, error: str | None) -> None:
        self._log.append(Event("experiment", time=time.time(), data={"error": error}))
