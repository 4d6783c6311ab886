"""The table of trials as messages: its columns, and the rows that have changed."""

from __future__ import annotations

import math
from typing import Any

from nbtune.engine.protocol.recorded_space import RecordedParameter
from nbtune.results.columns import ABSENT
from nbtune.results.no_value import no_value_note
from nbtune.results.state import NO_VALUE, TrialState
from nbtune.results.store import ENDED, Store
from nbtune.results.values import adjective
from nbtune.spec.space.values import label
from nbtune.views.text import status_of, stop_text

__all__ = ["TableRows", "cell", "parameter_kind"]

_MAX_CELL = 200  # characters
_MAX_DOMAIN = 2000  # characters of a parameter's domain
_MAX_CHOICES = 200  # values of a parameter that are offered one by one
_MAX_INTEGER = 2**53  # JavaScript's numbers are exact below


def cell(value: Any) -> Any:
    """Return a value as a cell of the table: a JSON value, with long text shortened; see widgets/README.md.

    Args:
        value: of a parameter or a metric; `ABSENT` becomes an empty text, and an empty text two quotes.
    """
    if value is ABSENT:
        return ""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and abs(value) < _MAX_INTEGER:
        return value
    return _shortened(value if isinstance(value, str) and value else label(value), _MAX_CELL)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def parameter_kind(recorded: RecordedParameter | None) -> str | None:
    """Return the kind of a parameter's values: "int", "float", "choice" or "any"; None for one outside the space.

    Args:
        recorded: the parameter's domain in the event log.
    """
    if recorded is None:
        return None
    kind = recorded["kind"]
    if kind in {"choice", "grid_search"}:
        return "choice"
    if kind.endswith("randint"):
        return "int"
    return "float" if kind.endswith(("uniform", "randn")) else "any"


