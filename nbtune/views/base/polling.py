"""Work that is done only while somebody looks: on a thread that the browser keeps alive."""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable

__all__ = ["LAPSE", "Looked"]

LAPSE = 6.0
"""Seconds after the browser's last word that it looks until nobody does; it says so every two seconds."""
_SHARE = 20  # times as long as it takes is waited, at least: the kernel's time is the user's
_STUCK = 20.0  # seconds after which what is done is taken for hanging, and another thread takes its place
_NAME = "nbtune-looked"
_closing = threading.Event()


class Looked:
    """Does something again and again while somebody looks, and orders in between; one after another.

    Args:
        do: what is done; it must not raise.
        every: seconds from the end of one time to the next; more where one takes long.
    """

    def __init__(self, do: Callable[[], None], every: float) -> None:
        self._do, self._every = do, every
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._orders: deque[Callable[[], None]] = deque()
        self._until = self._due = 0.0  # until when somebody looks, and from when on it may be done again
        self._again = False  # whether it is to be done once more in any case
        self._began: float | None = None  # when it has begun what it does; None between times and in an order
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether its thread is there."""
        return self._thread is not None and self._thread.is_alive()

    def look(self) -> None:
        """Go on: somebody looks."""
        with self._lock:
            self._until = time.monotonic() + LAPSE
            self._start()

    def soon(self) -> None:
        """Do it once more, at once, whether somebody looks or not."""
        with self._lock:
            self._again, self._due = True, 0.0
            self._start()
        self._news.set()

    def order(self, do: Callable[[], None]) -> None:
        """Do something once, before anything else."""
        with self._lock:
            self._orders.append(do)
            self._start()
        self._news.set()

    def _start(self) -> None:
        # Registered anew each time: Python's end has to come here before it comes to Ray, which may be imported
        # only now, and which takes the whole process down where it is asked by a thread and shut down at once.
        atexit.unregister(_close)
        atexit.register(_close)
        hangs = self._began is not None and time.monotonic() - self._began > _STUCK
        if self.alive and not hangs:
            return
        self._began = None
        self._thread = threading.Thread(target=self._run, name=_NAME, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not _closing.is_set():
            with self._lock:
                if self._thread is not threading.current_thread():
                    return
                now = time.monotonic()
                order = self._orders.popleft() if self._orders else None
                if order is None and not self._again and now > self._until:
                    self._thread = None
                    return
                pause = 0.0 if order else max(0.0, self._due - now)
                if order is None and not pause:
                    self._began, self._again = now, False
            if pause:
                self._news.wait(pause)
                self._news.clear()
                continue
            (order or self._do)()
            with self._lock:
                if order is None and self._thread is threading.current_thread():
                    self._began, took = None, time.monotonic() - now
                    self._due = 0.0 if self._again else time.monotonic() + max(self._every, _SHARE * took)


def _close() -> None:
    _closing.set()
    for thread in threading.enumerate():
        if thread.name == _NAME:
            thread.join(2.0)
