"""The table as messages for the browser: columns, and the rows of the trials that have changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nbtune.results.columns import ABSENT
from nbtune.results.state import TrialState
from nbtune.results.store import Store, flat
from nbtune.spec.space.values import label
from nbtune.views.text import status_of

__all__ = ["Rows", "cell", "kind_of"]

_LONGEST = 200  # characters of a cell
_WHOLE = 2**53  # above it JavaScript's numbers skip whole numbers


def cell(value: Any) -> Any:
    """Return a parameter's or metric's value as a cell: a JSON value, shortened; see widgets/README.md."""
    if value is ABSENT or value is None or isinstance(value, bool):
        return None if value is ABSENT else value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and abs(value) < _WHOLE:
        return value
    text = value if isinstance(value, str) else label(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def kind_of(known: Mapping[str, Any] | None) -> str | None:
    """Return what a parameter takes: "int", "float", "choice", or "any"; None for one that is not of the space.

    Args:
        known: what the log keeps of its space.
    """
    if known is None:
        return None
    kind = known["kind"]
    if kind in {"choice", "grid_search"}:
        return "choice"
    if kind.endswith("randint"):
        return "int"
    return "float" if kind.endswith(("uniform", "randn")) else "any"


class Rows:
    """The table of an experiment, told in pieces.

    Args:
        store: the experiment's state.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parameters: dict[str, None] = {}
        self._columns: list[dict[str, Any]] | None = None
        self._told = 0  # the store's version when it was last told
        self._best: int | None = None
        self._statuses: dict[int, str] = {}  # as they were told
        self._generation = store.generation

    def message(self, *, everything: bool = False) -> dict[str, Any] | None:
        """Return what has changed since the last message, or None.

        Args:
            everything: begin again: the browser knows nothing.
        """
        store = self._store
        version = store.version
        states = store.states()
        statuses = {state.number: status_of(store, state) for state in states}
        changed = [s for s in states if s.changed > self._told or statuses[s.number] != self._statuses.get(s.number)]
        for state in changed:
            self._parameters.update(dict.fromkeys(name for name, _ in flat(state.config)))
        columns = self._describe(any(state.error for state in states))
        best = store.best()
        number = best.number if best else None
        reset = everything or columns != self._columns or store.generation != self._generation
        if not (reset or changed or number != self._best):
            return None
        self._columns, self._told, self._best = columns, version, number
        self._statuses, self._generation = statuses, store.generation
        return {
            "type": "table",
            "reset": reset,
            "columns": columns,
            "rows": [self._row(state) for state in (states if reset else changed)],
            "best": number,
            "by_scheduler": [s.number for s in states if s.status == "paused" and s.reason == "scheduler"],
            "metric": store.metric,
            "mode": store.metadata.get("mode"),
        }

    def _describe(self, failed: bool) -> list[dict[str, Any]]:
        """Return the columns: the experiment's own metric, the parameters, the other metrics, the rest."""
        store = self._store
        space: dict[str, dict[str, Any]] = store.metadata.get("space", {})
        metrics = store.metrics()
        columns = []
        if store.metric in metrics:  # first, for it is what one looks for
            metrics.remove(store.metric)
            columns = [
                _column(f"metric/{store.metric}", store.metric, "metric"),
                _column("best", f"best {store.metric}", "best"),
            ]
        for name in {**dict.fromkeys(space), **self._parameters}:
            known = space.get(name, {})
            shown = f"config/{name}" if name in store.metrics() else name
            kind = kind_of(space.get(name))
            cells = [*map(cell, known["values"])] if kind == "choice" else None
            log = "log" in (known.get("of") or known).get("kind", "")
            column = _column(f"config/{name}", shown, "param", log, cells)
            columns.append({**column, "kind": kind, "space": known.get("text", "")})
        columns += [_column(f"metric/{name}", name, "metric") for name in metrics]
        columns += [_column("iterations", "iterations", "iterations"), _column("time_s", "time (s)", "time_s")]
        return [*columns, _column("error", "error", "error")] if failed else columns

    def _row(self, state: TrialState) -> list[Any]:
        assert self._columns is not None
        config = dict(flat(state.config))
        values = {"iterations": state.iterations, "time_s": None if math.isnan(state.time_s) else state.time_s}
        row: list[Any] = [state.number, status_of(self._store, state)]
        for column in self._columns:
            role, name = column["role"], column["key"].partition("/")[2]
            if role == "param":
                row.append(cell(config.get(name, ABSENT)))
            elif role == "metric":
                row.append(cell(state.metrics.get(name, ABSENT)))
            else:
                row.append(cell({**values, "best": state.best, "error": state.error}[role]))
        return row


def _column(key: str, shown: str, role: str, log: bool = False, choices: list[Any] | None = None) -> dict[str, Any]:
    return {"key": key, "label": shown, "role": role, "log": log, "choices": choices}
