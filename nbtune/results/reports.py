"""All reports of an experiment's trials, as columns."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nbtune.engine.protocol.chunk import Chunk
from nbtune.engine.protocol.events import TrialReported
from nbtune.engine.protocol.recorded_space import parameters_of
from nbtune.results.columns import ABSENT, Column, column_of, current_rows, headings, valid_iterations, with_expected
from nbtune.spec.space.values import same

__all__ = ["Configuration", "Points", "Reports", "configuration_of"]

Points = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Of the reports that have a metric: trial (int32), iteration (int32), time_s (float64), value (float64)."""
_Keys = tuple[np.ndarray, np.ndarray, np.ndarray]  # trial, iteration, time_s


class Configuration(NamedTuple):
    """The parameters of a trial.

    Attributes:
        nested: as the trial has them.
        parameters: by their names: nested parameters have joined names, "a/b".
    """

    nested: dict[str, Any]
    parameters: dict[str, Any]


def configuration_of(config: Mapping[str, Any], space: Mapping[str, Any]) -> Configuration:
    """Return parameters in the order of the space; Optuna's are in the order of its suggestions.

    Args:
        config: the parameters, nested.
        space: the recorded parameters of the space, by name.
    """
    known = dict.fromkeys(name.partition("/")[0] for name in space)
    ordered = {**{name: config[name] for name in known if name in config}, **config}
    return Configuration(ordered, parameters_of(ordered, space))


