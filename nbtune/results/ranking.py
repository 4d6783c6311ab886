"""Which trials of an experiment are the best ones, and their order."""

from __future__ import annotations

import threading
from abc import abstractmethod

import pandas as pd

from nbtune.engine.protocol.metadata import Metadata
from nbtune.results.changes import Changes
from nbtune.results.configurations import Configurations, Repeated, configuration_table
from nbtune.results.reports import Configuration, Reports
from nbtune.results.state import TrialState
from nbtune.spec.options.objectives import Objective

__all__ = ["Ranking"]


class Ranking:
    """The part of an experiment's state that compares trials.

    Where each configuration is trained several times, configurations are compared by the mean of their trials' values.

    Attributes:
        version: increases with every change.
        changes: which trials have changed since a version.
        reports: all reports, as columns.
    """

    version: int
    changes: Changes
    reports: Reports
    _lock: threading.RLock
    _metadata: Metadata
    _trials: dict[int, TrialState]
    _configurations: Configurations
    _grouped: int  # the version with which the configurations were brought up to date last

    @property
    @abstractmethod
    def objectives(self) -> tuple[Objective, ...]:
        """Every metric that is optimized, with its mode."""

    @property
    def repeat(self) -> int:
        """How often each configuration is trained."""
        with self._lock:
            return self._metadata.get("repeat", 1)

    def ranked(self) -> list[TrialState]:
        """Return all trials, the best first; failed ones and those without a value come last. Equals are by number.

        Repeats of a configuration are in the order of their configurations.
        """
        with self._lock:
            if self.repeat > 1:
                return self._up_to_date().ranked(self._trials.values())
            return self.changes.ranked(self.version, self.objectives)

    def best(self) -> TrialState | None:
        """Return the trial with the best value of the metric, or None. With several objectives there is none.

        Of the configuration with the best mean it is the trial whose value is nearest the mean.
        """
        return self.best_of(0) if len(self.objectives) == 1 else None

    def best_of(self, position: int) -> TrialState | None:
        """Return the trial with the best value of one of the objectives, or None. Failed trials do not count.

        Args:
            position: the position of the objective.
        """
        with self._lock:
            if self.repeat > 1:
                best = self.best_configuration()
                return None if best is None else best.typical
            return self.changes.best(self.version, self.objectives[position], position)

    def best_value(self) -> float | None:
        """Return the best value of the metric: that of the best trial, or the mean of the best configuration."""
        with self._lock:
            if (configuration := self.best_configuration()) is not None:
                return configuration.mean
            best = self.best()
            return None if best is None else best.value

    def best_trials(self, position: int = 0) -> list[TrialState]:
        """Return the best trial, or the trials of the best configuration whose values its mean is of.

        Args:
            position: the position of the objective.
        """
        with self._lock:
            if (configuration := self.best_configuration()) is not None:
                return [state for _, state in configuration.compared]
            best = self.best_of(position)
            return [] if best is None else [best]

    def best_configuration(self) -> Repeated | None:
        """Return the configuration with the best mean; None where each is trained once, or without a value."""
        with self._lock:
            if self.repeat == 1 or len(self.objectives) != 1:
                return None
            return self._up_to_date().best(self.repeat)

    def configuration_of(self, state: TrialState) -> Repeated:
        """Return the configuration of a trial.

        Args:
            state: the trial.
        """
        with self._lock:
            if self.repeat == 1:
                return Repeated(state.number, [state], 1)
            known = self._up_to_date()
            return known.get(known.number_of(state), self.repeat)

    def _up_to_date(self) -> Configurations:
        objective = self.objectives[0] if len(self.objectives) == 1 else None
        self._configurations.update(self.changes.since(self._grouped), self.repeat, objective)
        self._grouped = self.version
        return self._configurations

    def front(self) -> list[TrialState]:
        """Return the trials that no other one beats in all objectives, by number."""
        with self._lock:
            if self.repeat > 1:
                return [] if (best := self.best()) is None else [best]
            return self.changes.front(self.version, self.objectives)

    def value_configuration(self, state: TrialState) -> Configuration:
        """Return the parameters with which a trial has reached its value; those of its last report without a value.

        Args:
            state: the trial's state.
        """
        with self._lock:
            last = Configuration(state.config, state.parameters)
            return last if state.value is None else self.reports.configuration(state.number, state.single.row, last)

    def repeated(self) -> list[Repeated]:
        """Return all configurations by their numbers; where each is trained once, these are the trials."""
        with self._lock:
            if self.repeat > 1:
                return self._up_to_date().all(self.repeat)
            return [Repeated(number, [self._trials[number]], 1) for number in sorted(self._trials)]

    def configuration_frame(self) -> pd.DataFrame:
        """Return one row for each configuration, with the columns of `Experiment.configurations`."""
        with self._lock:
            known = self.repeated()
            objective = self.objectives[0] if len(self.objectives) == 1 else None
            return configuration_table(known, self._metadata.get("space", {}), objective)
