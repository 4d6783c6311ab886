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
    RungReached,
    TrialAdded,
    TrialEnded,
    TrialQueued,
    TrialReconfigured,
    TrialReported,
    TrialStarted,
)
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.trust import NOTHING, Trust

__all__ = ["Past", "PastReport", "PastRung", "PastTrial", "SavedCheckpoint", "past_of"]


@dataclass(frozen=True)
class PastReport:
    """A report of a trial.

    Attributes:
        iteration: the number of the reports before it, including its own.
        metrics: metric -> value.
        time_s: the seconds that the trial had trained.
    """

    iteration: int
    metrics: dict[str, Any]
    time_s: float


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint of a trial, which may be deleted by now.

    Attributes:
        path: its path relative to the experiment's folder.
        iteration: the number of the reports before it, including its own.
        metrics: metric -> value of the report with the checkpoint, or the last one before it.
        time_s: the seconds that the trial had trained at that report.
    """

    path: str
    iteration: int
    metrics: dict[str, Any]
    time_s: float


@dataclass
class PastRung:
    """A rung at which the scheduler has compared a trial with others.

    Attributes:
        bracket: the number of the bracket.
        rung: where the rung is.
        iteration: the number of the reports before it, including its own.
        goes_on: whether the trial went on.
        metrics: metric -> value of the report by which it was compared; empty if that is not in the log.
    """

    bracket: int
    rung: float
    iteration: int
    goes_on: bool
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass
class PastTrial:
    """One trial after its last event.

    Attributes:
        number: its number.
        ray_id: Tune's id.
        folder: the name of its folder in the experiment's.
        config: its parameters.
        by: who has added it, "user" or "search".
        configuration: the number of its configuration; None where configurations are not repeated.
        repeat: the number of this training of it.
        status: the final status of its last attempt, or "" if it is not over.
        reason: why it ended.
        iterations: the number of its reports.
        checkpoints: all checkpoints that it has saved, the latest last.
        start: a checkpoint of another trial that it has started from after its latest own one, or None.
        last_metrics: metric -> value of the last report.
        last_time_s: the seconds that it had trained at the last report.
        reports: the metrics that are numbers -> the last report with exactly these, in the order of the reports. The
            last one with numbers for some metrics, whichever they are, is among them.
        rungs: the rungs that it has reached.
        is_damaged: whether events of the experiment are missing, perhaps its own.
    """

    number: int
    ray_id: str = ""
    folder: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    by: str = "search"
    configuration: int | None = None
    repeat: int = 0
    status: str = ""
    reason: str = ""
    iterations: int = 0
    checkpoints: list[SavedCheckpoint] = field(default_factory=list)
    start: SavedCheckpoint | None = None
    last_metrics: dict[str, Any] = field(default_factory=dict)
    last_time_s: float = 0.0
    reports: dict[frozenset[str], PastReport] = field(default_factory=dict)
    rungs: list[PastRung] = field(default_factory=list)
    is_damaged: bool = False

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


def past_of(chunks: Iterable[Chunk], trust: Trust = NOTHING) -> Past:
    """Return the state of an experiment after its last event.

    Args:
        chunks: all of its events, in order.
        trust: which objects among the parameters are unpickled.
    """
    metadata = Metadata()
    trials: dict[int, PastTrial] = {}
    end, is_damaged = 0, False
    saved: dict[str, SavedCheckpoint] = {}  # path -> the checkpoint
    starts: dict[int, str] = {}  # number -> the path of another trial's checkpoint that it has started from since
    for chunk in chunks:
        is_damaged |= chunk.first > end
        end = chunk.end
        for event in chunk.events():
            if isinstance(event, ExperimentUpdated):
                metadata.update(event.metadata)
                continue
            trial = trials.setdefault(event.trial, PastTrial(event.trial))
            _apply(trial, event, trust)
            if isinstance(event, CheckpointSaved) and event.path:
                saved[event.path] = trial.checkpoints[-1]
                starts.pop(event.trial, None)
            elif isinstance(event, TrialReconfigured) and event.path:
                starts[event.trial] = event.path
    for number, path in starts.items():
        trials[number].start = saved.get(path)  # a trial may start before the log has the checkpoint
    for trial in trials.values():
        trial.is_damaged = is_damaged
    named = {trial.ray_id: trial for trial in trials.values() if trial.ray_id}
    unnamed = {number: trial for number, trial in trials.items() if not trial.ray_id}
    return Past(metadata, named, unnamed, is_damaged)


def _apply(trial: PastTrial, event: Event, trust: Trust) -> None:
    match event:
        case TrialAdded():
            trial.ray_id, trial.folder, trial.by = event.ray_id, event.folder, event.by
            trial.config = event.parameters(trust)
            trial.configuration, trial.repeat = event.configuration if event.configuration >= 0 else None, event.repeat
        case TrialReconfigured():
            trial.config = event.parameters(trust)
        case TrialReported():
            trial.iterations = event.iteration
            trial.last_metrics, trial.last_time_s = dict(event.metrics), _seconds(event.time_s)
            numbers = frozenset(name for name, value in event.metrics.items() if _is_number(value))
            trial.reports.pop(numbers, None)
            trial.reports[numbers] = PastReport(trial.iterations, trial.last_metrics, trial.last_time_s)
            if trial.rungs and not trial.rungs[-1].metrics and trial.rungs[-1].iteration == event.iteration:
                trial.rungs[-1].metrics = trial.last_metrics  # the scheduler gets a report before it is recorded
        case RungReached():
            metrics = trial.last_metrics if trial.iterations == event.iteration else {}
            trial.rungs.append(PastRung(event.bracket, event.rung, event.iteration, event.goes_on, metrics))
        case CheckpointSaved() if event.path:
            metrics, time_s = trial.last_metrics, trial.last_time_s
            trial.checkpoints.append(SavedCheckpoint(event.path, event.iteration, metrics, time_s))
        case TrialEnded():
            trial.status, trial.reason = event.status, event.reason
        case TrialStarted() | TrialQueued():
            trial.status = trial.reason = ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == value


def _seconds(value: float) -> float:
    return 0.0 if math.isnan(value) else float(value)
