"""Configurations that are trained several times: the mean of the values of their trials, by which they are compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nbtune.engine.protocol.recorded_space import RecordedParameter, has_numbers
from nbtune.results.columns import ABSENT, column_of, headings, index_of
from nbtune.results.state import TrialState
from nbtune.spec.options.objectives import Objective
from nbtune.spec.options.repeat import mean_of

__all__ = ["Configurations", "Repeated", "configuration_table"]

_OVER = frozenset({"finished", "stopped", "failed"})


@dataclass(frozen=True)
class Repeated:
    """A configuration with its trials.

    Attributes:
        number: its number.
        states: its trials, in the order of the repeats.
        times: how often it is to be trained.
        position: the position of the objective that it is compared by, among all.
    """

    number: int
    states: Sequence[TrialState]
    times: int
    position: int = 0

    @property
    def compared(self) -> list[tuple[float, TrialState]]:
        """The trials that have a value and have not failed, each with the value."""
        found = []
        for state in self.states:
            value = state.values[self.position].value if self.position < len(state.values) else None
            if value is not None and state.status != "failed":
                found.append((value, state))
        return found

    @property
    def mean(self) -> float | None:
        """The mean of the values; None without any."""
        values = [value for value, _ in self.compared]
        return mean_of(values) if values else None

    @property
    def deviation(self) -> float:
        """The standard deviation of the values as a sample; NaN if there are less than two."""
        values = [value for value, _ in self.compared]
        mean = self.mean
        if len(values) < 2 or mean is None:
            return math.nan
        return math.hypot(*(value - mean for value in values)) / math.sqrt(len(values) - 1)

    @property
    def is_complete(self) -> bool:
        """Whether all of its trials are over. One that was ended with the experiment is not: it can be resumed."""
        over = [state for state in self.states if state.status in _OVER and state.reason != "experiment"]
        return len(over) >= self.times and len(over) == len(self.states)

    @property
    def typical(self) -> TrialState | None:
        """The trial whose value is nearest the mean; of equals the first. None without a value."""
        mean = self.mean
        if mean is None:
            return None
        return min(self.compared, key=lambda pair: (abs(pair[0] - mean), pair[1].number))[1]

    @property
    def note(self) -> str:
        """What the mean is of: "mean of 3 repeats", "mean of 2 of 3 repeats so far"."""
        number = len(self.compared)
        of = f"{self.times} repeats" if number == self.times else f"{number} of {self.times} repeats"
        return f"mean of {of}" + ("" if self.is_complete else " so far")

    def place(self, objective: Objective | None) -> tuple[bool, bool, float, int]:
        """Return the sort key among configurations: the best one first.

        A configuration whose trials are not all over comes after those whose are: the mean of fewer values is more
        likely to be good by chance.

        Args:
            objective: the one that they are compared by; None to sort them by number.
        """
        mean = self.mean if objective is not None else None
        if mean is None or objective is None:
            return True, True, 0.0, self.number
        return False, not self.is_complete, objective.sign * mean, self.number


class Configurations:
    """The configurations of an experiment in which each is trained several times.

    Args:
        states: the states of all trials by number, to which others are added.
    """

    def __init__(self, states: Mapping[int, TrialState]) -> None:
        self._states = states
        self._trials: dict[int, dict[int, None]] = {}  # number of the configuration -> numbers of its trials
        self._places: dict[int, tuple[bool, bool, float, int]] = {}

    def number_of(self, state: TrialState) -> int:
        """Return the number of the configuration of a trial; a negative one if that is not known.

        Args:
            state: the trial.
        """
        return state.configuration if state.configuration is not None else -1 - state.number

    def update(self, changed: Iterable[TrialState], times: int, objective: Objective | None) -> None:
        """Take changes of trials into account.

        Args:
            changed: the trials that have changed.
            times: how often each configuration is to be trained.
            objective: the one that they are compared by.
        """
        numbers = set()
        for state in changed:
            number = self.number_of(state)
            self._trials.setdefault(number, {})[state.number] = None
            numbers.add(number)
        for number in numbers:
            self._places[number] = self.get(number, times).place(objective)

    def get(self, number: int, times: int) -> Repeated:
        """Return a configuration.

        Args:
            number: its number.
            times: as for `update`.
        """
        states = [self._states[trial] for trial in self._trials[number]]
        return Repeated(number, sorted(states, key=lambda state: (state.repeat, state.number)), times)

    def all(self, times: int) -> list[Repeated]:
        """Return all configurations by their numbers.

        Args:
            times: as for `update`.
        """
        return [self.get(number, times) for number in sorted(self._trials)]

    def best(self, times: int) -> Repeated | None:
        """Return the best configuration; None if none has a value.

        Args:
            times: as for `update`.
        """
        best = min(self._places.items(), key=lambda item: item[1], default=None)
        return None if best is None or best[1][0] else self.get(best[0], times)

    def ranked(self, states: Iterable[TrialState]) -> list[TrialState]:
        """Return trials in the order of their configurations, the best first; those without a value come last.

        Args:
            states: the trials.
        """

        def key(state: TrialState) -> tuple[Any, ...]:
            is_last = state.status == "failed" or state.value is None
            place = self._places.get(self.number_of(state), (True, True, 0.0, 0))
            return is_last, place, state.repeat, state.number

        return sorted(states, key=key)


def configuration_table(
    configurations: Sequence[Repeated], space: Mapping[str, RecordedParameter], objective: Objective | None
) -> pd.DataFrame:
    """Return one row for each configuration, with the columns of `Experiment.configurations`.

    Args:
        configurations: the configurations.
        space: the parameters of the space.
        objective: the objective that they are compared by, or None.
    """
    firsts = [known.states[0].parameters for known in configurations]
    parameters = list(dict.fromkeys([*space, *(name for config in firsts for name in config)]))
    own: dict[str, list[Any]] = {}
    if objective is not None:
        means = [known.mean for known in configurations]
        own[f"{objective.metric}_mean"] = [ABSENT if mean is None else float(mean) for mean in means]
        own[f"{objective.metric}_std"] = [known.deviation for known in configurations]
        own["values"] = [len(known.compared) for known in configurations]
    own["complete"] = [known.is_complete for known in configurations]
    own["trials"] = [tuple(state.number for state in known.states) for known in configurations]
    empty = {"values": "int64", "complete": "bool", "trials": "object"}
    columns: dict[str, Any] = {}
    index = pd.Index([known.number for known in configurations], name="configuration", dtype="int64")
    for name, shown in headings(parameters, "config", own).items():
        values = [config.get(name, ABSENT) for config in firsts]
        columns[shown] = column_of(values, index, "float64" if has_numbers(space.get(name)) else "object")
    for name, values in own.items():
        columns[name] = column_of(values, index, empty.get(name, "float64"))
    table = pd.DataFrame(dict(enumerate(columns.values())), index=index)
    return table.set_axis(index_of(columns), axis="columns")
