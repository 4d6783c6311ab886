"""Listeners: functions that are called after each change of an experiment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Listeners"]

_log = logging.getLogger("nbtune")


@dataclass(eq=False)  # the same function may be added twice
class _Listener:
    call: Callable[[], None]
    failed: bool = False


class Listeners:
    """Functions that are called after each change, in the order in which they were added. Thread-safe."""

    def __init__(self) -> None:
        self._all: list[_Listener] = []

    def add(self, call: Callable[[], None]) -> Callable[[], None]:
        """Add a listener.

        Args:
            call: called after each change.

        Returns:
            A function that removes the listener.
        """
        listener = _Listener(call)
        self._all.append(listener)

        def remove() -> None:
            if listener in self._all:
                self._all.remove(listener)

        return remove

    def notify(self) -> None:
        """Call all listeners. One that raises stays subscribed; its first error is logged with its traceback.

        An error of a view must stop neither the other views nor the caller, and the view may succeed with the next
        change.
        """
        for listener in list(self._all):
            try:
                listener.call()
            except Exception:  # a view may raise anything
                if not listener.failed:  # once, since it is called twenty times per second
                    listener.failed = True
                    _log.exception(
                        "%r raised an error when it was notified of a change. It stays subscribed; its further"
                        " errors are not logged",
                        listener.call,
                    )
