"""The store: the state of an experiment, made from its events.

One thread adds events, and any thread reads: all reading is done under a lock, and mappings are returned as copies. The
state depends only on the order of the events of each trial, and not on when or in which chunks they arrive.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Unpack

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
from nbtune.engine.protocol.not_loaded import refused_names
from nbtune.engine.protocol.trust import NOTHING, Trust
from nbtune.results.changes import Changes
from nbtune.results.columns import groups, python_values, with_expected
from nbtune.results.missing import gaps
from nbtune.results.reports import Configuration, Reports, configuration_of
from nbtune.results.state import SavedCheckpoint, TrialState
from nbtune.results.table import trial_table
from nbtune.results.values import TrialValues, ranked
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
        changes: which trials have changed since a version.
        reports: all reports, as columns.
        workers: the workers of distributed trials.
        version: increases with every change.
        generation: increases when the state is reset, so that views start again.

    Args:
        metadata: entries that are known before the first event.
        fixed: the names of those that events do not change.
        trust: which objects among the parameters are unpickled.
    """

    def __init__(self, metadata: Metadata | None = None, fixed: tuple[str, ...] = (), trust: Trust = NOTHING) -> None:
        self._given, self._fixed, self._trust = metadata or Metadata(), fixed, trust
        self.version = self.generation = 0
        self._lock = threading.RLock()
        self._clear()

    def _clear(self) -> None:
        self.cursor = 0
        self.missing: list[tuple[int, int]] = []
        self._metadata: Metadata = {"status": "pending", **self._given}
        self._trials: dict[int, TrialState] = {}
        self.changes = Changes(self._trials, self._lock)
        self._counts: Counter[str] = Counter()
        self.reports = Reports(self._lock)
        self.workers = Workers(self._lock)
        self._values: TrialValues | None = None  # of the trials, once the metric is known
        self._present: dict[int, Configuration] = {}  # the parameters of the trials whose were changed
        self._latest: float | None = None  # the time of the latest event
        self._refused: dict[str, None] = {}  # the parameters with objects that are not trusted

    @property
    def metadata(self) -> Metadata:
        """What the experiment's own events record of it, the latest value of each entry. A copy.

        The `warning` also names the events that are missing, and the parameters whose values are not trusted.
        """
        with self._lock:
            metadata = self._metadata.copy()
            if text := gaps(self.missing, self._refused, self.cursor if metadata["status"] in ENDED else None):
                metadata["warning"] = "; ".join(filter(None, (text, metadata.get("warning"))))
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

    @property
    def scope(self) -> str:
        """The value of the metric by which trials are compared: a key of `nbtune.spec.options.options.SCOPES`."""
        with self._lock:
            return self._metadata.get("scope", "all")

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
        before = len(self.reports)
        repeating: set[int] = set()
        iterations, times = chunk.iteration[reported], chunk.time_s[reported]
        for trial, at in groups(chunk.trial[reported]):
            state, made = self._trial(trial), iterations[at]
            if made[0] <= state.iterations or (np.diff(made) <= 0).any():
                repeating.add(trial)
            state.iterations, state.time_s = int(made[-1]), float(times[at[-1]])
            state.row = before + int(at[-1])
            self.changes.note(state, self.version + 1)
        if len(reported):
            self.reports.add(chunk, is_repeated=bool(repeating))
            for name, rows, values in chunk.metrics_of(TrialReported):
                # A dictionary keeps the last of equal keys: the latest value of each trial.
                last = dict(zip(chunk.trial[rows].tolist(), python_values(values), strict=True))
                for trial, value in last.items():
                    self._trial(trial).metrics[name] = value
            if self.metric is not None:
                self._values = self._values or TrialValues(self.metric, self.scope, self._metadata.get("mode"))
                self._values.update(self.reports, self._trial, before, repeating)
        self._settle_parameters()

    def _settle_parameters(self) -> None:
        """Set the parameters of trials that were changed to those of their last reports, or the present ones."""
        for trial, present in self._present.items():
            state = self._trial(trial)
            state.config, state.parameters = self.reports.configuration(trial, state.row, present)

    def _apply(self, event: Event) -> None:
        if isinstance(event, ExperimentUpdated):
            self._update(event)
            return
        state = self._trial(event.trial)
        self.changes.note(state, self.version + 1)
        match event:
            case TrialAdded():
                state.ray_id, state.folder = event.ray_id, event.folder
                state.config, state.parameters = self._configuration(event)
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
                state.checkpoints.append(SavedCheckpoint(event.path, event.iteration))
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
        before = self._present.get(event.trial) or Configuration(state.config, state.parameters)
        after = self._present[event.trial] = self._configuration(event)
        self.reports.add_change(position, event.trial, before, after)

    def _update(self, event: ExperimentUpdated) -> None:
        update = event.metadata.copy()
        for name in self._fixed:
            update.pop(name, None)  # type: ignore[misc]  # any name
        self._metadata.update(update)
        self._metadata.setdefault("started", event.time)
        if update.get("status") in ENDED:
            self._metadata["ended"] = event.time

    def _configuration(self, event: TrialAdded | TrialReconfigured) -> Configuration:
        """Return parameters in the order of the space; Optuna's are in the order of its suggestions."""
        config = event.parameters(self._trust)
        self._refused |= dict.fromkeys(refused_names(config))
        return configuration_of(config, self._metadata.get("space", {}))

    def _trial(self, number: int) -> TrialState:
        if (state := self._trials.get(number)) is None:
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

    def ranked(self) -> list[TrialState]:
        """Return all trials, the best first; failed ones and those without a value come last. Equals are by number."""
        with self._lock:
            return ranked(self._trials.values(), self._metadata.get("mode"))

    def best(self) -> TrialState | None:
        """Return the trial with the best value of the metric, or None. Failed trials do not count."""
        with self._lock:
            return self.changes.best(self.version, self._metadata.get("mode"))

    def value_configuration(self, state: TrialState) -> Configuration:
        """Return the parameters with which a trial has reached its value; those of its last report without a value.

        Args:
            state: the trial's state.
        """
        with self._lock:
            last = Configuration(state.config, state.parameters)
            return last if state.value is None else self.reports.configuration(state.number, state.value_row, last)

    def progress(self) -> tuple[int, int]:
        """Return the number of trials that are over, and the expected number of all trials."""
        with self._lock:
            over = sum(self._counts[status] for status in ("finished", "stopped", "failed"))
            return over, max(self._metadata.get("trials", 0), len(self._trials))

    def elapsed(self) -> float:
        """Return the seconds that the experiment has run, without the time between a stop and a resumption."""
        with self._lock:
            metadata = self._metadata
            if (started := metadata.get("started")) is None:
                return 0.0
            return max(0.0, (metadata.get("ended") or time.time()) - started - metadata.get("interruptions_s", 0.0))

    def history(self) -> pd.DataFrame:
        """Return one row for each report, with the columns of `Experiment.history`."""
        with self._lock:
            return self.reports.history(lambda number: self._trial(number).parameters, self.expected_metrics())

    def frame(self) -> pd.DataFrame:
        """Return one row for each trial, with the columns of `Experiment.df`."""
        with self._lock:
            metrics = with_expected(self.expected_metrics(), self.reports.metrics())
            scoped = (self.metric, self.scope) if self.metric is not None else None
            return trial_table(self.states(), self._metadata.get("space", {}), metrics, scoped)
