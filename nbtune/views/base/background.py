"""Work on a thread of its own, one call after another.

`concurrent.futures.ThreadPoolExecutor` does not fit: Python's exit waits for its threads and for everything that is
queued. A call here may hang (a command to a cluster that does not answer, a user's function that is sampled), and must
not keep a kernel from exiting.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

__all__ = ["BackgroundQueue"]


class BackgroundQueue:
    """Runs the calls that it is given in their order on a daemon thread, which lives as long as there are any.

    Args:
        name: the name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._running = False

    @property
    def idle(self) -> bool:
        """Whether all calls have returned."""
        with self._lock:
            return not self._running

    def submit(self, call: Callable[[], None]) -> None:
        """Run a call after those that were submitted before; returns at once.

        Args:
            call: must not raise.
        """
        with self._lock:
            self._waiting.append(call)
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                call = self._waiting.popleft()
            call()
