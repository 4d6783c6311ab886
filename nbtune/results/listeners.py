"""Listeners: who is told after each change of an experiment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Listeners"]

_log = logging.getLogger("nbtune")


@dataclass(eq=False)  # the same function may listen twice
class _Listener:
    call: Callable[[], None]
    failed: bool = False


class Listeners:
    """Those who are told, in the order in which they came. Safe to use from several threads."""

    def __init__(self) -> None:
        self._all: list[_Listener] = []

    def add(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call something after each change; return what ends that."""
        listener = _Listener(call)
        self._all.append(listener)

        def remove() -> None:
            if listener in self._all:
                self._all.remove(listener)

        return remove

    def tell(self) -> None:
        """Tell everybody. Whoever raises is told again next time; its first error is logged, with its traceback.

        A view's fault must stop neither the others nor who tells them, and one that could not draw something may
        well draw what comes next.
        """
        for listener in list(self._all):
            try:
                listener.call()
            except Exception:  # whatever a view raises
                if not listener.failed:  # once: it is told twenty times a second
                    listener.failed = True
                    _log.exception(
                        "%r raised an error when it was told of a change. It stays subscribed; its further errors are"
                        " not logged",
                        listener.call,
                    )
