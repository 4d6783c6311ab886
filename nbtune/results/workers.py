"""The workers of distributed trials: who they are, what each reports and how long it takes."""

from __future__ import annotations

import math
import statistics
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from nbtune.engine.protocol.chunk import Chunk
from nbtune.engine.protocol.events import CPU, SECONDS, WAITED, WorkerInfo, WorkerReported, WorkersStarted
from nbtune.results.columns import ABSENT, Column, column_of, groups, headings, python_values, still_true

__all__ = ["Worker", "Workers"]

_OWN = (SECONDS, WAITED, CPU)
_RECENT = 10  # reports whose median is shown: the first ones, with their warming up, are soon out of it
_RANKS = 1 << 15  # more than there are: ranks are int16
# What takes a worker longer than chance: a fifth more than the middle one, beside some ms of jitter. Of two
# workers the middle is between them, so that one has to take half as long again as the other.
_SLOWER, _SLOWER_S = 1.2, 0.05
_ENOUGH = 3  # reports of a worker before it is judged
_FIXED = ("node", "pid", "gpus", "iteration", *_OWN, "straggler")
_HEAD = ("trial", "crew", "rank", "iteration", "time_s")
_TYPES = (np.int32, np.int32, np.int16, np.int32, np.float64)


@dataclass(frozen=True)
class Worker:
    """One worker, as it is now.

    Attributes:
        rank: its rank.
        node: the address of its node, or "".
        pid: its process, or None.
        gpus: the numbers of its GPUs.
        iteration: how many reports its trial had made with its last one, or when it was started.
        seconds: of its own between two reports, the median of its last ten; NaN where none is known.
        waited: then for the others, the same.
        cpu: of its process, the same.
        straggler: whether its seconds stand out.
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
    """What is gathered of a worker since it was started."""

    node: str = ""
    pid: int | None = None
    gpus: list[str] = field(default_factory=list)
    iteration: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    recent: dict[str, deque[float]] = field(default_factory=lambda: {name: deque(maxlen=_RECENT) for name in _OWN})

    def typical(self, name: str) -> float:
        return statistics.median(self.recent[name]) if self.recent[name] else math.nan


class Workers:
    """The workers of an experiment's trials, fed and read as its store is.

    Args:
        lock: the store's.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._now: defaultdict[int, dict[int, _Live]] = defaultdict(dict)  # trial -> rank -> worker
        self._known: defaultdict[int, set[int]] = defaultdict(set)  # trial -> every rank that it ever had
        self._crews: dict[int, int] = {}  # trial -> how often its workers were started
        self._head: list[tuple[np.ndarray, ...]] = []
        self._columns: dict[str, Column] = {}
        self._took: dict[str, Column] = {}
        self._length = 0
        self._history: tuple[int, pd.DataFrame] | None = None

    def apply(self, chunk: Chunk) -> None:
        """Take in the next events."""
        worked = chunk.rows_of(WorkerReported)
        trials = chunk.trial[worked]
        crew = np.array([self._crews.get(trial, 0) for trial in trials.tolist()], np.int32)
        begun = np.full(len(worked), -1)  # the row where the workers that a row is of were replaced
        rows = chunk.rows_of(WorkersStarted).tolist()
        for row, event in zip(rows, chunk.events_of(WorkersStarted), strict=True):
            trial = event.trial
            self._start(trial, event.iteration, event.workers)
            crew[(trials == trial) & (worked > row)] = self._crews[trial]
            begun[trials == trial] = row
        if not len(worked):
            return
        self._head.append((trials, crew, *(column[worked] for column in (chunk.rank, chunk.iteration, chunk.time_s))))
        place, now = np.full(len(chunk), -1), np.zeros(len(chunk), bool)
        place[worked], now[worked] = np.arange(self._length, self._length + len(worked)), worked > begun
        self._length += len(worked)
        whose = chunk.trial.astype(np.int64) * _RANKS + chunk.rank
        for key, at in groups(whose[worked]):
            trial, rank = divmod(key, _RANKS)
            self._known[trial].add(rank)
            if now[worked[at[-1]]]:
                self._worker(trial, rank).iteration = int(chunk.iteration[worked[at[-1]]])
        for name, rows, values in chunk.metrics_of(WorkerReported):
            self._columns.setdefault(name, Column()).add(place[rows].astype(np.int32), values)
            for worker, fresh in self._fresh(whose[rows], now[rows], values):
                worker.metrics[name] = fresh[-1]
        for name, (rows, values) in chunk.took.items():
            self._took.setdefault(name, Column()).add(place[rows].astype(np.int32), values)
            for worker, fresh in self._fresh(whose[rows], now[rows], values):
                worker.recent[name].extend(fresh)

    def _fresh(self, whose: np.ndarray, now: np.ndarray, values: Any) -> Iterator[tuple[_Live, list[Any]]]:
        """Yield the workers that some of these values are of, each with its latest of them.

        Args:
            whose: which worker a value is of.
            now: whether it is one of those that the trial has now.
            values: as in a chunk.
        """
        told = python_values(values)
        for key, at in groups(whose):
            if fresh := [told[one] for one in at[-_RECENT:] if now[one]]:
                yield self._worker(*divmod(key, _RANKS)), fresh

    def _start(self, trial: int, iteration: int, workers: Iterable[WorkerInfo]) -> None:
        self._crews[trial] = self._crews.get(trial, 0) + 1
        self._now[trial] = {
            worker["rank"]: _Live(worker["node"], worker["pid"], worker["gpus"], iteration) for worker in workers
        }
        self._known[trial].update(self._now[trial])

    def _worker(self, trial: int, rank: int) -> _Live:
        return self._now[trial].setdefault(rank, _Live())

    def _metrics(self) -> list[str]:
        with self._lock:
            return list(self._columns)

    def ranks(self, trial: int) -> list[int]:
        """Return the ranks of all workers that a trial has ever had; none where it is not distributed."""
        with self._lock:
            return sorted(self._known.get(trial, ()))

    def of(self, trial: int) -> list[Worker]:
        """Return the workers that a trial has now, by rank."""
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
                    live.typical(SECONDS),
                    live.typical(WAITED),
                    live.typical(CPU),
                    live in slow,
                    dict(live.metrics),
                )
                for rank, live in now
            ]

    def frame(self, trial: int) -> pd.DataFrame:
        """Return one row for each worker that a trial has now; see `Trial.workers` for the columns."""
        workers = self.of(trial)
        columns = {name: [getattr(worker, name) for worker in workers] for name in _FIXED}
        columns["pid"] = [ABSENT if pid is None else pid for pid in columns["pid"]]
        for name, shown in headings(self._metrics(), "metrics", _FIXED).items():
            columns[shown] = [worker.metrics.get(name, ABSENT) for worker in workers]
        index = pd.Index([worker.rank for worker in workers], name="rank", dtype="int64")
        return pd.DataFrame({name: column_of(values, index) for name, values in columns.items()}, index=index)

    def history(self, trial: int) -> pd.DataFrame:
        """Return one row for each report of each worker of a trial; see `Trial.worker_history` for the columns.

        What was reported again after a failure is there once, as in `Store.history`.
        """
        frame = self._whole()
        return frame[frame["trial"] == trial].drop(columns="trial").reset_index(drop=True)

    def _whole(self) -> pd.DataFrame:
        with self._lock:
            if self._history is not None and self._history[0] == self._length:
                return self._history[1]
            empty = tuple(np.array([], kind) for kind in _TYPES)
            self._head = [tuple(np.concatenate(column) for column in zip(*(self._head or [empty]), strict=True))]
            head = pd.DataFrame(dict(zip(_HEAD, self._head[0], strict=True)))
            columns = {name: _series(self._took.get(name), self._length) for name in _OWN}
            for name, shown in headings(self._metrics(), "metrics", (*_HEAD, *_OWN)).items():
                columns[shown] = _series(self._columns[name], self._length)
            frame = pd.concat([head, pd.DataFrame(columns)], axis=1)
            if (head["crew"] > 1).any():
                frame = frame[_still_true(head)].reset_index(drop=True)
            frame = frame.drop(columns="crew").astype({"rank": "int64", "iteration": "int64"})
            self._history = (self._length, frame)
            return frame


def _series(column: Column | None, length: int) -> pd.Series[Any]:
    return pd.Series(np.full(length, math.nan)) if column is None else column.series(length)


def _still_true(head: pd.DataFrame) -> pd.Series[bool]:
    """Tell which rows belong to reports that no later workers have made again, be they fewer."""
    report = ["trial", "crew", "iteration"]
    reports = head[report].drop_duplicates()
    number = head.groupby(report, sort=False).ngroup()  # of a row's report, in the order in which they came
    return pd.Series(still_true(reports).to_numpy()[number], head.index)


def _stragglers(workers: list[_Live]) -> list[_Live]:
    """Return the workers that take clearly longer than the others."""
    judged = [worker for worker in workers if len(worker.recent[SECONDS]) >= _ENOUGH]
    if len(judged) < 2:
        return []
    middle = statistics.median(worker.typical(SECONDS) for worker in judged)
    limit = max(_SLOWER * middle, middle + _SLOWER_S)
    return [worker for worker in judged if worker.typical(SECONDS) > limit]
