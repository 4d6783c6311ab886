"""The state of a trial, which the store keeps up to date."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

__all__ = ["SavedCheckpoint", "TrialState"]


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
        status: "pending", "running", "paused", "finished", "stopped" or "failed".
        reason: why it ended: "done", "scheduler", "user", "pruned", "experiment" or "error"; or who has paused it.
        iterations: the number of its reports.
        time_s: the seconds that it has trained.
        metrics: the last value of each metric.
        row: the number of its last report among those of all trials; -1 without any.
        value: the value of the experiment's metric by which it is compared with other trials, or None.
        value_iteration: the iteration at which the value was reached, or None.
        value_row: the number of that report among those of all trials; -1 without a value.
        has_number: whether it has ever reported a finite number as the metric.
        checkpoints: its checkpoints, the latest last. Some may have been deleted.
        error: one line, or None.
        traceback: the full text, or None.
        failures: the number of its failed attempts.
        started: seconds since the epoch, or None.
        ended: seconds since the epoch, or None.
        changed: the store's version after its latest change.
    """

    number: int
    ray_id: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    folder: str = ""
    status: str = "pending"
    reason: str = ""
    iterations: int = 0
    time_s: float = math.nan
    metrics: dict[str, Any] = field(default_factory=dict)
    row: int = -1
    value: float | None = None
    value_iteration: int | None = None
    value_row: int = -1
    has_number: bool = False
    checkpoints: list[SavedCheckpoint] = field(default_factory=list)
    error: str | None = None
    traceback: str | None = None
    failures: int = 0
    started: float | None = None
    ended: float | None = None
    changed: int = field(default=0, compare=False)

    def copy(self) -> TrialState:
        """Return a copy, which does not change with this state."""
        return replace(self, config=dict(self.config), metrics=dict(self.metrics), checkpoints=list(self.checkpoints))
