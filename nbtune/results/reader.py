"""The reader: a thread that adds an experiment's events to the store until the experiment is over."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable

from nbtune.engine.protocol.source import ElsewhereError, Source, SourceLostError, StartError
from nbtune.results.listeners import Listeners
from nbtune.results.store import ENDED, Store

__all__ = ["Reader"]

_TIMEOUT = 5.0  # seconds that one read waits for events
_PAUSE = 0.05  # seconds between reads: at most 20 per second, however many events there are
_log = logging.getLogger("nbtune")


class Reader:
    """Reads one experiment. When it is started again, it reads from the first event on.

    Args:
        store: the experiment's state.
        listeners: notified of each change.

    Attributes:
        has_events: set when the first events have been read, or none will come.
        over: set when the experiment is over and all its events have been read.
    """

    def __init__(self, store: Store, listeners: Listeners) -> None:
        self._store, self._listeners = store, listeners
        self.has_events, self.over = threading.Event(), threading.Event()

    def start(self, source: Source, on_end: Callable[[], None]) -> None:
        """Start to read. An earlier source must be over.

        Args:
            source: the source of the events.
            on_end: called once when the experiment is over.
        """
        self.has_events.clear()
        self.over.clear()
        threading.Thread(target=self._run, args=(source, on_end), name="nbtune-reader", daemon=True).start()

    def _run(self, source: Source, on_end: Callable[[], None]) -> None:
        while self._store.status not in ENDED:
            self._read(source)
            if self._store.status in ENDED:
                break
            if self._store.cursor:
                self.has_events.set()
            self._listeners.notify()
            time.sleep(_PAUSE)
        try:
            if self._store.status not in {"lost", "running elsewhere"}:
                source.close()
        except Exception:  # the experiment is over all the same
            _log.exception("the source of an experiment that is over could not be closed")
        finally:
            self.has_events.set()
            self.over.set()
            self._listeners.notify()
            on_end()

    def _read(self, source: Source) -> None:
        """Read once. An error becomes part of the state, since exceptions of this thread would not be seen."""
        try:
            for chunk in source.read(self._store.cursor, _TIMEOUT):
                self._store.apply(chunk)
        except StartError as error:
            self._store.set_metadata(status="failed", error=str(error))
        except ElsewhereError as error:
            self._store.set_metadata(status="running elsewhere", error=str(error))
        except SourceLostError as error:
            self._store.set_metadata(status="lost", error=f"the driver is gone: {error}")
        except OSError as error:  # the driver reads older events from its storage
            self._store.set_metadata(
                status="unread",
                error=f"its events cannot be read from its storage: {error}. The experiment may still run, but is not"
                " shown here; resume() reads it again from its first event",
                traceback="".join(traceback.format_exception(error)),
            )
        except Exception as error:  # an error of nbtune, and not of the experiment or its driver
            name = self._store.metadata.get("name", "an experiment")
            _log.error("nbtune failed while it read the events of %s", name, exc_info=error)
            self._store.set_metadata(
                status="unread",
                error=f"nbtune itself failed while it read the experiment's events: {type(error).__name__}: {error}."
                " This is a bug of nbtune, not of the experiment, which may still run, but is not shown here."
                " `traceback` has the details; resume() reads it again from its first event",
                traceback="".join(traceback.format_exception(error)),
            )
