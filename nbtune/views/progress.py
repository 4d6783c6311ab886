"""The live line under a cell: a bar, the counts, the best so far and the time."""

from __future__ import annotations

import html
import threading
import time
from typing import Any

import ipywidgets

from nbtune.spec.units import format_duration
from nbtune.store import ENDED, Store
from nbtune.views.text import best_line, count_line, summary

__all__ = ["Progress"]

_EVERY = 0.2  # seconds between two changes on the screen


class Progress:
    """A progress line of an experiment.

    Args:
        store: the experiment's state.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._shown = 0.0
        self._closed = threading.Event()
        self._bar = ipywidgets.FloatProgress(
            min=0, max=1, layout={"width": "260px", "height": "14px", "margin": "0 12px"}
        )
        self._title = ipywidgets.HTML()
        self._counts = ipywidgets.HTML()
        self._best = ipywidgets.HTML()
        first = ipywidgets.HBox(
            [self._title, self._bar, self._counts], layout={"align_items": "center", "flex_flow": "row wrap"}
        )
        self.widget = ipywidgets.VBox([first, self._best])
        self.draw()
        threading.Thread(target=self._tick, name="nbtune-clock", daemon=True).start()

    def mimebundle(self) -> dict[str, Any]:
        """Return what to display: the widget, and text for where no widget is."""
        bundle = dict(self.widget._repr_mimebundle_())
        bundle["text/plain"] = summary(self._store)
        return bundle

    def update(self) -> None:
        """Show the present state, unless the last change was just now. Listens to the experiment."""
        if self._store.status in ENDED or time.monotonic() - self._shown >= _EVERY:
            self.draw()

    def _tick(self) -> None:
        """Let the clock go on while nothing is reported."""
        while not self._closed.wait(1.0):
            self.draw()

    def draw(self) -> None:
        """Show the present state."""
        with self._lock:
            self._shown = time.monotonic()
            store, facts = self._store, self._store.facts
            over, total = store.progress()
            self._bar.value = over / max(total, 1)
            self._bar.bar_style = {
                "finished": "success",
                "failed": "danger",
                "lost": "danger",
                "stopped": "warning",
            }.get(store.status, "info")
            mark = {"finished": "✓", "failed": "✗", "lost": "✗", "stopped": "■"}.get(store.status, "●")
            self._title.value = (
                f"<b>{html.escape(str(facts.get('name', 'experiment')))}</b> {mark} {html.escape(store.status)}"
            )
            self._counts.value = html.escape(
                f"{over} of {total} · {count_line(store)} · {format_duration(store.elapsed())}"
            )
            self._best.value = html.escape(best_line(store) or self._hint())
            if store.status in ENDED:
                self._closed.set()

    def _hint(self) -> str:
        if self._store.facts.get("error"):
            return str(self._store.facts["error"])
        if self._store.status in {"pending", "running"} and not self._store.counts["running"]:
            return "starting the trials' processes"
        failed = next((state for state in self._store.states() if state.status == "failed"), None)
        return f"trial {failed.number} failed: {failed.error}" if failed else ""
