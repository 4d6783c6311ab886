"""The reader: a thread that takes an experiment's events from their source into the store, until it is over."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable

from nbtune.engine.protocol.source import Source, SourceLostError, StartError
from nbtune.results.listeners import Listeners
from nbtune.results.store import ENDED, Store

__all__ = ["Reader"]

_TIMEOUT = 5.0  # seconds that one read waits for news
_PAUSE = 0.05  # seconds between reads: at most 20 a second, whatever comes in
_log = logging.getLogger("nbtune")


class Reader:
    """Reads one experiment; again from the first event where it is started again.

    Args:
        store: what takes the events.
        listeners: who is told of each change.

    Attributes:
        arrived: set once the first events are there, or nothing more will come.
        over: set once the experiment is over, and all its events are there.
    """

    def __init__(self, store: Store, listeners: Listeners) -> None:
        self._store, self._listeners = store, listeners
        self.arrived, self.over = threading.Event(), threading.Event()

    def start(self, source: Source, on_end: Callable[[], None]) -> None:
        """Begin to read. What was begun before has to be over.

        Args:
            source: where the events come from.
            on_end: called once when the experiment is over.
        """
        self.arrived.clear()
        self.over.clear()
        threading.Thread(target=self._run, args=(source, on_end), name="nbtune-reader", daemon=True).start()

    def _run(self, source: Source, on_end: Callable[[], None]) -> None:
        while self._store.status not in ENDED:
            self._read(source)
            if self._store.status in ENDED:
                break
            if self._store.cursor:
                self.arrived.set()
            self._listeners.tell()
            time.sleep(_PAUSE)
        try:
            if self._store.status != "lost":
                source.close()
        except Exception:  # the end is told all the same
            _log.exception("the source of an experiment that is over could not be let go")
        finally:
            self.arrived.set()
            self.over.set()
            self._listeners.tell()
            on_end()

    def _read(self, source: Source) -> None:
        """Read once; where that cannot be, the state says why: nobody looks at this thread."""
        try:
            for chunk in source.read(self._store.cursor, _TIMEOUT):
                self._store.apply(chunk)
        except StartError as error:
            self._store.declare(status="failed", error=str(error))
        except SourceLostError as error:
            self._store.declare(status="lost", error=f"the driver is gone: {error}")
        except OSError as error:  # the driver reads what is longer ago from its storage
            self._store.declare(
                status="unread",
                error=f"its events cannot be read from its storage: {error}. The experiment may go on without being"
                " shown here; resume() reads it again from its first event",
                traceback="".join(traceback.format_exception(error)),
            )
        except Exception as error:  # neither the experiment's nor its driver's: nbtune's own
            name = self._store.metadata.get("name", "an experiment")
            _log.error("nbtune failed while it read the events of %s", name, exc_info=error)
            self._store.declare(
                status="unread",
                error=f"nbtune itself failed while it read the experiment's events: {type(error).__name__}: {error}."
                " This is a fault of nbtune's, not of the experiment, which may go on without being shown here;"
                " `traceback` has the details. resume() reads it again from its first event",
                traceback="".join(traceback.format_exception(error)),
            )
