"""The workers of distributed trials: where they run, what each reports, and which are slow."""

from __future__ import annotations

import math
import statistics
import threading
from collections import defaultdict, deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from nbtune.engine.protocol.chunk import Chunk
from nbtune.engine.protocol.events import CPU, SECONDS, WAITED, WorkerReported, WorkersStarted
from nbtune.results.columns import (
    ABSENT,
    Column,
    column_of,
    current_rows,
    groups,
    headings,
    python_values,
    with_expected,
)

__all__ = ["Worker", "Workers"]

_OWN = (SECONDS, WAITED, CPU)
_RECENT = 10  # reports whose median is shown, so that slow first reports soon do not count
_RANKS = 1 << 15  # more than any rank, which is an int16
# A straggler takes a fifth longer than the median, and longer than jitter of some ms. The median of two workers is
# between them, so that one has to take half as long again as the other.
_SLOWER, _SLOWER_S = 1.2, 0.05
_MIN_REPORTS = 3  # reports of a worker before it can be a straggler
_FIXED = ("node", "pid", "gpus", "iteration", *_OWN, "straggler")
_KEYS = ("trial", "worker_group", "rank", "iteration", "time_s")
_TYPES = (np.int32, np.int32, np.int16, np.int32, np.float64)


@dataclass(frozen=True)
class Worker:
    """One worker at present.

    Attributes:
        rank: its rank.
        node: the address of its node, or "".
        pid: its process, or None.
        gpus: the numbers of its GPUs.
        iteration: the number of its trial's reports at its last report, or at its start.
        seconds: the median time between two of its last ten reports, without waiting for other workers; NaN if unknown.
        waited: the median time that it then waited for other workers, or NaN.
        cpu: the median CPU time of its process between two reports, or NaN.
        straggler: whether its `seconds` are clearly above the median of all workers.
        metrics: the last value of each metric.
    """

    rank: int
    node: str
    pid: int | None
    gpus: list[str]
    iteration: int
    seconds: float
    waited: float
    cpu: float
    straggler: bool
    metrics: dict[str, Any]


@dataclass(eq=False)
class _Live:
    """The state of a worker since its start."""

    node: str = ""
    pid: int | None = None
    gpus: list[str] = field(default_factory=list)
    iteration: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    recent: dict[str, deque[float]] = field(default_factory=lambda: {name: deque(maxlen=_RECENT) for name in _OWN})

    def median(self, name: str) -> float:
        return statistics.median(self.recent[name]) if self.recent[name] else math.nan


