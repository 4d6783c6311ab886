"""All reports of an experiment's trials, as columns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nbtune.engine.protocol.chunk import Chunk
from nbtune.engine.protocol.events import TrialReported
from nbtune.results.columns import ABSENT, Column, column_of, current_rows, headings, with_expected
from nbtune.spec.space.values import same

__all__ = ["Points", "Reports"]

Points = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Of the reports that have a metric: trial (int32), iteration (int32), time_s (float64), value (float64)."""
_Keys = tuple[np.ndarray, np.ndarray, np.ndarray]  # trial, iteration, time_s


@dataclass(frozen=True)
class _Change:
    """A change of a trial's parameters before the report with the number `row`."""

    row: int
    trial: int
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class Reports:
    """All reports in the order in which they came, fed and read as the store is.

    Args:
        lock: the store's.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._keys: list[_Keys] = []
        self._metrics: dict[str, Column] = {}
        self._length = 0
        self._is_repeated = False
        self._changes: list[_Change] = []
        self._history: tuple[tuple[int, int, tuple[str, ...]], pd.DataFrame] | None = None

    def __len__(self) -> int:
        return self._length

    def add(self, chunk: Chunk, *, is_repeated: bool) -> None:
        """Add the reports of a chunk.

        Args:
            chunk: the next events.
            is_repeated: whether a trial makes earlier reports again, since it was retried from a checkpoint.
        """
        reported = chunk.rows_of(TrialReported)
        place = np.full(len(chunk), -1)
        place[reported] = np.arange(len(reported))
        self._keys.append((chunk.trial[reported], chunk.iteration[reported], chunk.time_s[reported]))
        for name, rows, values in chunk.metrics_of(TrialReported):
            self._metrics.setdefault(name, Column()).add(self._length + place[rows], values)
        self._length += len(reported)
        self._is_repeated = self._is_repeated or is_repeated

    def add_change(self, row: int, trial: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Add a change of a trial's parameters.

        Args:
            row: the number of the first report after it, of any trial.
            trial: the trial's number.
            before: the parameters of the trial before the change.
            after: the parameters after it.
        """
        self._changes.append(_Change(row, trial, before, after))

    def values(self, metric: str, since: int) -> np.ndarray:
        """Return the values of a metric in the reports from number `since` on, as float64.

        Args:
            metric: a metric that was reported.
            since: the number of the first report.
        """
        return self._metrics[metric].floats(since)[1]

    def metrics(self) -> list[str]:
        """Return the names of all metrics that were reported."""
        with self._lock:
            return list(self._metrics)

    def numeric_metrics(self) -> list[str]:
        """Return the names of the metrics that have numbers among their values."""
        with self._lock:
            return [name for name, column in self._metrics.items() if column.numeric]

    def points(self, metric: str, since: int) -> tuple[int, Points]:
        """Return a metric's values in the reports from number `since` on, in the order in which they came.

        Args:
            metric: its name.
            since: how many reports are known already.

        Returns:
            How many reports there are now, and the points, each array of shape (n,). Values other than numbers are NaN.
        """
        with self._lock:
            pieces, start = [], self._length
            for piece in reversed(self._keys):
                if start <= since:
                    break
                pieces.append(piece)
                start -= len(piece[0])
            column = self._metrics.get(metric)
            if not pieces or column is None:
                empty = np.array([], np.int32)
                return self._length, (empty, empty, np.array([], float), np.array([], float))
            rows, values = column.floats(max(since, start))
            trial, iteration, time_s = (
                np.concatenate(parts[::-1])[rows - start] for parts in zip(*pieces, strict=True)
            )
            return self._length, (trial, iteration, time_s, values)

    def history(self, parameters: Callable[[int], Mapping[str, Any]], expected: Collection[str] = ()) -> pd.DataFrame:
        """Return one row for each report: trial, iteration, time_s and the metrics.

        Parameters that a scheduler has changed in any trial have a column each, with the value of each report.

        A trial that is retried resumes from its last checkpoint, and repeats the reports that came after it. The
        reports of the failed attempt are left out, so that each iteration occurs once.

        Args:
            parameters: returns the present parameters of a trial, by its number.
            expected: metrics that have a column even if they were not reported yet.
        """
        with self._lock:
            state = (self._length, len(self._changes), tuple(expected))
            if self._history is not None and self._history[0] == state:
                return self._history[1].copy()
            empty = (np.array([], np.int32), np.array([], np.int32), np.array([], float))
            trial, iteration, time_s = (np.concatenate(column) for column in zip(*(self._keys or [empty]), strict=True))
            self._keys = [(trial, iteration, time_s)]
            frame = pd.DataFrame({"trial": trial, "iteration": iteration, "time_s": time_s}).astype(
                {"trial": "int64", "iteration": "int64"}
            )
            none = pd.Series(np.full(self._length, np.nan))
            columns = {
                name: self._metrics[name].series(self._length) if name in self._metrics else none
                for name in with_expected(expected, self._metrics)
            }
            shown = headings(columns, "metrics", frame.columns)
            named = {shown[name]: column for name, column in columns.items()}
            changed = self._changed_parameters(trial, parameters)
            shown = headings(changed, "config", [*frame.columns, *named])
            named |= {shown[name]: column for name, column in changed.items()}
            frame = pd.concat([frame, pd.DataFrame(named)], axis=1)
            if self._is_repeated:
                frame = frame[current_rows(frame)].reset_index(drop=True)
            self._history = (state, frame)
            return frame.copy()

    def _changed_parameters(
        self, trial: np.ndarray, parameters: Callable[[int], Mapping[str, Any]]
    ) -> dict[str, pd.Series[Any]]:
        """Return the parameters that were changed in any trial -> the value with which each report was made."""
        names = dict.fromkeys(
            name
            for change in self._changes
            for name in {**change.before, **change.after}
            if not same(change.before.get(name, ABSENT), change.after.get(name, ABSENT))
        )
        columns: dict[str, pd.Series[Any]] = {}
        for name in names:
            present = {number: parameters(number).get(name, ABSENT) for number in np.unique(trial).tolist()}
            values = [present[number] for number in trial.tolist()]
            for change in reversed(self._changes):  # from the present values back
                for row in np.flatnonzero(trial[: change.row] == change.trial).tolist():
                    values[row] = change.before.get(name, ABSENT)
            columns[name] = column_of(values, pd.RangeIndex(len(values)))
        return columns
