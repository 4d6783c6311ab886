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
    EVENT_TYPES,
    Event,
    ExperimentUpdated,
    RungReached,
    TrialAdded,
    TrialReconfigured,
    TrialReported,
    WorkerReported,
    WorkersStarted,
)
from nbtune.engine.protocol.metadata import Metadata, objectives_of
from nbtune.engine.protocol.not_loaded import refused_names
from nbtune.engine.protocol.trust import NOTHING, Trust
from nbtune.results.applied import apply_event
from nbtune.results.changes import Changes
from nbtune.results.columns import groups, python_values, with_expected
from nbtune.results.configurations import Configurations
from nbtune.results.lineage import Lineage
from nbtune.results.missing import gaps
from nbtune.results.ranking import Ranking
from nbtune.results.reports import Configuration, Reports, configuration_of
from nbtune.results.state import TrialState
from nbtune.results.table import trial_table
from nbtune.results.values import TrialValues
from nbtune.results.workers import Workers
from nbtune.spec.options.objectives import Objective

__all__ = ["ENDED", "Store"]

ENDED = frozenset({"finished", "stopped", "failed", "lost", "unread", "running elsewhere"})
"""The final states of an experiment in this kernel. A trial has none of the last three."""
_ONE_BY_ONE = tuple(kind for kind in EVENT_TYPES if kind not in {TrialReported, WorkerReported, WorkersStarted})


class Store(Ranking):
    """The state of an experiment.

    Attributes:
        cursor: the number of the next event.
        missing: (first, end) of each range of events that are missing, since they are damaged in storage.
        changes: which trials have changed since a version.
        reports: all reports, as columns.
        lineage: which trials were copied by others, and which went on at the rungs of a scheduler.
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
        self._configurations, self._grouped = Configurations(self._trials), -1
        self._counts: Counter[str] = Counter()
        self.reports = Reports(self._lock)
        self.lineage = Lineage(self._lock, self.reports, self._present_configuration)
        self.workers = Workers(self._lock)
        self._values: TrialValues | None = None  # of the trials, once the objectives are known
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
        """The metric that is optimized; None without one, or if there are several objectives."""
        with self._lock:
            return self._metadata.get("metric")

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Every metric that is optimized, with its mode."""
        with self._lock:
            return objectives_of(self._metadata)

    @property
    def scope(self) -> str:
        """The value of the metric by which trials are compared: a key of `nbtune.spec.options.options.SCOPES`."""
        with self._lock:
            return self._metadata.get("scope", "all")

    def apply(self, chunk: Chunk) -> None:
        """Add the next events, without those that are already known. Unknown ones before them are missing."""
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
            state.iterations, state.time_s, state.row = int(made[-1]), float(times[at[-1]]), before + int(at[-1])
            self.changes.note(state, self.version + 1)
        if len(reported):
            self.reports.add(chunk, is_repeated=bool(repeating))
            for name, rows, values in chunk.metrics_of(TrialReported):
                # A dictionary keeps the last of equal keys: the latest value of each trial.
                last = dict(zip(chunk.trial[rows].tolist(), python_values(values), strict=True))
                for trial, value in last.items():
                    self._trial(trial).metrics[name] = value
            if objectives := self.objectives:
                self._values = self._values or TrialValues(objectives, self.scope)
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
        if isinstance(event, RungReached):
            self.lineage.add_rung(event)
        elif isinstance(event, TrialAdded):
            state.ray_id, state.folder = event.ray_id, event.folder
            state.configuration = event.configuration if event.configuration >= 0 else None
            state.repeat = event.repeat
            state.config, state.parameters = self._configuration(event)
        elif (status := apply_event(state, event)) is not None:
            self._counts[state.status] -= 1
            self._counts[status] += 1
            state.status = status

    def _reconfigure(self, event: TrialReconfigured, position: int) -> None:
        before, after = self._present_configuration(event.trial), self._configuration(event)
        self._present[event.trial] = after
        self.reports.add_change(position, event.trial, before, after)
        self.lineage.add(event, position, after)

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

    def _present_configuration(self, trial: int) -> Configuration:
        state = self._trial(trial)
        return self._present.get(trial) or Configuration(state.config, state.parameters)

    def _trial(self, number: int) -> TrialState:
        if (state := self._trials.get(number)) is None:
            state = self._trials[number] = TrialState(number)
            self._counts["pending"] += 1
        return state

    def metrics(self) -> list[str]:
        """Return the names of all metrics that were reported."""
        return self.reports.metrics()

    def expected_metrics(self) -> list[str]:
        """Return the names of the metrics that the program reports, as far as they are known beforehand."""
        with self._lock:
            own = [objective.metric for objective in self.objectives]
            return list(dict.fromkeys([*self._metadata.get("metrics", ()), *own]))

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
        """Return the names of the metrics that have numbers among their values; the objectives come first."""
        with self._lock:
            own = [objective.metric for objective in self.objectives]
            return sorted(self.reports.numeric_metrics(), key=lambda name: own.index(name) if name in own else len(own))

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
            metrics = with_expected(self.expected_metrics(), self.metrics())
            space, objectives = self._metadata.get("space", {}), self.objectives
            front = self.front() if len(objectives) > 1 else None
            repeats = self.repeat > 1
            return trial_table(self.states(), space, metrics, objectives, self.scope, front, repeats=repeats)
