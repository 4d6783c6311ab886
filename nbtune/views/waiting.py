"""What a user sees while a call waits for an experiment: its progress in one line."""

from __future__ import annotations

import shutil
import sys
import time
import uuid
from typing import Any

from nbtune.results.progress import time_left
from nbtune.results.store import ENDED, Store
from nbtune.shell import shell
from nbtune.shown import shown
from nbtune.spec.units import format_duration
from nbtune.views.text import best_line, count_line

__all__ = ["WaitingLine", "progress_line"]

_INTERVAL = 1.0  # seconds between two updates
_BAR_WIDTH = 20  # characters
_MAX_WIDTH = 160  # characters in a notebook


def progress_line(store: Store, width: int = 100) -> str:
    """Return the state of an experiment in one line: bar, counts, time, remaining time, best trial.

    Args:
        store: the experiment's state.
        width: the maximum number of characters.
    """
    over, total = store.progress()
    done = _BAR_WIDTH * over // max(total, 1)
    name = store.metadata.get("name", "experiment")
    left = time_left(store) if store.status not in ENDED else None
    parts = [
        f"{name} {store.status} [{'#' * done}{'.' * (_BAR_WIDTH - done)}] {over} of {total}",
        count_line(store),
        format_duration(store.elapsed()),
        str(left) if left is not None else "",
        best_line(store),
    ]
    text = shown(", ".join(part for part in parts if part))
    return text if len(text) <= width else f"{text[: width - 1]}…"


class WaitingLine:
    """A context in which a line shows the progress of an experiment, in a notebook or a terminal.

    Elsewhere nothing is shown, and nothing if the experiment is over already.

    Args:
        store: the experiment's state.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._due = 0.0
        self._write = None if store.status in ENDED else _notebook_line() or _terminal_line()

    def __enter__(self) -> WaitingLine:
        return self

    def update(self) -> None:
        """Show the present state, at most once a second. The thread that waits calls it: its output is in the cell."""
        if self._write is not None and time.monotonic() >= self._due:
            self._due = time.monotonic() + _INTERVAL
            self._write.show(progress_line(self._store, self._write.width))

    def __exit__(self, *error: object) -> None:
        if self._write is not None and self._due:
            self._write.show(progress_line(self._store, self._write.width))
            self._write.end()


class _NotebookLine:
    """One output of a notebook's cell, which is replaced."""

    width = _MAX_WIDTH

    def __init__(self, publisher: Any) -> None:
        self._publisher, self._id, self._shown = publisher, uuid.uuid4().hex, ""

    def show(self, text: str) -> None:
        if text != self._shown:
            transient = {"display_id": self._id}
            self._publisher.publish({"text/plain": text}, {}, transient=transient, update=bool(self._shown))
            self._shown = text

    def end(self) -> None:
        pass


class _TerminalLine:
    """One line of a terminal, which is overwritten."""

    @property
    def width(self) -> int:
        return shutil.get_terminal_size().columns - 1

    def show(self, text: str) -> None:
        sys.stdout.write(f"\r\x1b[K{text}")
        sys.stdout.flush()

    def end(self) -> None:
        sys.stdout.write("\n")
        sys.stdout.flush()


def _notebook_line() -> _NotebookLine | None:
    ipython = shell()
    return _NotebookLine(ipython.display_pub) if getattr(ipython, "kernel", None) is not None else None


def _terminal_line() -> _TerminalLine | None:
    return _TerminalLine() if shell() is not None and sys.stdout.isatty() else None