class Workers:
    """The workers of an experiment's trials. It is written and read under the store's lock.

    Args:
        lock: the store's.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._now: defaultdict[int, dict[int, _Live]] = defaultdict(dict)  # trial -> rank -> worker
        self._ranks: defaultdict[int, set[int]] = defaultdict(set)  # trial -> every rank that it ever had
        self._groups: dict[int, int] = {}  # trial -> how often its workers were started
        self._keys: list[tuple[np.ndarray, ...]] = []
        self._columns: dict[str, Column] = {}
        self._took: dict[str, Column] = {}
        self._length = 0
        self._history: tuple[tuple[int, tuple[str, ...]], pd.DataFrame] | None = None

    def apply(self, chunk: Chunk) -> None:
        """Add the next events.

        Args:
            chunk: the events.
        """
        reported = chunk.rows_of(WorkerReported)
        trials = chunk.trial[reported]
        group = np.array([self._groups.get(trial, 0) for trial in trials.tolist()], np.int32)
        started = np.full(len(reported), -1)  # the row of the last start of the trial's workers
        rows = chunk.rows_of(WorkersStarted).tolist()
        for row, event in zip(rows, chunk.events_of(WorkersStarted), strict=True):
            self._start(event)
            group[(trials == event.trial) & (reported > row)] = self._groups[event.trial]
            started[trials == event.trial] = row
        if not len(reported):
            return
        self._keys.append(
            (trials, group, *(values[reported] for values in (chunk.rank, chunk.iteration, chunk.time_s)))
        )
        place, is_current = np.full(len(chunk), -1), np.zeros(len(chunk), bool)
        place[reported] = np.arange(self._length, self._length + len(reported))
        is_current[reported] = reported > started
        self._length += len(reported)
        keys = chunk.trial.astype(np.int64) * _RANKS + chunk.rank
        for key, at in groups(keys[reported]):
            trial, rank = divmod(key, _RANKS)
            self._ranks[trial].add(rank)
            if is_current[reported[at[-1]]]:
                self._worker(trial, rank).iteration = int(chunk.iteration[reported[at[-1]]])
        for name, rows, values in chunk.metrics_of(WorkerReported):
            self._columns.setdefault(name, Column()).add(place[rows].astype(np.int32), values)
            for worker, latest in self._latest(keys[rows], is_current[rows], values):
                worker.metrics[name] = latest[-1]
        for name, (rows, values) in chunk.took.items():
            self._took.setdefault(name, Column()).add(place[rows].astype(np.int32), values)
            for worker, latest in self._latest(keys[rows], is_current[rows], values):
                worker.recent[name].extend(latest)

    def _latest(self, keys: np.ndarray, is_current: np.ndarray, values: Any) -> Iterator[tuple[_Live, list[Any]]]:
        """Yield current workers, each with the latest of its values.

        Args:
            keys: trial * _RANKS + rank of each value.
            is_current: whether the value is of a worker that the trial has now.
            values: the values, as in a chunk.
        """
        listed = python_values(values)
        for key, at in groups(keys):
            if latest := [listed[position] for position in at[-_RECENT:] if is_current[position]]:
                yield self._worker(*divmod(key, _RANKS)), latest

    def _start(self, event: WorkersStarted) -> None:
        self._groups[event.trial] = self._groups.get(event.trial, 0) + 1
        self._now[event.trial] = {
            worker["rank"]: _Live(worker["node"], worker["pid"], worker["gpus"], event.iteration)
            for worker in event.workers
        }
        self._ranks[event.trial].update(self._now[event.trial])

    def _worker(self, trial: int, rank: int) -> _Live:
        return self._now[trial].setdefault(rank, _Live())

    def _metrics(self) -> list[str]:
        with self._lock:
            return list(self._columns)

    def ranks(self, trial: int) -> list[int]:
        """Return the ranks of all workers that a trial has ever had; none if it is not distributed.

        Args:
            trial: the trial's number.
        """
        with self._lock:
            return sorted(self._ranks.get(trial, ()))

    def of(self, trial: int) -> list[Worker]:
        """Return the workers that a trial has now, by rank.

        Args:
            trial: the trial's number.
        """
        with self._lock:
            now = sorted(self._now.get(trial, {}).items())
            slow = _stragglers([live for _, live in now])
            return [
                Worker(
                    rank,
                    live.node,
                    live.pid,
                    list(live.gpus),
                    live.iteration,
                    live.median(SECONDS),
                    live.median(WAITED),
                    live.median(CPU),
                    live in slow,
                    dict(live.metrics),
                )
                for rank, live in now
            ]

    def frame(self, trial: int, expected: Collection[str] = ()) -> pd.DataFrame:
        """Return one row for each worker that a trial has now, with the columns of `Trial.workers`.

        Args:
            trial: the trial's number.
            expected: metrics that have a column even if no worker has reported them yet.
        """
        workers = self.of(trial)
        columns = {name: [getattr(worker, name) for worker in workers] for name in _FIXED}
        columns["pid"] = [ABSENT if pid is None else pid for pid in columns["pid"]]
        for name, shown in headings(with_expected(expected, self._metrics()), "metrics", ("rank", *_FIXED)).items():
            columns[shown] = [worker.metrics.get(name, ABSENT) for worker in workers]
        index = pd.Index([worker.rank for worker in workers], name="rank", dtype="int64")
        shown_columns = {
            name: column_of(values, index, "object" if name in _FIXED else "float64")
            for name, values in columns.items()
        }
        return pd.DataFrame(shown_columns, index=index)

    def history(self, trial: int, expected: Collection[str] = ()) -> pd.DataFrame:
        """Return one row for each report of each worker, with the columns of `Trial.worker_history`.

        Reports that were repeated after a failure occur once, as in `Reports.history`.

        Args:
            trial: the trial's number.
            expected: as for `frame`.
        """
        frame = self._all_rows(tuple(expected))
        return frame[frame["trial"] == trial].drop(columns="trial").reset_index(drop=True)

    def _all_rows(self, expected: tuple[str, ...]) -> pd.DataFrame:
        with self._lock:
            if self._history is not None and self._history[0] == (self._length, expected):
                return self._history[1]
            empty = tuple(np.array([], kind) for kind in _TYPES)
            self._keys = [tuple(np.concatenate(column) for column in zip(*(self._keys or [empty]), strict=True))]
            keys = pd.DataFrame(dict(zip(_KEYS, self._keys[0], strict=True)))
            columns = {name: _series(self._took.get(name), self._length) for name in _OWN}
            names = with_expected(expected, self._metrics())
            for name, shown in headings(names, "metrics", (*_KEYS, *_OWN)).items():
                columns[shown] = _series(self._columns.get(name), self._length)
            frame = pd.concat([keys, pd.DataFrame(columns)], axis=1)
            if (keys["worker_group"] > 1).any():
                frame = frame[_current_rows(keys)].reset_index(drop=True)
            frame = frame.drop(columns="worker_group").astype({"rank": "int64", "iteration": "int64"})
            self._history = ((self._length, expected), frame)
            return frame


def _series(column: Column | None, length: int) -> pd.Series[Any]:
    return pd.Series(np.full(length, math.nan)) if column is None else column.series(length)


def _current_rows(keys: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows belong to reports that later workers have not repeated, even if those are fewer."""
    report = ["trial", "worker_group", "iteration"]
    reports = keys[report].drop_duplicates()
    number = keys.groupby(report, sort=False).ngroup()  # of a row's report, in the order of the reports
    return pd.Series(current_rows(reports).to_numpy()[number], keys.index)


def _stragglers(workers: list[_Live]) -> list[_Live]:
    """Return the workers that take clearly longer than the others."""
    candidates = [worker for worker in workers if len(worker.recent[SECONDS]) >= _MIN_REPORTS]
    if len(candidates) < 2:
        return []
    median = statistics.median(worker.median(SECONDS) for worker in candidates)
    limit = max(_SLOWER * median, median + _SLOWER_S)
    return [worker for worker in candidates if worker.median(SECONDS) > limit]
