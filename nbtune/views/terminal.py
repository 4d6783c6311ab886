"""The view in a terminal, where no widget is: the experiment's state in a line that is written again."""

from __future__ import annotations

import shutil
import threading
from typing import TextIO

from nbtune.results.store import ENDED, Store
from nbtune.spec.units import format_duration
from nbtune.views.text import best_line, count_line

__all__ = ["Line", "line"]

_EVERY = 1.0  # seconds between two writings
_BAR = 20  # characters


def line(store: Store, width: int = 100) -> str:
    """Return the state in one line: bar, counts, time, best.

    Args:
        store: the experiment's state.
        width: characters that there are.
    """
    over, total = store.progress()
    done = _BAR * over // max(total, 1)
    name = store.metadata.get("name", "experiment")
    parts = [
        f"{name} {store.status} [{'#' * done}{'.' * (_BAR - done)}] {over} of {total}",
        count_line(store),
        format_duration(store.elapsed()),
        best_line(store),
    ]
    text = "".join(c if c.isprintable() else " " for c in ", ".join(part for part in parts if part))
    return text if len(text) <= width else f"{text[: width - 1]}…"


class Line:
    """The line while somebody waits: a context, in which it is kept up to date.

    Args:
        store: the experiment's state.
        out: where to write; nothing is written where it is no terminal.
    """

    def __init__(self, store: Store, out: TextIO) -> None:
        self._store, self._out = store, out
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="nbtune-line", daemon=True)

    def __enter__(self) -> Line:
        if self._out.isatty():
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        over = False
        while not over:
            over = self._done.wait(_EVERY) or self._store.status in ENDED
            text = line(self._store, shutil.get_terminal_size().columns - 1)
            self._out.write(f"\r\x1b[K{text}")
            self._out.flush()
        self._out.write("\n")
        self._out.flush()
