"""What an experiment's event log tells of its trials: what a driver needs in order to go on with it."""

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
    TrialReported,
    TrialStarted,
)
from nbtune.engine.protocol.metadata import Metadata

__all__ = ["Past", "PastTrial", "past_of"]


@dataclass
class PastTrial:
    """One trial, as its events have left it.

    Attributes:
        number: its number.
        ray_id: Tune's id.
        folder: the name of its folder in the experiment's.
        config: its parameters.
        by: who has wanted it, "user" or "search".
        status: the final status of its last attempt, or "" where it has not come to an end.
        reason: why it ended.
        iterations: how many reports it has made.
        checkpoint: the path of its latest checkpoint, or None.
        at: the iteration of that checkpoint.
        result: the report that came with the checkpoint, or the last one before it: metric -> value.
        time_s: seconds that it had trained by then.
        last: the last report of all.
        last_time_s: seconds that it had trained by that.
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
    at: int = 0
    result: dict[str, Any] = field(default_factory=dict)
    time_s: float = 0.0
    last: dict[str, Any] = field(default_factory=dict)
    last_time_s: float = 0.0

    def goes_on(self, *, failed: bool) -> bool:
        """Tell whether the trial is to go on when the experiment is resumed.

        Args:
            failed: whether trials that have failed are.
        """
        if self.status == "failed":
            return failed
        return self.status == "" or self.reason == "experiment"


@dataclass(frozen=True)
class Past:
    """An experiment up to now.

    Attributes:
        metadata: from its own events; the latest value of each entry.
        trials: every trial by Tune's id.
    """

    metadata: Metadata
    trials: Mapping[str, PastTrial]


def past_of(chunks: Iterable[Chunk]) -> Past:
    """Return an experiment up to now.

    Args:
        chunks: all of its events, in order.
    """
    metadata = Metadata()
    trials: dict[int, PastTrial] = {}
    for chunk in chunks:
        for event in chunk.events():
            if isinstance(event, ExperimentUpdated):
                metadata.update(event.metadata)
            else:
                _apply(trials.setdefault(event.trial, PastTrial(event.trial)), event)
    return Past(metadata, {trial.ray_id: trial for trial in trials.values()})


def _apply(trial: PastTrial, event: Event) -> None:
    match event:
        case TrialAdded():
            trial.ray_id, trial.folder, trial.by = event.ray_id, event.folder, event.by
            trial.config = event.original_config()
        case TrialReported():
            trial.iterations = event.iteration
            trial.last, trial.last_time_s = dict(event.metrics), _seconds(event.time_s)
        case CheckpointSaved():
            trial.checkpoint, trial.at = event.path, event.iteration
            trial.result, trial.time_s = trial.last, trial.last_time_s
        case TrialEnded():
            trial.status, trial.reason = event.status, event.reason
        case TrialStarted() | TrialQueued():
            trial.status = trial.reason = ""


def _seconds(value: float) -> float:
    return 0.0 if math.isnan(value) else float(value)
