"""The store: events in, columns and DataFrames out. The one place that knows an experiment's state.

It is fed by one thread and read by any: what it gives away is read under its lock, and what it counts and
maps is given as a copy. Nothing in it depends on when or in what pieces events arrive, only on their order
within each trial.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from typing import Any, TypeGuard, Unpack

import numpy as np
import pandas as pd

from nbtune.engine.protocol.events import KINDS, Chunk
from nbtune.engine.protocol.metadata import Metadata, decode_metadata
from nbtune.engine.protocol.metrics import flat
from nbtune.results.columns import ABSENT, Column, column_of, groups, headings, python_values, still_true, value_type
from nbtune.results.state import TrialState, config_of
from nbtune.results.workers import Workers

__all__ = ["ENDED", "Store", "flat"]

ENDED = frozenset({"finished", "stopped", "failed", "lost", "unread"})
"""The final states of an experiment, as far as this kernel is told. A trial has neither "lost" nor "unread"."""
_REPORTED = KINDS.index("reported")
_TOGETHER = [_REPORTED, KINDS.index("workers"), KINDS.index("worked")]  # not taken in one by one


class Store:
    """All that is known of an experiment.

    Attributes:
        cursor: the number of the next event.
        workers: those of distributed trials.
        version: grows with every change.
        generation: grows when all is forgotten, so that views begin anew.

    Args:
        metadata: what is known before the first event.
        fixed: which of these events do not change.
    """

    def __init__(self, metadata: Metadata | None = None, fixed: tuple[str, ...] = ()) -> None:
        self._given, self._fixed = metadata or Metadata(), fixed
        self.version = self.generation = 0
        self._lock = threading.RLock()
        self._clear()

    def _clear(self) -> None:
        self.cursor = 0
        self._metadata: Metadata = {"status": "pending", **self._given}
        self._trials: dict[int, TrialState] = {}
        self._counts: Counter[str] = Counter()
        self.workers = Workers(self._lock)
        self._head: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # trial, iteration, time_s
        self._metrics: dict[str, Column] = {}
        self._length = 0
        self._went_back = False  # whether a trial has made reports again, from a checkpoint on
        self._latest: float | None = None  # the time of the latest event
        self._history: tuple[int, pd.DataFrame] | None = None

    @property
    def metadata(self) -> Metadata:
        """What the experiment's own events record of it, the latest value of each entry. A copy."""
        with self._lock:
            return self._metadata.copy()

    @property
    def trials(self) -> dict[int, TrialState]:
        """Every trial by number: a copy of the mapping, of states that go on changing while the experiment runs."""
        with self._lock:
            return dict(self._trials)

    @property
    def counts(self) -> Counter[str]:
        """Status -> how many trials. A copy, and of one moment: its numbers add up to that of the trials."""
        with self._lock:
            return Counter(self._counts)

    @property
    def status(self) -> str:
        """The experiment's state."""
        with self._lock:
            return self._metadata["status"]

    @property
    def metric(self) -> str | None:
        """The metric that is optimised."""
        with self._lock:
            return self._metadata.get("metric")

    def apply(self, chunk: Chunk) -> None:
        """Take in the next events. Those that are known already are skipped.

        Raises:
            ValueError: events between the last known and these are missing.
        """
        with self._lock:
            chunk = chunk.since(self.cursor)
            if chunk.first > self.cursor:
                raise ValueError(f"events {self.cursor} to {chunk.first} are missing")
            for row in np.flatnonzero(~np.isin(chunk.kind, _TOGETHER)):
                self._event(chunk, int(row))  # first: reports need to know the experiment's metric
            self._reports(chunk, np.flatnonzero(chunk.kind == _REPORTED))
            self.workers.apply(chunk)
            self.cursor = chunk.end
            if len(chunk):
                self._latest = float(chunk.time[-1])
            self.version += 1

    def reset(self) -> None:
        """Forget all events: they will be told again, from the first on.

        A driver that has died may have told what it has not kept; the log is right.
        """
        with self._lock:
            self._clear()
            self.generation += 1
            self.version += 1

    def declare(self, **metadata: Unpack[Metadata]) -> None:
        """Set the experiment's state from outside the log: what only its reader can know ("lost", "unread")."""
        with self._lock:
            self._metadata.update({"over": self._latest, **metadata})
            self.version += 1

    def _reports(self, chunk: Chunk, reported: np.ndarray) -> None:
        if not len(reported):
            return
        place = np.full(len(chunk), -1)
        place[reported] = np.arange(len(reported))
        self._head.append((chunk.trial[reported], chunk.iteration[reported], chunk.time_s[reported]))
        trials, iterations, times = self._head[-1]
        for trial, at in groups(trials):
            state, made = self._trial(trial), iterations[at]
            self._went_back = self._went_back or made[0] <= state.iterations or bool((np.diff(made) <= 0).any())
            state.iterations, state.time_s = int(made[-1]), float(times[at[-1]])
            state.changed = self.version + 1
        for name, rows, values in chunk.metrics_of("reported"):
            self._metrics.setdefault(name, Column()).add(self._length + place[rows], values)
            # A dictionary keeps the last of equal keys: the latest value of each trial.
            last = dict(zip(chunk.trial[rows].tolist(), python_values(values), strict=True))
            for trial, value in last.items():
                self._trial(trial).metrics[name] = value
            if name == self.metric:
                self._best_values(chunk.trial[rows], self._metrics[name].floats(self._length)[1])
        self._length += len(reported)

    def _best_values(self, trials: np.ndarray, values: np.ndarray) -> None:
        better = np.max if self._metadata.get("mode") == "max" else np.min
        finite = np.isfinite(values)
        values = values[finite]
        for trial, at in groups(trials[finite]):
            state = self._trial(trial)
            found = values[at] if state.best is None else np.append(values[at], state.best)
            state.best = float(better(found))

    def _event(self, chunk: Chunk, row: int) -> None:
        kind, number, when = KINDS[chunk.kind[row]], int(chunk.trial[row]), float(chunk.time[row])
        data = chunk.data.get(row, {})
        if kind == "experiment":
            update = decode_metadata({name: value for name, value in data.items() if name not in self._fixed})
            self._metadata.update(update)
            self._metadata.setdefault("began", when)
            if update.get("status") in ENDED:
                self._metadata["over"] = when
            return
        state = self._trial(number)
        state.changed = self.version + 1
        if kind == "added":
            state.ray_id, state.folder = data["id"], data["folder"]
            state.config = self._in_order(config_of(data, chunk.pickled.get(row)))
        elif kind == "started":
            state.started, state.reason = state.started or when, ""
            self._set_status(state, "running")
        elif kind == "paused":
            state.reason = data["reason"]
            self._set_status(state, "paused")
        elif kind == "queued":
            state.reason, state.started, state.ended = "", None, None
            state.error = state.traceback = None
            self._set_status(state, "pending")
        elif kind == "checkpointed":
            state.checkpoints.append(data["path"])
        elif kind == "failed":
            state.failures += 1
            state.error, state.traceback = data["error"], data["traceback"]
            self._set_status(state, "failed" if data["final"] else "pending")
        elif kind == "ended":
            state.ended, state.reason = when, data["reason"]
            if data["status"] != "failed":
                state.error = state.traceback = None  # it was tried again, with success
            self._set_status(state, data["status"])

    def _in_order(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return a configuration in the order of the space: Optuna gives it in that of its questions."""
        known = dict.fromkeys(name.partition("/")[0] for name in self._metadata.get("space", {}))
        return {**{name: config[name] for name in known if name in config}, **config}

    def _trial(self, number: int) -> TrialState:
        state = self._trials.get(number)
        if state is None:
            state = self._trials[number] = TrialState(number)
            self._counts["pending"] += 1
        return state

    def _set_status(self, state: TrialState, status: str) -> None:
        self._counts[state.status] -= 1
        self._counts[status] += 1
        state.status = status

    def metrics(self) -> list[str]:
        """Return the names of all metrics that were reported."""
        with self._lock:
            return list(self._metrics)

    def states(self) -> list[TrialState]:
        """Return every trial, by number. Their fields go on changing while the experiment runs."""
        with self._lock:
            return [self._trials[number] for number in sorted(self._trials)]

    def state(self, number: int) -> TrialState | None:
        """Return what is known of a trial at this moment, as a copy; None where nothing is known of it."""
        with self._lock:
            found = self._trials.get(number)
            return None if found is None else found.copy()

    def numeric_metrics(self) -> list[str]:
        """Return the names of the metrics that have numbers among their values; the experiment's own comes first."""
        with self._lock:
            names = [name for name, column in self._metrics.items() if column.numeric]
            return sorted(names, key=lambda name: name != self.metric)

    def points(self, metric: str, since: int) -> tuple[int, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Return a metric's values in the reports from number `since` on, in the order in which they came.

        Args:
            metric: its name.
            since: how many reports are known already.

        Returns:
            How many reports there are now; and of those that have the metric: trial (int32), iteration
            (int32), time_s (float64), value (float64, NaN for what is no number), each of shape (n,).
        """
        with self._lock:
            pieces, start = [], self._length
            for piece in reversed(self._head):
                if start <= since:
                    break
                pieces.append(piece)
                start -= len(piece[0])
            column = self._metrics.get(metric)
            if not pieces or column is None:
                none = np.array([], np.int32)
                return self._length, (none, none, np.array([], float), np.array([], float))
            rows, values = column.floats(max(since, start))
            trial, iteration, time_s = (
                np.concatenate(parts[::-1])[rows - start] for parts in zip(*pieces, strict=True)
            )
            return self._length, (trial, iteration, time_s, values)

    def best(self) -> TrialState | None:
        """Return the trial whose last value of the metric is best, or None.

        Failed trials and values that are no finite number do not count. Of equals the earlier wins.
        """
        with self._lock:
            metric = self.metric
            if metric is None:
                return None
            values = {s.number: s.metrics.get(metric) for s in self._trials.values() if s.status != "failed"}
            sign = -1 if self._metadata.get("mode") == "max" else 1
            ranked = [(sign * float(value), number) for number, value in values.items() if _finite(value)]
            return self._trials[min(ranked)[1]] if ranked else None

    def progress(self) -> tuple[int, int]:
        """Return how many trials are over, and how many there will be."""
        with self._lock:
            over = sum(self._counts[status] for status in ("finished", "stopped", "failed"))
            return over, max(self._metadata.get("trials", 0), len(self._trials))

    def elapsed(self) -> float:
        """Return how many seconds the experiment has taken so far, or took."""
        with self._lock:
            metadata = self._metadata
            began = metadata.get("began")
            away = metadata.get("away", 0.0)  # seconds between its ends and its resumptions
            return 0.0 if began is None else max(0.0, (metadata.get("over") or time.time()) - began - away)

    def history(self) -> pd.DataFrame:
        """Return one row for each report: trial, iteration, time_s and the metrics.

        A trial that is tried again goes on from its last checkpoint, and makes the reports that came after
        it again. Those of the attempt that failed are left out, so that each iteration is there once.
        """
        with self._lock:
            if self._history is not None and self._history[0] == self._length:
                return self._history[1].copy()
            empty = (np.array([], np.int32), np.array([], np.int32), np.array([], float))
            trial, iteration, time_s = (np.concatenate(column) for column in zip(*(self._head or [empty]), strict=True))
            self._head = [(trial, iteration, time_s)]
            frame = pd.DataFrame({"trial": trial, "iteration": iteration, "time_s": time_s}).astype(
                {"trial": "int64", "iteration": "int64"}
            )
            columns = {name: column.series(self._length) for name, column in self._metrics.items()}
            shown = headings(columns, "metrics", frame.columns)
            named = {shown[name]: column for name, column in columns.items()}
            frame = pd.concat([frame, pd.DataFrame(named)], axis=1)
            if self._went_back:
                frame = frame[still_true(frame)].reset_index(drop=True)
            self._history = (self._length, frame)
            return frame.copy()

    def frame(self) -> pd.DataFrame:
        """Return one row for each trial; see `Experiment.df` for the columns."""
        with self._lock:
            states = self.states()
            configs = [dict(flat(state.config)) for state in states]
            metrics = list(self._metrics)
            # Those of the space are there before the first trial is.
            known = self._metadata.get("space", {})
            parameters = list(dict.fromkeys([*known, *(name for config in configs for name in config)]))
            columns: dict[str, list[Any]] = {"status": [state.status for state in states]}
            shown_metrics = headings(metrics, "metrics", _FIXED)
            for name, shown in headings(parameters, "config", {*_FIXED, *shown_metrics.values()}).items():
                columns[shown] = [config.get(name, ABSENT) for config in configs]
            for name, shown in shown_metrics.items():
                columns[shown] = [state.metrics.get(name, ABSENT) for state in states]
            columns["iterations"] = [state.iterations for state in states]
            columns["time_s"] = [state.time_s for state in states]
            columns["checkpoint"] = [state.checkpoints[-1] if state.checkpoints else None for state in states]
            columns["error"] = [state.error for state in states]
            index = pd.Index([state.number for state in states], name="trial", dtype="int64")
        return pd.DataFrame({name: column_of(values, index) for name, values in columns.items()}, index=index)


_FIXED = frozenset({"status", "iterations", "time_s", "checkpoint", "error"})


def _finite(value: Any) -> TypeGuard[float]:
    return value_type(value) in (int, float) and math.isfinite(value)
