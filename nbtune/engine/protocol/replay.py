"""The state of an experiment according to its event log: what a driver needs to resume it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.engine.protocol.chunk import Chunk
from nbtune.engine.protocol.events import (
    CheckpointSaved,
    Event,
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialQueued,
    TrialReconfigured,
    TrialReported,
    TrialStarted,
)
from nbtune.engine.protocol.metadata import Metadata

__all__ = ["Past", "PastTrial", "past_of"]


@dataclass
class PastTrial:
    """One trial after its last event.

    Attributes:
        number: its number.
        ray_id: Tune's id.
        folder: the name of its folder in the experiment's.
        config: its parameters.
        by: who has added it, "user" or "search".
        status: the final status of its last attempt, or "" if it is not over.
        reason: why it ended.
        iterations: the number of its reports.
        checkpoint: the path of its latest checkpoint, or None.
        checkpoint_iteration: the iteration of that checkpoint.
        checkpoint_metrics: metric -> value of the report with the checkpoint, or the last one before it.
        checkpoint_time_s: the seconds that it had trained at that report.
        last_metrics: metric -> value of the last report.
        last_time_s: the seconds that it had trained at the last report.
    """

    number: int
    ray_id: str = ""
    folder: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    by: str = "search"
    status: str = ""
    reason: str = ""
    iterations: int = 0
    checkpoint: str | None = None
    checkpoint_iteration: int = 0
    checkpoint_metrics: dict[str, Any] = field(default_factory=dict)
    checkpoint_time_s: float = 0.0
    last_metrics: dict[str, Any] = field(default_factory=dict)
    last_time_s: float = 0.0

    def is_resumed(self, *, failed: bool) -> bool:
        """Return whether the trial is resumed with the experiment.

        Args:
            failed: whether failed trials are.
        """
        if self.status == "failed":
            return failed
        return self.status == "" or self.reason == "experiment"


@dataclass(frozen=True)
class Past:
    """An experiment after its last event.

    Attributes:
        metadata: from its own events; the latest value of each entry.
        trials: Tune's id -> trial.
        unnamed: number -> trial, of those whose ids are not known, since events are damaged.
        is_damaged: whether events are missing.
    """

    metadata: Metadata
    trials: Mapping[str, PastTrial]
    unnamed: Mapping[int, PastTrial] = field(default_factory=dict)
    is_damaged: bool = False


def past_of(chunks: Iterable[Chunk]) -> Past:
    """Return the state of an experiment after its last event.

    Args:
        chunks: all of its events, in order.
    """
    metadata = Metadata()
    trials: dict[int, PastTrial] = {}
    end, is_damaged = 0, False
    for chunk in chunks:
        is_damaged |= chunk.first > end
        end = chunk.end
        for event in chunk.events():
            if isinstance(event, ExperimentUpdated):
                metadata.update(event.metadata)
            else:
                _apply(trials.setdefault(event.trial, PastTrial(event.trial)), event)
    named = {trial.ray_id: trial for trial in trials.values() if trial.ray_id}
    unnamed = {number: trial for number, trial in trials.items() if not trial.ray_id}
    return Past(metadata, named, unnamed, is_damaged)


def _apply(trial: PastTrial, event: Event) -> None:
    match event:
        case TrialAdded():
            trial.ray_id, trial.folder, trial.by = event.ray_id, event.folder, event.by
            trial.config = event.parameters()
        case TrialReconfigured():
            trial.config = event.parameters()
        case TrialReported():
            trial.iterations = event.iteration
            trial.last_metrics, trial.last_time_s = dict(event.metrics), _seconds(event.time_s)
        case CheckpointSaved():
            trial.checkpoint, trial.checkpoint_iteration = event.path, event.iteration
            trial.checkpoint_metrics, trial.checkpoint_time_s = trial.last_metrics, trial.last_time_s
        case TrialEnded():
            trial.status, trial.reason = event.status, event.reason
        case TrialStarted() | TrialQueued():
            trial.status = trial.reason = ""


def _seconds(value: float) -> float:
    return 0.0 if math.isnan(value) else float(value)