@dataclass(frozen=True)
class _Change:
    """A change of a trial's parameters before the report with the number `row`."""

    row: int
    before: Configuration
    after: Configuration


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
        self._changes: dict[int, list[_Change]] = {}  # by trial
        self._number_of_changes = 0
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

    def add_change(self, row: int, trial: int, before: Configuration, after: Configuration) -> None:
        """Add a change of a trial's parameters.

        Args:
            row: the number of the first report after it, of any trial.
            trial: the trial's number.
            before: the parameters of the trial before the change.
            after: the parameters after it.
        """
        self._changes.setdefault(trial, []).append(_Change(row, before, after))
        self._number_of_changes += 1

    def configuration(self, trial: int, row: int, present: Configuration) -> Configuration:
        """Return the parameters with which a report was made; without a report, those at first.

        Args:
            trial: the trial's number.
            row: the number of its report, or -1 before the first one.
            present: the present parameters, or those of its last report.
        """
        for change in reversed(self._changes.get(trial, [])):
            if change.row <= row:
                break
            present = change.before
        return present

    def numbers(self, metric: str, since: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the numbers that were reported as a metric, from report number `since` on, in order.

        Args:
            metric: its name.
            since: the number of the first report.

        Returns:
            Of each: trial, iteration, the number of the report, and the number itself, float64. Each has shape (n,).
        """
        column = self._metrics.get(metric)
        if column is None:
            return (*3 * (np.array([], np.int64),), np.array([], float))
        rows, values = column.numbers(since)
        start, (trial, iteration, _) = self._keys_since(since)
        return trial[rows - start], iteration[rows - start], rows, values

    def value_at(self, metric: str, row: int) -> Any:
        """Return the value of a metric in a report; `ABSENT` if it has none.

        Args:
            metric: a metric that was reported.
            row: the number of the report.
        """
        return self._metrics[metric].value_at(row)

    def first_of(self, trial: int, since: int) -> tuple[int, int, float] | None:
        """Return the first report of a trial from report number `since` on: its number, iteration and time_s.

        Args:
            trial: the trial's number.
            since: the number of the first report that counts, of any trial.

        Returns:
            None if the trial has made none since.
        """
        start, (trials, iteration, time_s) = self._keys_since(since)
        at, width = since - start, 1024
        while at < len(trials):  # the next report of a trial is rarely far away
            if (found := np.flatnonzero(trials[at : at + width] == trial)).size:
                at += int(found[0])
                return start + at, int(iteration[at]), float(time_s[at])
            at, width = at + width, 2 * width
        return None

    def row_of(self, trial: int, iteration: int | None = None, before: int | None = None) -> int | None:
        """Return the number of the last report of a trial.

        Args:
            trial: the trial's number.
            iteration: the iteration of that report; None for any.
            before: the number of a report that is later; None if any report counts.

        Returns:
            None if there is no such report.
        """
        _, (trials, made, _) = self._keys_since(0)
        is_found = trials[:before] == trial
        found = np.flatnonzero(is_found if iteration is None else is_found & (made[:before] == iteration))
        return int(found[-1]) if found.size else None

    def valid_rows(self, trial: int) -> np.ndarray:
        """Return the numbers of a trial's reports that it has not repeated after a restart from a checkpoint.

        Args:
            trial: the trial's number.
        """
        _, (trials, iteration, _) = self._keys_since(0)
        rows = np.flatnonzero(trials == trial)
        valid: np.ndarray = rows[valid_iterations(iteration[rows])]
        return valid

    def times_at(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the iterations and the seconds of reports.

        Args:
            rows: the numbers of the reports.
        """
        with self._lock:
            _, (_, iteration, time_s) = self._keys_since(0)
            return iteration[rows], time_s[rows]

    def values_at(self, metric: str, rows: np.ndarray) -> np.ndarray:
        """Return the numbers that reports have as a metric, float64; NaN where there is none.

        Args:
            metric: its name.
            rows: the numbers of the reports, ascending.
        """
        with self._lock:
            column, found = self._metrics.get(metric), np.full(len(rows), np.nan)
            if column is not None and len(rows):
                known, values = column.numbers(int(rows[0]))
                place = np.searchsorted(known, rows)
                has_value = np.append(known, -1)[place] == rows
                found[has_value] = values[place[has_value]]
            return found

    def metrics_at(self, trial: int, iterations: Collection[int]) -> dict[int, dict[str, Any]]:
        """Return the metrics of reports of one trial: iteration -> metric -> value; none without that report.

        Args:
            trial: the trial's number.
            iterations: the iterations; the last report of each counts.
        """
        with self._lock:
            _, (trials, made, _) = self._keys_since(0)
            own = np.flatnonzero(trials == trial)
            rows = dict(zip(made[own].tolist(), own.tolist(), strict=True))  # a dictionary keeps the last of equal keys
            return {at: self._metrics_of(rows[at]) if at in rows else {} for at in iterations}

    def _metrics_of(self, row: int) -> dict[str, Any]:
        found = {name: column.value_at(row) for name, column in self._metrics.items()}
        return {name: value for name, value in found.items() if value is not ABSENT}

    def _keys_since(self, since: int) -> tuple[int, _Keys]:
        """Return the keys of the reports from number `since` on and some before, and the number of the first one."""
        pieces, start = [], self._length
        for piece in reversed(self._keys):
            if start <= since:
                break
            pieces.append(piece)
            start -= len(piece[0])
        if not pieces:
            empty = np.array([], np.int32)
            return start, (empty, empty, np.array([], float))
        if len(pieces) == 1:
            return start, pieces[0]
        trial, iteration, time_s = (np.concatenate(parts[::-1]) for parts in zip(*pieces, strict=True))
        if not start:  # all of them: they need not be put together again
            self._keys = [(trial, iteration, time_s)]
        return start, (trial, iteration, time_s)

    def keys(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the trial, the iteration and the number of each report, in the order in which they came."""
        with self._lock:
            _, (trial, iteration, _) = self._keys_since(0)
            return trial, iteration, np.arange(len(trial))

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
            column = self._metrics.get(metric)
            start, keys = self._keys_since(since)
            if column is None:
                empty = np.array([], np.int32)
                return self._length, (empty, empty, np.array([], float), np.array([], float))
            rows, values = column.floats(max(since, start))
            trial, iteration, time_s = (part[rows - start] for part in keys)
            return self._length, (trial, iteration, time_s, values)

    def history(self, parameters: Callable[[int], Mapping[str, Any]], expected: Collection[str] = ()) -> pd.DataFrame:
        """Return one row for each report: trial, iteration, time_s and the metrics.

        Parameters that a scheduler has changed in any trial have a column each, with the value of each report.

        A trial that is retried resumes from its last checkpoint, and repeats the reports that came after it. The
        reports of the failed attempt are left out, so that each iteration occurs once.

        Args:
            parameters: returns the parameters of a trial's last report, by its number.
            expected: metrics that have a column even if they were not reported yet.
        """
        with self._lock:
            state = (self._length, self._number_of_changes, tuple(expected))
            if self._history is not None and self._history[0] == state:
                return self._history[1].copy()
            _, (trial, iteration, time_s) = self._keys_since(0)
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
            for change in itertools.chain.from_iterable(self._changes.values())
            for name in {**change.before.parameters, **change.after.parameters}
            if not same(change.before.parameters.get(name, ABSENT), change.after.parameters.get(name, ABSENT))
        )
        columns: dict[str, pd.Series[Any]] = {}
        for name in names:
            latest = {number: parameters(number).get(name, ABSENT) for number in np.unique(trial).tolist()}
            values = [latest[number] for number in trial.tolist()]
            for number, changes in self._changes.items():
                rows = np.flatnonzero(trial == number)
                for change in reversed(changes):  # from the last values back
                    for row in rows[: np.searchsorted(rows, change.row)].tolist():
                        values[row] = change.before.parameters.get(name, ABSENT)
            columns[name] = column_of(values, pd.RangeIndex(len(values)))
        return columns
