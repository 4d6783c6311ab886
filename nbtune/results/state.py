"""What is known of one trial: the record that the store keeps up to date, and its configuration."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["TrialState", "config_of"]


@dataclass
class TrialState:
    """What is known of one trial.

    Attributes:
        number: its number, counted from 0 as trials are added.
        ray_id: Tune's id.
        config: its parameters.
        folder: the name of its folder in the experiment's.
        status: "pending", "running", "paused", "finished", "stopped" or "failed".
        reason: why it ended: "done", "scheduler", "user", "experiment" or "error"; or who has paused it.
        iterations: how many reports it has made.
        time_s: seconds it has trained.
        metrics: the last value of each metric.
        best: the best finite value of the experiment's metric, or None.
        checkpoints: the paths of its checkpoints, the latest last.
        error: one line, or None.
        traceback: the whole text, or None.
        failures: how many of its attempts have failed.
        started: seconds since the epoch, or None.
        ended: seconds since the epoch, or None.
        changed: the store's version with the latest change of it.
    """

    number: int
    ray_id: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    folder: str = ""
    status: str = "pending"
    reason: str = ""
    iterations: int = 0
    time_s: float = math.nan
    metrics: dict[str, Any] = field(default_factory=dict)
    best: float | None = None
    checkpoints: list[str] = field(default_factory=list)
    error: str | None = None
    traceback: str | None = None
    failures: int = 0
    started: float | None = None
    ended: float | None = None
    changed: int = field(default=0, compare=False)

    def copy(self) -> TrialState:
        """Return the same as a record of its own, which does not change when this one does."""
        return replace(self, config=dict(self.config), metrics=dict(self.metrics), checkpoints=list(self.checkpoints))


def config_of(data: Mapping[str, Any], pickled: bytes | None) -> dict[str, Any]:
    """Return the configuration that an "added" event tells.

    Args:
        data: the event's, with the configuration as it was written for people.
        pickled: the configuration itself where JSON cannot hold it, or None.
    """
    if pickled is not None:
        try:
            return dict(pickle.loads(pickled))
        except Exception:  # made by code that is not here: what was written for people will do
            return dict(data["config"])
    return dict(data["config"])
