"""The values of trials, by which they are compared: computed from their reports by the option `scope`.

The scopes are those of Ray Tune's `ExperimentAnalysis.get_best_trial`. Reports without a number do not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from nbtune.results.columns import groups
from nbtune.results.reports import Reports
from nbtune.results.state import NO_VALUE, TrialState, Value
from nbtune.spec.options.objectives import Objective

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
        objectives: the experiment's objectives.
        scope: a key of `nbtune.spec.options.options.SCOPES`.
    """

    def __init__(self, objectives: Sequence[Objective], scope: str) -> None:
        self._nothing = (NO_VALUE,) * len(objectives)
        self._parts = [_ObjectiveValues(objective, position, scope) for position, objective in enumerate(objectives)]

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

        def state_with_values(number: int) -> TrialState:
            state = state_of(number)
            state.values = state.values or self._nothing
            return state

        for part in self._parts:
            part.update(reports, state_with_values, since, repeating)


class _ObjectiveValues:
    """The values of one objective.

    Args:
        objective: the objective.
        position: its position among all objectives.
        scope: a key of `nbtune.spec.options.options.SCOPES`.
    """

    def __init__(self, objective: Objective, position: int, scope: str) -> None:
        self._metric, self._scope, self._mode = objective.metric, scope, objective.mode
        self._position = position
        self._values: dict[int, ScopedValue] = {}

    def update(
        self, reports: Reports, state_of: Callable[[int], TrialState], since: int, repeating: Collection[int]
    ) -> None:
        """Update the values in the states of the trials; the arguments are those of `TrialValues.update`."""
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
        found = NO_VALUE._replace(has_number=value.is_reached)
        if value.value is not None:
            # As it was reported: integers are exact.
            exact = reports.value_at(self._metric, value.row) if self._scope in {"all", "last"} else value.value
            found = Value(exact, value.iteration, value.row, value.is_reached)
        at = self._position
        state.values = (*state.values[:at], found, *state.values[at + 1 :])


def ranked(states: Iterable[TrialState], objective: Objective | None, position: int = 0) -> list[TrialState]:
    """Return trials, the best first; failed ones and those without a value come last. Equals are by number.

    Args:
        states: the trials.
        objective: the one that they are compared by; None to sort them by number.
        position: its position among all objectives.
    """
    return sorted(states, key=partial(_place, objective=objective, position=position))


class Best:
    """The trial with the best value among those that were added. Failed trials do not count; of equals, the first does.

    Args:
        states: the states of all trials by number, which change.
        position: the position of the objective among all.
    """

    def __init__(self, states: Mapping[int, TrialState], position: int = 0) -> None:
        self._states, self._position = states, position
        self._best: TrialState | None = None
        self._place: tuple[bool, float, int] = (True, 0, 0)  # of the best

    def update(self, changed: Iterable[TrialState], objective: Objective) -> TrialState | None:
        """Return the best trial, or None.

        Args:
            changed: the trials that have changed since the last call.
            objective: the one that they are compared by.
        """
        place = partial(_place, objective=objective, position=self._position)
        if self._best is not None and place(self._best) > self._place:  # it has failed, or its last value is worse
            changed = self._states.values()
        elif self._best is not None:
            changed = [*changed, self._best]
        best = min(changed, key=place, default=None)
        self._best = best if best is not None and _compared(best, self._position) is not None else None
        if self._best is not None:
            self._place = place(self._best)
        return self._best


def _compared(state: TrialState, position: int) -> float | None:
    """Return the value that a trial is compared by; None if it has failed or has none."""
    return state.values[position].value if position < len(state.values) and state.status != "failed" else None


def _place(state: TrialState, objective: Objective | None, position: int) -> tuple[bool, float, int]:
    """Return the sort key of a trial among others."""
    value = _compared(state, position)
    if value is None or objective is None:
        return (True, 0, state.number)
    return (False, objective.sign * value, state.number)


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
