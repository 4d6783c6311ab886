"""How the trials of a population descend from one another, and which of them went on at the rungs of a scheduler."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from nbtune.engine.protocol.events import RungReached, TrialReconfigured
from nbtune.results.reports import Configuration, Reports
from nbtune.spec.space.values import same

__all__ = ["Copy", "Lineage", "Rung", "Step"]


class Step(NamedTuple):
    """A moment at which a trial went on with other parameters, from another trial, or both.

    Attributes:
        row: the number of the first report after it, of any trial.
        iteration: the number of reports that the trial had made before.
        after: the parameters from then on.
        source: the number of the trial that it has copied, or -1.
        source_iteration: the number of reports of that trial at the checkpoint that was copied.
    """

    row: int
    iteration: int
    after: Configuration
    source: int
    source_iteration: int


class Phase(NamedTuple):
    """Parameters with which a state of a trial was trained for some iterations.

    Attributes:
        iteration: the number of the iterations before.
        configuration: the parameters.
        trial: the number of the trial that was trained then.
        source: the number of the trial that it has copied immediately before, or -1.
    """

    iteration: int
    configuration: Configuration
    trial: int
    source: int

    @property
    def text(self) -> str:
        """Where the phase begins, in words; empty if that is no copy."""
        return f"trial {self.trial}: from trial {self.source} at iteration {self.iteration}" if self.source >= 0 else ""


class Copy(NamedTuple):
    """A copy of a trial, at the first report after it.

    Attributes:
        trial: the number of the trial that has become the copy.
        source: the number of the trial that was copied.
        source_iteration: the number of its reports at the checkpoint that was copied.
        row: the number of the first report after the copy among those of all trials.
        iteration: the iteration of that report.
        time_s: the seconds that the trial had trained at that report.
    """

    trial: int
    source: int
    source_iteration: int
    row: int
    iteration: int
    time_s: float

    @property
    def text(self) -> str:
        """The copy in words."""
        return f"trial {self.trial}: from trial {self.source} at iteration {self.source_iteration}"


class Rung(NamedTuple):
    """A rung at which a scheduler compares trials.

    Attributes:
        at: where it is.
        unit: the entry of Tune's results in which that is counted: "training_iteration", "time_total_s" or a metric.
        reached: how many trials were compared there.
        went_on: how many of them went on.
    """

    at: float
    unit: str
    reached: int
    went_on: int

    @property
    def text(self) -> str:
        """The rung in words."""
        return f"rung {self.at:g}: {self.went_on} of {self.reached} went on"


class Lineage:
    """The steps of all trials and the rungs, fed and read as the store is.

    Args:
        lock: the store's.
        reports: all reports.
        configuration: returns the present parameters of a trial, by its number.
    """

    def __init__(self, lock: threading.RLock, reports: Reports, configuration: Callable[[int], Configuration]) -> None:
        self._lock, self._reports, self._configuration = lock, reports, configuration
        self._steps: dict[int, list[Step]] = {}  # by trial
        self._firsts: dict[tuple[int, int], Copy] = {}  # trial and row of a step -> the copy, once it has reported
        self._rungs: dict[tuple[float, str], dict[int, bool]] = {}  # where, unit -> trial -> whether it went on

    def add(self, event: TrialReconfigured, row: int, after: Configuration) -> None:
        """Add a step. A trial that starts once more from the same copy, as after a failure, makes none.

        Args:
            event: the event.
            row: the number of the first report after it, of any trial.
            after: its parameters.
        """
        steps = self._steps.setdefault(event.trial, [])
        step = Step(row, event.iteration, after, event.source, event.source_iteration)
        if steps and steps[-1][3:] == step[3:] and same(steps[-1].after.nested, after.nested):
            return
        steps.append(step)

    def add_rung(self, event: RungReached) -> None:
        """Add what a scheduler has decided about a trial at a rung.

        Args:
            event: the event.
        """
        self._rungs.setdefault((event.rung, event.unit), {})[event.trial] = event.goes_on

    def rungs(self) -> list[Rung]:
        """Return the rungs in their order. Those of several brackets at the same place count as one."""
        with self._lock:
            return [
                Rung(at, unit, len(trials), sum(trials.values()))
                for (at, unit), trials in sorted(self._rungs.items(), key=lambda item: item[0])
            ]

    def copies(self) -> list[Copy]:
        """Return the copies after which the trial has reported, by trial."""
        with self._lock:
            return list(self._copies())

    def _copies(self) -> Iterator[Copy]:
        for trial, steps in sorted(self._steps.items()):
            for step in steps:
                if step.source < 0:
                    continue
                key = (trial, step.row)
                if key not in self._firsts and (first := self._reports.first_of(trial, step.row)) is not None:
                    self._firsts[key] = Copy(trial, step.source, step.source_iteration, *first)
                if key in self._firsts:
                    yield self._firsts[key]

    def steps(self, trial: int) -> list[Step]:
        """Return the steps of a trial in their order.

        Args:
            trial: its number.
        """
        with self._lock:
            return list(self._steps.get(trial, ()))

    def phases(self, trial: int) -> list[Phase]:
        """Return what the present state of a trial was trained with, also before it became a copy.

        Args:
            trial: its number.
        """
        with self._lock:
            last = self._reports.row_of(trial)
            found: dict[int, Phase] = {}
            # What was changed after its last report is trained with by nobody.
            for number, step in self._descent(trial, -1 if last is None else last):
                if step is None:
                    first = self._reports.configuration(number, -1, self._configuration(number))
                    found.setdefault(0, Phase(0, first, number, -1))
                else:
                    at = step.iteration if step.source < 0 else step.source_iteration
                    found.setdefault(at, Phase(at, step.after, number, step.source))
            return [found[at] for at in sorted(found)]

    def schedule(self, trial: int) -> list[tuple[int, dict[str, Any]]]:
        """Return from which iteration on the present state of a trial was trained with which parameters.

        Args:
            trial: its number.
        """
        found: list[tuple[int, dict[str, Any]]] = []
        for phase in self.phases(trial):
            if not found or not same(found[-1][1], phase.configuration.nested):  # a copy may keep the parameters
                found.append((phase.iteration, phase.configuration.nested))
        return found

    def founder(self, trial: int, row: int) -> int:
        """Return the number of the trial from which the state of a trial at one of its reports descends.

        Args:
            trial: its number.
            row: the number of the report among those of all trials.
        """
        with self._lock:
            *_, (number, _) = self._descent(trial, row)
            return number

    def _descent(self, trial: int, until: int) -> Iterator[tuple[int, Step | None]]:
        """Yield the steps that have led to a report, the latest first, each with its trial; at last the founder."""
        while True:
            for step in reversed(self._steps.get(trial, ())):
                if step.row > until:
                    continue
                yield trial, step
                if step.source >= 0:
                    # Its source until the checkpoint, which is earlier than this step.
                    row = self._reports.row_of(step.source, step.source_iteration, step.row)
                    trial, until = step.source, step.row - 1 if row is None else row
                    break
            else:
                yield trial, None
                return
