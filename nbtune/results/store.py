"""The store: the state of an experiment, made from its events.

One thread adds events, and any thread reads: all reading is done under a lock, and mappings are returned as copies. The
state depends only on the order of the events of each trial, and not on when or in which chunks they arrive.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from typing import Any, TypeGuard, Unpack

import numpy as np
import pandas as pd

from nbtune.engine.protocol.chunk import Chunk
from nbtune.engine.protocol.events import (
    AttemptFailed,
    CheckpointSaved,
    Event,
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialPaused,
    TrialQueued,
    TrialReconfigured,
    TrialReported,
    TrialStarted,
)
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.recorded_space import parameters_of
from nbtune.results.columns import groups, python_values, value_type, with_expected
from nbtune.results.reports import Reports
from nbtune.results.state import TrialState
from nbtune.results.table import trial_table
from nbtune.results.workers import Workers

__all__ = ["ENDED", "Store"]

ENDED = frozenset({"finished", "stopped", "failed", "lost", "unread", "running elsewhere"})
"""The final states of an experiment in this kernel. A trial has none of the last three."""
_ONE_BY_ONE = (
    ExperimentUpdated,
    TrialAdded,
    TrialReconfigured,
    TrialStarted,
    CheckpointSaved,
    AttemptFailed,
    TrialEnded,
    TrialPaused,
    TrialQueued,
)


class Store:
    """The state of an experiment.

    Attributes:
        cursor: the number of the next event.
        missing: (first, end) of each range of events that are missing, since they are damaged in storage.
        reports: all reports, as columns.
        workers: the workers of distributed trials.
        version: increases with every change.
        generation: increases when the state is reset, so that views start again.

    Args:
        metadata: entries that are known before the first event.
        fixed: the names of those that events do not change.
    """

    def __init__(self, metadata: Metadata | None = None, fixed: tuple[str, ...] = ()) -> None:
        self._given, self._fixed = metadata or Metadata(), fixed
        self.version = self.generation = 0
        self._lock = threading.RLock()
        self._clear()

    def _clear(self) -> None:
        self.cursor = 0
        self.missing: list[tuple[int, int]] = []
        self._metadata: Metadata = {"status": "pending", **self._given}
        self._trials: dict[int, TrialState] = {}
        self._counts: Counter[str] = Counter()
        self.reports = Reports(self._lock)
        self.workers = Workers(self._lock)
        self._latest: float | None = None  # the time of the latest event

    @property
    def metadata(self) -> Metadata:
        """What the experiment's own events record of it, the latest value of each entry. A copy.

        The `warning` also names the events that are missing.
        """
        with self._lock:
            metadata = self._metadata.copy()
            if self.missing:
                metadata["warning"] = "; ".join(filter(None, (self._missing_text(), metadata.get("warning"))))
            return metadata

    @property
    def trials(self) -> dict[int, TrialState]:
        """Every trial by number: a copy of the mapping. The states themselves change while the experiment runs."""
        with self._lock:
            return dict(self._trials)

    @property
    def counts(self) -> Counter[str]:
        """Status -> number of trials. A consistent copy: the numbers add up to the number of all trials."""
        with self._lock:
            return Counter(self._counts)

    @property
    def status(self) -> str:
        """The experiment's status."""
        with self._lock:
            return self._metadata["status"]

    @property
    def metric(self) -> str | None:
        """The metric that is optimized, or None."""
        with self._lock:
            return self._metadata.get("metric")

    def apply(self, chunk: Chunk) -> None:
        """Add the next events, without those that are already known. Unknown ones before them are missing.

        Args:
            chunk: the events.
        """
        with self._lock:
            chunk = chunk.since(self.cursor)
            if chunk.first > self.cursor:
                self.missing.append((self.cursor, chunk.first))
            reported, changed = chunk.rows_of(TrialReported), chunk.rows_of(TrialReconfigured)
            positions = iter((len(self.reports) + np.searchsorted(reported, changed)).tolist())
            for event in chunk.events_of(*_ONE_BY_ONE):
                if isinstance(event, TrialReconfigured):
                    self._reconfigure(event, next(positions))
                self._apply(event)  # before the reports, which need to know the experiment's metric
            self._add_reports(chunk)
            self.workers.apply(chunk)
            self.cursor = chunk.end
            if len(chunk):
                self._latest = float(chunk.time[-1])
            self.version += 1

    def reset(self) -> None:
        """Reset the state before all events are read again.

        A driver that has died may have sent events that it has not stored; the log in storage counts.
        """
        with self._lock:
            self._clear()
            self.generation += 1
            self.version += 1

    def _missing_text(self) -> str:
        ranges = [f"{first} to {end - 1}" if end - first > 1 else f"{first}" for first, end in self.missing]
        if self.missing[-1][1] == self.cursor and self._metadata["status"] in ENDED:
            ranges[-1] = f"from {self.missing[-1][0]} on"
        return f"events {', '.join(ranges)} of its log are damaged or missing: reports and states of trials are lost"

    def set_metadata(self, **metadata: Unpack[Metadata]) -> None:
        """Change metadata without an event, for what only the reader knows, for instance that it is "lost".

        Args:
            metadata: the entries to change. The experiment's end is set to its latest event, unless it is given.
        """
        with self._lock:
            self._metadata.update({"ended": self._latest, **metadata})
            self.version += 1

    def _add_reports(self, chunk: Chunk) -> None:
        reported = chunk.rows_of(TrialReported)
        if not len(reported):
            return
        is_repeated = False
        iterations, times = chunk.iteration[reported], chunk.time_s[reported]
        for trial, at in groups(chunk.trial[reported]):
            state, made = self._trial(trial), iterations[at]
            is_repeated = is_repeated or made[0] <= state.iterations or bool((np.diff(made) <= 0).any())
            state.iterations, state.time_s = int(made[-1]), float(times[at[-1]])
            state.changed = self.version + 1
        before = len(self.reports)
        self.reports.add(chunk, is_repeated=is_repeated)
        for name, rows, values in chunk.metrics_of(TrialReported):
            # A dictionary keeps the last of equal keys: the latest value of each trial.
            last = dict(zip(chunk.trial[rows].tolist(), python_values(values), strict=True))
            for trial, value in last.items():
                self._trial(trial).metrics[name] = value
            if name == self.metric:
                self._update_best(chunk.trial[rows], self.reports.values(name, before))

    def _update_best(self, trials: np.ndarray, values: np.ndarray) -> None:
        better = np.max if self._metadata.get("mode") == "max" else np.min
        finite = np.isfinite(values)
        values = values[finite]
        for trial, at in groups(trials[finite]):
            state = self._trial(trial)
            candidates = values[at] if state.best is None else np.append(values[at], state.best)
            state.best = float(better(candidates))

    def _apply(self, event: Event) -> None:
        if isinstance(event, ExperimentUpdated):
            self._update(event)
            return
        state = self._trial(event.trial)
        state.changed = self.version + 1
        match event:
            case TrialAdded():
                state.ray_id, state.folder = event.ray_id, event.folder
                self._set_config(state, event.parameters())
            case TrialStarted():
                state.started, state.reason = state.started or event.time, ""
                self._set_status(state, "running")
            case TrialPaused():
                state.reason = event.reason
                self._set_status(state, "paused")
            case TrialQueued():
                state.reason, state.started, state.ended = "", None, None
                state.error = state.traceback = None
                self._set_status(state, "pending")
            case CheckpointSaved() if event.path:
                state.checkpoints.append(event.path)
            case AttemptFailed():
                state.failures += 1
                state.error, state.traceback = event.error, event.traceback
                self._set_status(state, "failed" if event.final else "pending")
            case TrialEnded():
                state.ended, state.reason = event.time, event.reason
                if event.status != "failed":
                    state.error = state.traceback = None  # a retry has succeeded
                self._set_status(state, event.status)

    def _reconfigure(self, event: TrialReconfigured, position: int) -> None:
        state = self._trial(event.trial)
        before = state.parameters
        self._set_config(state, event.parameters())
        self.reports.add_change(position, event.trial, before, state.parameters)

    def _update(self, event: ExperimentUpdated) -> None:
        update = event.metadata.copy()
        for name in self._fixed:
            update.pop(name, None)  # type: ignore[misc]  # any name
        self._metadata.update(update)
        self._metadata.setdefault("started", event.time)
        if update.get("status") in ENDED:
            self._metadata["ended"] = event.time

    def _set_config(self, state: TrialState, config: dict[str, Any]) -> None:
        """Set the parameters of a trial in the order of the space; Optuna's are in the order of its suggestions."""
        space = self._metadata.get("space", {})
        known = dict.fromkeys(name.partition("/")[0] for name in space)
        state.config = {**{name: config[name] for name in known if name in config}, **config}
        state.parameters = parameters_of(state.config, space)

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
        return self.reports.metrics()

    def expected_metrics(self) -> list[str]:
        """Return the names of the metrics that the program reports, as far as they are known beforehand."""
        with self._lock:
            return list(dict.fromkeys([*self._metadata.get("metrics", ()), *([self.metric] if self.metric else ())]))

    def states(self) -> list[TrialState]:
        """Return all trials by their numbers. Their fields change while the experiment runs."""
        with self._lock:
            return [self._trials[number] for number in sorted(self._trials)]

    def state(self, number: int) -> TrialState | None:
        """Return a copy of the present state of a trial; None for an unknown one.

        Args:
            number: the trial's number.
        """
        with self._lock:
            state = self._trials.get(number)
            return None if state is None else state.copy()

    def numeric_metrics(self) -> list[str]:
        """Return the names of the metrics that have numbers among their values; the experiment's own comes first."""
        with self._lock:
            return sorted(self.reports.numeric_metrics(), key=lambda name: name != self.metric)

    def best(self) -> TrialState | None:
        """Return the trial whose last value of the metric is best, or None.

        Failed trials and values that are not finite numbers do not count. Of equal trials the earlier one is returned.
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
        """Return the number of trials that are over, and the expected number of all trials."""
        with self._lock:
            over = sum(self._counts[status] for status in ("finished", "stopped", "failed"))
            return over, max(self._metadata.get("trials", 0), len(self._trials))

    def elapsed(self) -> float:
        """Return the seconds that the experiment has run, without the time between a stop and a resumption."""
        with self._lock:
            metadata = self._metadata
            started = metadata.get("started")
            if started is None:
                return 0.0
            ended = metadata.get("ended") or time.time()
            return max(0.0, ended - started - metadata.get("interruptions_s", 0.0))

    def history(self) -> pd.DataFrame:
        """Return one row for each report, with the columns of `Experiment.history`."""
        with self._lock:
            return self.reports.history(lambda number: self._trial(number).parameters, self.expected_metrics())

    def frame(self) -> pd.DataFrame:
        """Return one row for each trial, with the columns of `Experiment.df`."""
        with self._lock:
            metrics = with_expected(self.expected_metrics(), self.reports.metrics())
            return trial_table(self.states(), self._metadata.get("space", {}), metrics)


def _finite(value: Any) -> TypeGuard[float]:
    return value_type(value) in (int, float) and math.isfinite(value)
