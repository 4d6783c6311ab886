"""The table of the static picture: the best trials, and the same as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nbtune.results.columns import ABSENT
from nbtune.results.state import TrialState
from nbtune.results.store import Store
from nbtune.results.values import adjective
from nbtune.views.still.picture import Measure, clean, cut
from nbtune.views.text import best_numbers, number, status_of, status_word

__all__ = ["SIGNS", "Cells", "fit", "plain_table", "shown", "table"]

SIGNS = {
    "pending": "○", "running": "●", "paused": "‖", "finished": "✓", "stopped": "■", "failed": "✗", "lost": "✗",
    "unread": "✗", "unfinished": "◐",
}  # fmt: skip
"""Status -> sign: colour must not be the only distinction."""

_MAX_CELL = 60  # characters, before the width is measured
_MAX_METRICS = 3  # columns of an experiment without a metric of its own


@dataclass(frozen=True)
class Cells:
    """A column as text.

    Attributes:
        title: its title.
        cells: one per row.
        kind: "trial", "status", "configuration", "parameter", "metric", "value", "mean", "iterations" or "more".
        right: whether it is aligned to the right, as numbers are.
        width: its width; 0 until it is measured.
    """

    title: str
    cells: Sequence[str]
    kind: str
    right: bool = False
    width: float = 0


def shown(value: Any, longest: int = _MAX_CELL) -> str:
    """Return a value as text of a cell.

    Args:
        value: of a parameter or a metric; `ABSENT` becomes an empty string.
        longest: the maximum number of characters.
    """
    if value is ABSENT:
        return ""
    return clean(number(value), longest)


def table(store: Store, states: Sequence[TrialState]) -> list[Cells]:
    """Return the columns of trials: number, status, configuration, parameters, metric, iterations.

    The best trial has a star, as those on the Pareto front have, and the repeats of the best configuration.

    Args:
        store: the experiment's state.
        states: the trials.
    """
    configs = [state.parameters for state in states]
    parameters = list(
        dict.fromkeys([*store.metadata.get("space", {}), *(name for config in configs for name in config)])
    )
    own = [objective.metric for objective in store.objectives]
    metrics = own or store.metrics()[:_MAX_METRICS]
    front = store.front() if len(own) > 1 else []
    starred = best_numbers(store) | {state.number for state in front}
    marks = ["★ " if state.number in starred else "" for state in states]
    numbers = [f"{mark}{state.number}" for mark, state in zip(marks, states, strict=True)]
    statuses = [status_of(store, state) for state in states]
    words = [f"{SIGNS.get(status, '')} {status_word(status)}" for status in statuses]
    return [
        Cells("trial", numbers, "trial", right=True),
        Cells("status", words, "status"),
        *_configurations(store, states),
        *(_column(name, [config.get(name, ABSENT) for config in configs], "parameter") for name in parameters),
        *(_column(name, [state.metrics.get(name, ABSENT) for state in states], "metric") for name in metrics),
        *(_mean_column(store, states) if store.repeat > 1 else _value_columns(store, states)),
        _column("iterations", [state.iterations for state in states], "iterations"),
    ]


def _value_columns(store: Store, states: Sequence[TrialState]) -> list[Cells]:
    """Return the column of the value by which trials are compared. With scope "last" it is the metric itself."""
    if store.scope == "last" or all(state.iterations <= 1 for state in states):
        return []
    columns = []
    for position, objective in enumerate(store.objectives):
        found = [state.values[position].value if state.values else None for state in states]
        values = [ABSENT if value is None else value for value in found]
        columns.append(_column(f"{adjective(store.scope)} {objective.metric}", values, "value"))
    return columns


def _configurations(store: Store, states: Sequence[TrialState]) -> list[Cells]:
    """Return the column of the configurations, where each is trained several times."""
    if store.repeat == 1:
        return []
    numbers = [ABSENT if state.configuration is None else state.configuration for state in states]
    return [_column("configuration", numbers, "configuration")]


def _mean_column(store: Store, states: Sequence[TrialState]) -> list[Cells]:
    """Return the column of the mean of each configuration, by which trials are compared where it is repeated."""
    if store.metric is None:
        return []
    means = [store.configuration_of(state).mean for state in states]
    return [_column(f"mean {store.metric}", [ABSENT if mean is None else mean for mean in means], "mean")]


def _column(name: str, values: Sequence[Any], kind: str) -> Cells:
    numeric = all(value is ABSENT or type(value) in (int, float) for value in values)
    return Cells(clean(name, _MAX_CELL), [shown(value) for value in values], kind, numeric)


def fit(columns: Sequence[Cells], width: float, gap: float, widest: float, measure: Measure) -> list[Cells]:
    """Return the columns that fit: as many parameters as possible, then the number of the others.

    Args:
        columns: the table.
        width: the available width.
        gap: the space between two columns.
        widest: the maximum width of a column.
        measure: returns the width of a text.
    """
    columns = [_narrowed(column, widest, measure) for column in columns]
    parameters = [column for column in columns if column.kind == "parameter"]
    room = width + gap - sum(column.width + gap for column in columns if column.kind != "parameter")
    count = 0
    for count in range(len(parameters), -1, -1):
        more = _more(len(parameters) - count, columns, measure)
        if sum(column.width + gap for column in (*parameters[:count], *more)) <= room:
            break
    more = _more(len(parameters) - count, columns, measure)
    head = [column for column in columns if column.kind in {"trial", "status", "configuration"}]
    tail = [column for column in columns if column.kind in {"metric", "value", "mean", "iterations"}]
    return [*head, *parameters[:count], *more, *tail]


def _narrowed(column: Cells, widest: float, measure: Measure) -> Cells:
    title = cut(column.title, widest, measure)
    cells = [cut(cell, widest, measure) for cell in column.cells]
    return replace(column, title=title, cells=cells, width=max(map(measure, (title, *cells))))


def _more(count: int, columns: Sequence[Cells], measure: Measure) -> list[Cells]:
    if not count:
        return []
    title = f"+ {count} more"
    return [Cells(title, [""] * len(columns[0].cells), "more", width=measure(title))]


def plain_table(columns: Sequence[Cells], width: int = 100) -> str:
    """Return the table as text.

    Args:
        columns: the table.
        width: the maximum number of characters of a line.
    """
    fitted = fit(columns, width, 2, 18, len)
    rows = zip(*([column.title, *column.cells] for column in fitted), strict=True)
    lines = []
    for row in rows:
        cells = [
            cell.rjust(int(column.width)) if column.right else cell.ljust(int(column.width))
            for cell, column in zip(row, fitted, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
