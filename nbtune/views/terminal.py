"""A progress line for terminals, where there are no widgets."""

from __future__ import annotations

import shutil
import threading
from typing import TextIO

from nbtune.results.store import ENDED, Store
from nbtune.spec.units import format_duration
from nbtune.views.text import best_line, count_line

__all__ = ["ProgressLine", "progress_line"]

_INTERVAL = 1.0  # seconds between two updates
_BAR_WIDTH = 20  # characters


def progress_line(store: Store, width: int = 100) -> str:
    """Return the state of an experiment in one line: bar, counts, time, best trial.

    Args:
        store: the experiment's state.
        width: the maximum number of characters.
    """
    over, total = store.progress()
    done = _BAR_WIDTH * over // max(total, 1)
    name = store.metadata.get("name", "experiment")
    parts = [
        f"{name} {store.status} [{'#' * done}{'.' * (_BAR_WIDTH - done)}] {over} of {total}",
        count_line(store),
        format_duration(store.elapsed()),
        best_line(store),
    ]
    text = "".join(c if c.isprintable() else " " for c in ", ".join(part for part in parts if part))
    return text if len(text) <= width else f"{text[: width - 1]}…"


class ProgressLine:
    """A context in which a progress line is shown and updated every second.

    Args:
        store: the experiment's state.
        out: where to write; nothing is written if it is not a terminal.
    """

    def __init__(self, store: Store, out: TextIO) -> None:
        self._store, self._out = store, out
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="nbtune-line", daemon=True)

    def __enter__(self) -> ProgressLine:
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
            over = self._done.wait(_INTERVAL) or self._store.status in ENDED
            text = progress_line(self._store, shutil.get_terminal_size().columns - 1)
            self._out.write(f"\r\x1b[K{text}")
            self._out.flush()
        self._out.write("\n")
        self._out.flush()
