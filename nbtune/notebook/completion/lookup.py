"""Look-ups that may take long, such as listing a folder on a network: on a thread, and waited for only briefly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["Lookups"]

T = TypeVar("T")

_MAX_THREADS = 8  # as many look-ups may hang at once, each in another folder


class _Search(Generic[T]):
    """One look-up, which may still run."""

    def __init__(self, find: Callable[[], Iterator[T]], limit: int) -> None:
        self.began, self.found = time.monotonic(), list[T]()
        self.ended = threading.Event()
        self._find, self._limit = find, limit
        threading.Thread(target=self._run, name="nbtune-completion", daemon=True).start()

    def _run(self) -> None:
        with suppress(Exception):  # a folder that cannot be read: there is nothing to offer
            for one in self._find():
                self.found.append(one)
                if len(self.found) >= self._limit:
                    break
        self.ended.set()


class Lookups(Generic[T]):
    """Look-ups by key. One that is late goes on, and its results are there the next time.

    Args:
        wait: for how long a call waits, in seconds.
        fresh: for how long results are used again, in seconds.
        limit: the largest number of results.
    """

    def __init__(self, wait: float = 0.3, fresh: float = 2.0, limit: int = 500) -> None:
        self._wait, self._fresh, self._limit = wait, fresh, limit
        self._searches: dict[Hashable, _Search[T]] = {}

    def __call__(self, key: Hashable, find: Callable[[], Iterator[T]]) -> list[T]:
        """Return the results that there are in time.

        Args:
            key: the same for the same look-up, such as its folder.
            find: yields the results. It runs on another thread, and must not touch the notebook's variables.
        """
        now = time.monotonic()
        for other, search in list(self._searches.items()):
            if search.ended.is_set() and now - search.began > self._fresh:
                del self._searches[other]
        if key not in self._searches:
            if sum(not search.ended.is_set() for search in self._searches.values()) >= _MAX_THREADS:
                return []
            self._searches[key] = _Search(find, self._limit)
        search = self._searches[key]
        search.ended.wait(max(0.0, search.began + self._wait - now))
        return list(search.found)
