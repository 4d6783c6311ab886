"""Work that is repeated only while a view is visible in a browser."""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable

__all__ = ["VISIBLE_TIMEOUT", "PollWhileVisible"]

VISIBLE_TIMEOUT = 6.0
"""Seconds after the browser's last message that a view is visible; it sends one every two seconds."""
_MIN_PAUSE_RATIO = 20  # the pause is at least this many times as long as the call: the kernel's time is the user's
_HANG_TIMEOUT = 20.0  # seconds after which a call is considered hanging, and another thread takes over
_THREAD_NAME = "nbtune-poll"
_exiting = threading.Event()


class PollWhileVisible:
    """Repeats a call while a view is visible, and runs other calls in between; never two at the same time.

    Args:
        poll: the call; must not raise.
        interval: seconds from the end of one call to the next; more where a call takes long.
    """

    def __init__(self, poll: Callable[[], None], interval: float) -> None:
        self._poll, self._interval = poll, interval
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._calls: deque[Callable[[], None]] = deque()
        self._visible_until = self._due = 0.0  # monotonic times: when to stop polling, and of the next poll
        self._poll_once = False  # whether to poll even if no view is visible
        self._poll_began: float | None = None  # when the running poll began; None between polls and in other calls
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether its thread is running."""
        return self._thread is not None and self._thread.is_alive()

    def view_is_visible(self) -> None:
        """Poll for the next `VISIBLE_TIMEOUT` seconds."""
        with self._lock:
            self._visible_until = time.monotonic() + VISIBLE_TIMEOUT
            self._start()

    def poll_now(self) -> None:
        """Poll once more at once, whether a view is visible or not."""
        with self._lock:
            self._poll_once, self._due = True, 0.0
            self._start()
        self._wake.set()

    def run(self, call: Callable[[], None]) -> None:
        """Run a call once, before the next poll; returns at once.

        Args:
            call: must not raise.
        """
        with self._lock:
            self._calls.append(call)
            self._start()
        self._wake.set()

    def _start(self) -> None:
        # Registered again each time: `_join_threads` must run before Ray's own exit handler, and Ray may have been
        # imported since. Ray aborts the process where a thread calls it during its shutdown.
        atexit.unregister(_join_threads)
        atexit.register(_join_threads)
        hanging = self._poll_began is not None and time.monotonic() - self._poll_began > _HANG_TIMEOUT
        if self.alive and not hanging:
            return
        self._poll_began = None
        self._thread = threading.Thread(target=self._run, name=_THREAD_NAME, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not _exiting.is_set():
            with self._lock:
                if self._thread is not threading.current_thread():
                    return  # this thread was considered hanging
                now = time.monotonic()
                call = self._calls.popleft() if self._calls else None
                if call is None and not self._poll_once and now > self._visible_until:
                    self._thread = None
                    return
                pause = 0.0 if call else max(0.0, self._due - now)
                if call is None and not pause:
                    self._poll_began, self._poll_once = now, False
            if pause:
                self._wake.wait(pause)
                self._wake.clear()
                continue
            (call or self._poll)()
            with self._lock:
                if call is None and self._thread is threading.current_thread():
                    self._poll_began, duration = None, time.monotonic() - now
                    pause = max(self._interval, _MIN_PAUSE_RATIO * duration)
                    self._due = 0.0 if self._poll_once else time.monotonic() + pause


def _join_threads() -> None:
    _exiting.set()
    for thread in threading.enumerate():
        if thread.name == _THREAD_NAME:
            thread.join(2.0)
