"""The recorder: a Tune callback that writes what happens into the event log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune import Callback

from nbtune.engine._ray.core import actor_id
from nbtune.engine.protocol.events import (
    AttemptFailed,
    CheckpointSaved,
    Event,
    ExperimentUpdated,
    TrialEnded,
    TrialPaused,
    TrialQueued,
    TrialReported,
    TrialStarted,
    WorkerInfo,
    WorkerReported,
    WorkersStarted,
)
from nbtune.engine.protocol.failures import UnsavedCheckpoint, describe, unsaved_checkpoint
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.metrics import Report, flat
from nbtune.engine.protocol.recorded_trial import added_event, error_of
from nbtune.engine.protocol.registry import Live
from nbtune.engine.protocol.replay import Past
from nbtune.engine.protocol.result import REPORT
from nbtune.engine.storage.log import EventLog
from nbtune.engine.tune.continuation import catch_up
from nbtune.engine.tune.groups import release
from nbtune.engine.tune.searcher import Proposals

__all__ = ["Recorder", "trial_folder"]


class Recorder(Live, Callback):
    """Writes every trial's life into the log.

    Args:
        log: where to write.
        proposals: the search algorithm, which is told who holds a place.
        total: how many trials there will be, as far as is known.
        past: what was before, where the experiment is resumed.
        failed: whether trials that have failed go on then.

    Attributes:
        numbers: Tune's trial id -> the trial's number, in the order in which trials were added.
        by_user: ids of the trials that the user has stopped.
        by_scheduler: ids of those that the scheduler has stopped.
        staging: the folder that Tune writes to before it copies into storage; None before the first trial.
        on_failure: called when a trial has failed, with why it could not save its checkpoint (None for any other
            reason), and whether the failure is final.
        releases: whether trials reserve something themselves, which is given back when their process is gone.
    """

    role = "recorder"

    def __init__(
        self, log: EventLog, proposals: Proposals, total: int, past: Past | None = None, *, failed: bool = False
    ) -> None:
        self._log, self._proposals, self._total = log, proposals, total
        earlier = past.trials if past else {}
        self._ended = {key: known.status for key, known in earlier.items() if not known.is_resumed(failed=failed)}
        self._to_resume = {key: known for key, known in earlier.items() if key not in self._ended}
        self._cut_short = False
        self.numbers = {key: known.number for key, known in earlier.items()}
        self.by_user: set[str] = set()
        self.by_scheduler: set[str] = set()
        self.staging: str | None = None
        self.releases = False
        self._actors: dict[str, bytes] = {}  # the ids of the actors that run trials, of those that reserve something
        self.on_failure: Callable[[UnsavedCheckpoint | None, bool], None] = lambda unsaved, final: None

    def write_metadata(self, metadata: Metadata) -> None:
        """Record what has changed of the experiment as a whole."""
        self._log.append(ExperimentUpdated(time=time.time(), metadata=metadata))

    def _append(self, kind: type[Event], trial: Any, **fields: Any) -> None:
        self._log.append(kind(self.numbers[trial.trial_id], time.time(), **fields))

    def on_added(self, trial: Any) -> None:
        """Record a new trial, or that one of an earlier run waits; called for one that is tried again, too."""
        trial_id = trial.trial_id
        self.staging = trial.storage.experiment_driver_staging_path
        if not trial.is_finished():
            self._proposals.added(trial_id)
        if trial_id not in self.numbers:
            self.numbers[trial_id] = len(self.numbers)
            number, by = self.numbers[trial_id], self._proposals.by(trial_id)
            self._log.append(added_event(trial, number, time.time(), trial_folder(trial), by))
        elif trial_id in self._to_resume and not trial.is_finished():
            catch_up(trial, self._to_resume.pop(trial_id))
            self.on_queued(trial)

    def on_queued(self, trial: Any) -> None:
        """Record that a trial waits for a place again."""
        self._append(TrialQueued, trial, iteration=_reports(trial))

    def on_paused(self, trial: Any, *, by_user: bool) -> None:
        """Record that a trial has given up its place."""
        self._release(trial)
        self._append(TrialPaused, trial, iteration=_reports(trial), reason="user" if by_user else "scheduler")

    def on_workers(self, trial_id: str, iteration: int, workers: list[WorkerInfo]) -> None:
        """Record that a trial's workers have started; called from another thread.

        Args:
            trial_id: Tune's id.
            iteration: how many reports there had been before.
            workers: all workers that the trial has now.
        """
        if trial_id not in self._ended:
            number = self.numbers[trial_id]
            self._log.append(WorkersStarted(number, time.time(), iteration=iteration, workers=workers))

    def on_more(self, trials: int) -> None:
        """Record that there will be so many trials more."""
        self._total += trials
        self.write_metadata({"trials": self._total})

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._proposals.started(trial.trial_id)
        if self.releases and (actor := trial.temporary_state.ray_actor) is not None:
            self._actors[trial.trial_id] = actor_id(actor)
        self._append(TrialStarted, trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        when = {"iteration": result["training_iteration"], "time_s": result["time_total_s"]}
        # Taken out of the result, for Tune would keep it with the trial; it has what it needs of it.
        report: Report = result.pop(REPORT)
        self._append(TrialReported, trial, **when, metrics=dict(flat(report.metrics)))
        for rank, share in enumerate(report.shares):
            self._append(WorkerReported, trial, **when, rank=rank, metrics=dict(flat(share.metrics)), took=share.took)

    def on_checkpoint(self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any) -> None:
        self._append(CheckpointSaved, trial, iteration=_reports(trial), path=checkpoint.path)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._proposals.returned(trial.trial_id)
        self._release(trial)
        self._failed(trial, final=False)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if trial.trial_id not in self._ended:
            self._failed(trial, final=True)
            self._end(trial, "failed", "error")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if trial.trial_id in self.by_user:
            self._end(trial, "stopped", "user")
        elif trial.trial_id in self.by_scheduler:
            self._end(trial, "stopped", "scheduler")
        else:
            self._end(trial, "finished", "done")

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        # Tune says nothing of trials that it ends together with the experiment.
        for trial in trials:
            if trial.trial_id not in self._ended:
                self._cut_short = True
                self._end(trial, "stopped", "experiment")

    def verdict(self) -> str:
        """Return the experiment's final status, judged by its trials."""
        ends = set(self._ended.values())
        if ends == {"failed"}:
            return "failed"
        return "stopped" if self._cut_short else "finished"

    def _release(self, trial: Any) -> None:
        if (actor := self._actors.pop(trial.trial_id, None)) is not None:
            release(actor)

    def _end(self, trial: Any, status: str, reason: str) -> None:
        self._release(trial)
        if trial.trial_id not in self._ended:
            self._ended[trial.trial_id] = status
            self._append(TrialEnded, trial, iteration=_reports(trial), status=status, reason=reason)

    def _failed(self, trial: Any, *, final: bool) -> None:
        error = error_of(trial)
        failure = describe(error)
        self._append(AttemptFailed, trial, iteration=_reports(trial), **failure, final=final)
        self.on_failure(unsaved_checkpoint(error), final)


def _reports(trial: Any) -> int:
    return int((trial.last_result or {}).get("training_iteration", 0))


def trial_folder(trial: Any) -> str:
    """Return the name of a trial's folder: never a parameter's text, which may be anything."""
    return f"trial_{trial.trial_id}"
