"""Work beside the thread that hears the browser: one thing after another, on a thread of its own.

`concurrent.futures.ThreadPoolExecutor` is not it: Python's end waits for its threads and for all that is queued. What
is done here may hang (an order to a cluster that does not answer, a user's function that is sampled), and must then not
keep a kernel from ending.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

__all__ = ["Background"]


class Background:
    """Does what it is given, in order.

    Args:
        name: of its thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._works = False

    @property
    def idle(self) -> bool:
        """Whether everything that was given is done."""
        with self._lock:
            return not self._works

    def do(self, call: Callable[[], None]) -> None:
        """Do something once everything that was given before is done. It must not raise. Returns at once."""
        with self._lock:
            self._waiting.append(call)
            if self._works:
                return
            self._works = True
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._works = False
                    return
                call = self._waiting.popleft()
            call()