class TableRows:
    """The table of an experiment; each message has only what has changed.

    Args:
        store: the experiment's state.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parameters: dict[str, None] = {}
        self._columns: list[dict[str, Any]] | None = None
        self._sent_version = 0  # the store's version at the last message
        self._best: list[int] = []
        self._noted: set[int] = set()  # the trials with an error, or without a value
        self._over = False  # whether the experiment was over at the last message
        self._generation = store.generation

    def message(self, *, everything: bool = False) -> dict[str, Any] | None:
        """Return what has changed since the last message, or None.

        Args:
            everything: send the whole table.
        """
        store = self._store
        version = store.version
        over = store.status in ENDED
        if everything or store.generation != self._generation:
            everything = True
            changed = store.states()
            self._noted.clear()
        else:
            changed = store.changes.since(self._sent_version)
            if store.repeat > 1:  # the mean of a configuration is in the rows of all its trials
                repeated = {s.number: s for state in changed for s in store.configuration_of(state).states}
                changed = [repeated[number] for number in sorted(repeated)]
            if over != self._over:  # the status of trials that have not ended is shown in another way
                numbers = {state.number for state in changed}
                changed = [
                    s
                    for s in store.states()
                    if s.number in numbers or s.status not in ENDED or s.reason == "experiment"
                ]
        for state in changed:
            self._parameters.update(dict.fromkeys(state.parameters))
            if state.error or no_value_note(state, store.objectives):
                self._noted.add(state.number)
            else:
                self._noted.discard(state.number)
        columns = self._describe(bool(self._noted))
        objectives = store.objectives
        best = [state.number for state in store.best_trials()] if len(objectives) == 1 else []
        front = [state.number for state in store.front()] if len(objectives) > 1 else []
        reset = everything or columns != self._columns
        if not (reset or changed or best != self._best):  # the front changes with a trial only
            return None
        self._columns, self._sent_version, self._best = columns, version, best
        self._over, self._generation = over, store.generation
        paused = store.states() if store.counts["paused"] else []
        return {
            "type": "table",
            "reset": reset,
            "columns": columns,
            "rows": [self._row(state) for state in (store.states() if reset else changed)],
            "best": best,
            "front": front,
            "by_scheduler": [s.number for s in paused if s.status == "paused" and s.reason == "scheduler"],
            "stopped": [
                [s.number, stop_text(store, s)] for s in (store.states() if reset else changed) if s.status == "stopped"
            ],
            "name": store.metadata.get("name", ""),
            "objectives": [[objective.metric, objective.mode] for objective in objectives],
        }

    def _describe(self, failed: bool) -> list[dict[str, Any]]:
        """Return the columns: the objectives, the parameters, the other metrics, the rest."""
        store = self._store
        space = store.metadata.get("space", {})
        metrics = store.metrics()
        columns = []
        own = [objective.metric for objective in store.objectives]
        for metric in filter(metrics.__contains__, own):  # the most interesting columns are the first
            columns.append(_column(f"metric/{metric}", metric, "metric"))
            columns += _value_columns(metric, store.scope, alone=len(own) == 1)
        if store.repeat > 1:
            columns += [_column(f"mean/{metric}", f"mean {metric}", "mean") for metric in own if metric in metrics]
            columns += [_column(name, name, name) for name in ("configuration", "repeat")]
        metrics = [name for name in metrics if name not in own]
        for name in {**dict.fromkeys(space), **self._parameters}:
            recorded = space.get(name, RecordedParameter())
            shown = f"config/{name}" if name in store.metrics() else name
            kind = parameter_kind(space.get(name))
            if kind == "choice" and len(recorded["values"]) > _MAX_CHOICES:
                kind = "any"  # such as a grid of 10,000 numbers
            cells = [*map(cell, recorded["values"])] if kind == "choice" else None
            log = "log" in (recorded.get("of") or recorded).get("kind", "")
            column = _column(f"config/{name}", shown, "param", log, cells)
            columns.append({**column, "kind": kind, "space": _shortened(recorded.get("text", ""), _MAX_DOMAIN)})
        columns += [_column(f"metric/{name}", name, "metric") for name in metrics]
        columns += [_column("iterations", "iterations", "iterations"), _column("time_s", "time (s)", "time_s")]
        return [*columns, _column("error", "error", "error")] if failed else columns

    def _row(self, state: TrialState) -> list[Any]:
        assert self._columns is not None
        config = state.parameters
        objectives = self._store.objectives
        error = state.error or no_value_note(state, objectives) or ABSENT
        found = {objective.metric: one for objective, one in zip(objectives, state.values, strict=False)}
        values = {
            "value_iteration": ABSENT if state.single.iteration is None else state.single.iteration,
            "iterations": state.iterations,
            "time_s": ABSENT if math.isnan(state.time_s) else state.time_s,
            "configuration": ABSENT if state.configuration is None else state.configuration,
            "repeat": state.repeat,
            "mean": ABSENT,
        }
        if self._store.repeat > 1 and (mean := self._store.configuration_of(state).mean) is not None:
            values["mean"] = mean
        row: list[Any] = [state.number, status_of(self._store, state)]
        for column in self._columns:
            role, name = column["role"], column["key"].partition("/")[2]
            if role == "param":
                row.append(cell(config.get(name, ABSENT)))
            elif role == "metric":
                row.append(cell(state.metrics.get(name, ABSENT)))
            elif role == "value":
                value = found.get(name, NO_VALUE).value
                row.append(cell(ABSENT if value is None else value))
            else:
                row.append(cell({**values, "error": error}[role]))
        return row


def _value_columns(metric: str, scope: str, *, alone: bool) -> list[dict[str, Any]]:
    """Return the columns of the value by which trials are compared. With scope "last" it is the metric itself."""
    if scope == "last":
        return []
    at = [_column("value_iteration", "best at", "value_iteration")] if scope == "all" and alone else []
    return [_column(f"value/{metric}", f"{adjective(scope)} {metric}", "value"), *at]


def _column(key: str, shown: str, role: str, log: bool = False, choices: list[Any] | None = None) -> dict[str, Any]:
    return {"key": key, "label": shown, "role": role, "log": log, "choices": choices}
