"""The state of a trial, which the store keeps up to date."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

__all__ = ["NO_VALUE", "SavedCheckpoint", "TrialState", "Value"]


class Value(NamedTuple):
    """The value of an objective by which a trial is compared with others.

    Attributes:
        value: the value; None without any, or if it is not finite.
        iteration: the iteration at which it was reached, or None.
        row: the number of that report among those of all trials; -1 without a value.
        has_number: whether the trial has ever reported a finite number as the metric.
    """

    value: float | None = None
    iteration: int | None = None
    row: int = -1
    has_number: bool = False


NO_VALUE = Value()


class SavedCheckpoint(NamedTuple):
    """A checkpoint of a trial.

    Attributes:
        path: its path, relative to the experiment's folder.
        iteration: the iteration of its report.
    """

    path: str
    iteration: int


@dataclass
class TrialState:
    """The state of one trial.

    Attributes:
        number: its number, counted from 0 as trials are added.
        ray_id: Tune's id.
        config: its parameters, nested: those of its last report, if a scheduler changes them.
        parameters: the same by name: nested parameters have joined names, "a/b".
        folder: the name of its folder in the experiment's.
        configuration: the number of its configuration, where each is trained several times; else None.
        repeat: the number of this training of it, counted from 0.
        status: "pending", "running", "paused", "finished", "stopped" or "failed".
        reason: why it ended: "done", "condition", "scheduler", "max_t", "user", "pruned", "experiment" or "error"; or
            who has paused it.
        condition: the stop condition that has ended it, as text; else empty.
        iterations: the number of its reports.
        time_s: the seconds that it has trained.
        metrics: the last value of each metric.
        row: the number of its last report among those of all trials; -1 without any.
        values: the value of each objective; none before its first report.
        checkpoints: its checkpoints, the latest last. Some may have been deleted.
        error: one line, or None.
        traceback: the full text, or None.
        failures: the number of its failed attempts.
        reads: what its processes have read of the data sets: worker -> name -> rows, passes, seconds that it waited.
        started: seconds since the epoch, or None.
        ended: seconds since the epoch, or None.
        changed: the store's version after its latest change.
    """

    number: int
    ray_id: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    folder: str = ""
    configuration: int | None = None
    repeat: int = 0
    status: str = "pending"
    reason: str = ""
    condition: str = ""
    iterations: int = 0
    time_s: float = math.nan
    metrics: dict[str, Any] = field(default_factory=dict)
    row: int = -1
    values: tuple[Value, ...] = ()
    checkpoints: list[SavedCheckpoint] = field(default_factory=list)
    error: str | None = None
    traceback: str | None = None
    failures: int = 0
    reads: dict[int, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    started: float | None = None
    ended: float | None = None
    changed: int = field(default=0, compare=False)

    @property
    def single(self) -> Value:
        """The value of the only objective; no value if there are several."""
        return self.values[0] if len(self.values) == 1 else NO_VALUE

    @property
    def value(self) -> float | None:
        """The value of the only objective by which it is compared with other trials, or None."""
        return self.single.value

    def is_compared(self, objectives: int) -> bool:
        """Return whether it is compared with other trials: it has not failed, and has a value of each objective.

        Args:
            objectives: their number.
        """
        has_all = len(self.values) == objectives and all(one.value is not None for one in self.values)
        return has_all and self.status != "failed"

    def copy(self) -> TrialState:
        """Return a copy, which does not change with this state."""
        return replace(
            self,
            config=dict(self.config),
            metrics=dict(self.metrics),
            checkpoints=list(self.checkpoints),
            reads=dict(self.reads),
        )
