"""The values of trials, by which they are compared: computed from their reports by the option `scope`.

The scopes are those of Ray Tune's `ExperimentAnalysis.get_best_trial`. Reports without a number do not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from nbtune.results.columns import groups
from nbtune.results.reports import Reports
from nbtune.results.state import TrialState

__all__ = ["Best", "ScopedValue", "TrialValues", "adjective", "column_name", "ranked", "value_words"]

_WINDOWS = {"last-5-avg": 5, "last-10-avg": 10}  # scope -> the number of reports


@dataclass
class ScopedValue:
    """The value of a trial, updated with its reports.

    Attributes:
        scope: a key of `nbtune.spec.options.options.SCOPES`.
        mode: "min" or "max".
        value: the value; None without any, or if it is not finite.
        is_reached: whether any report had a finite number, whatever the scope.
        iteration: the iteration at which the value was reached, or None.
        row: the number of that report among those of all trials; -1 without any.
    """

    scope: str
    mode: str | None
    value: float | None = None
    is_reached: bool = False
    iteration: int | None = None
    row: int = -1
    _sum: float = 0.0
    _count: int = 0
    _window: tuple[float, ...] = ()

    def add(self, values: np.ndarray, iterations: np.ndarray, rows: np.ndarray) -> None:
        """Add the next reports that have a number.

        Args:
            values: the numbers, float64, shape (n,), n >= 1. NaN and infinity count for averages, as they do in Ray.
            iterations: of the same reports and shape.
            rows: the numbers of these reports among those of all trials, of the same shape.
        """
        finite = np.isfinite(values).nonzero()[0]
        self.is_reached = self.is_reached or len(finite) > 0
        at = len(values) - 1
        if self.scope == "all":
            if not len(finite):
                return
            numbers = values[finite]
            at = int(finite[numbers.argmax() if self.mode == "max" else numbers.argmin()])  # the first of equals
            value = values[at].item()
            if self.value is not None and (value <= self.value if self.mode == "max" else value >= self.value):
                return
        elif self.scope == "last":
            value = values[at].item()
        elif self.scope == "avg":
            for number in values.tolist():  # one by one, so that the sum does not depend on how the reports arrive
                self._sum += number
            self._count += len(values)
            value = self._sum / self._count
        else:
            self._window = (*self._window, *values.tolist())[-_WINDOWS[self.scope] :]
            value = sum(self._window) / len(self._window)
        self.value = value if math.isfinite(value) else None
        self.iteration, self.row = int(iterations[at]), int(rows[at])


class TrialValues:
    """The values of all trials, updated with their reports.

    Args:
        metric: the experiment's metric.
        scope: a key of `nbtune.spec.options.options.SCOPES`.
        mode: "min" or "max".
    """

    def __init__(self, metric: str, scope: str, mode: str | None) -> None:
        self._metric, self._scope, self._mode = metric, scope, mode
        self._values: dict[int, ScopedValue] = {}

    def update(
        self, reports: Reports, state_of: Callable[[int], TrialState], since: int, repeating: Collection[int]
    ) -> None:
        """Update the values in the states of the trials.

        Args:
            reports: all reports.
            state_of: returns the state of a trial by its number.
            since: the number of the first report that is new.
            repeating: the trials that have repeated reports since then, after a restart from a checkpoint. Of these,
                the reports that they have repeated do not count any more.
        """
        trials, iterations, rows, values = reports.numbers(self._metric, since)
        for trial, at in groups(trials):
            if trial not in repeating:
                self._update(state_of(trial), reports, values[at], iterations[at], rows[at])
        if repeating:
            trials, iterations, rows, values = reports.numbers(self._metric, 0)
        for trial in repeating:
            self._values.pop(trial, None)
            at = np.flatnonzero(np.isin(rows, reports.valid_rows(trial)))
            self._update(state_of(trial), reports, values[at], iterations[at], rows[at])

    def _update(
        self, state: TrialState, reports: Reports, values: np.ndarray, iterations: np.ndarray, rows: np.ndarray
    ) -> None:
        value = self._values.setdefault(state.number, ScopedValue(self._scope, self._mode))
        if len(values):
            value.add(values, iterations, rows)
        state.has_number = value.is_reached
        if value.value is None:
            state.value, state.value_iteration, state.value_row = None, None, -1
        else:
            state.value, state.value_iteration, state.value_row = value.value, value.iteration, value.row
            if self._scope in {"all", "last"}:  # as it was reported: integers are exact
                state.value = reports.value_at(self._metric, value.row)


def ranked(states: Iterable[TrialState], mode: str | None) -> list[TrialState]:
    """Return trials, the best first; failed ones and those without a value come last. Equals are by number.

    Args:
        states: the trials.
        mode: "min" or "max".
    """
    return sorted(states, key=partial(_place, mode=mode))


class Best:
    """The trial with the best value among those that were added. Failed trials do not count; of equals, the first does.

    Args:
        states: the states of all trials by number, which change.
    """

    def __init__(self, states: Mapping[int, TrialState]) -> None:
        self._states = states
        self._best: TrialState | None = None
        self._place: tuple[bool, float, int] = (True, 0, 0)  # of the best

    def update(self, changed: Iterable[TrialState], mode: str | None) -> TrialState | None:
        """Return the best trial, or None.

        Args:
            changed: the trials that have changed since the last call.
            mode: "min" or "max".
        """
        place = partial(_place, mode=mode)
        if self._best is not None and place(self._best) > self._place:  # it has failed, or its last value is worse
            changed = self._states.values()
        elif self._best is not None:
            changed = [*changed, self._best]
        best = min(changed, key=place, default=None)
        self._best = best if best is not None and _is_compared(best) else None
        if self._best is not None:
            self._place = place(self._best)
        return self._best


def _is_compared(state: TrialState) -> bool:
    return state.value is not None and state.status != "failed"


def _place(state: TrialState, mode: str | None) -> tuple[bool, float, int]:
    """Return the sort key of a trial among others."""
    if state.value is None or not _is_compared(state):
        return (True, 0, state.number)
    return (False, -state.value if mode == "max" else state.value, state.number)


def adjective(scope: str) -> str:
    """Return what precedes the metric's name where a view shows the value of a trial: "best", "last" or "avg".

    Args:
        scope: a key of `nbtune.spec.options.options.SCOPES`.
    """
    return "best" if scope == "all" else scope


def value_words(scope: str) -> str:
    """Return the scope in a sentence, "no finite … of accuracy": "value", "last value" or "avg value".

    Args:
        scope: a key of `nbtune.spec.options.options.SCOPES`.
    """
    return "value" if scope == "all" else f"{scope} value"


def column_name(metric: str, scope: str) -> str:
    """Return the name of the values' column in `Experiment.df`: ``accuracy_best``, ``accuracy_last_5_avg``.

    Args:
        metric: the experiment's metric.
        scope: a key of `nbtune.spec.options.options.SCOPES`.
    """
    return f"{metric}_{'best' if scope == 'all' else scope.replace('-', '_')}"
