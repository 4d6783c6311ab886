"""The recorder: a callback of Tune that writes events into the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.result import TIME_TOTAL_S, TRAINING_ITERATION

from nbtune.engine._ray.core import actor_id
from nbtune.engine._ray.tune import forget_transient
from nbtune.engine.protocol.events import (
    AttemptFailed,
    CheckpointSaved,
    Event,
    ExperimentUpdated,
    RungReached,
    TrialEnded,
    TrialPaused,
    TrialQueued,
    TrialReconfigured,
    TrialReported,
    TrialStarted,
    WorkerReported,
)
from nbtune.engine.protocol.failures import Failure, UnsavedCheckpoint, describe, unsaved_checkpoint
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.metrics import Report, flat
from nbtune.engine.protocol.recorded_trial import added_event, encode_config, error_of
from nbtune.engine.protocol.registry import Live
from nbtune.engine.protocol.replay import Past, PastTrial
from nbtune.engine.protocol.result import REPORT, user_metrics
from nbtune.engine.storage.log import EventLog
from nbtune.engine.storage.signatures import SignedFiles
from nbtune.engine.trial.last_words import note_path, why_ended
from nbtune.engine.tune.continuation import catch_up, foreign_start, relative_path
from nbtune.engine.tune.groups import release
from nbtune.engine.tune.rungs import Decision
from nbtune.engine.tune.searcher import SteerableSearch

__all__ = ["Recorder"]


class Recorder(Live, Callback):
    """Writes the events of all trials into the log.

    Args:
        log: the event log.
        search_alg: the search algorithm, which counts the trials that hold resources.
        total: the expected number of trials.
        files: signs the pickles that are stored.
        past: the earlier run of a resumed experiment, or None.
        failed: whether failed trials are resumed, too.

    Attributes:
        numbers: Tune's trial id -> the trial's number, in the order in which trials were added.
        stopped_by_user: ids of the trials that the user has stopped.
        ended_by_scheduler: trial id -> why the scheduler has stopped the trial: "scheduler", or "max_t".
        pruned: ids of the trials that have stopped early by themselves, by `optuna.TrialPruned`.
        ended_by_condition: Tune's trial id -> the stop condition that has ended the trial, as text.
        has_reports: whether a trial has reported anything in this run.
        failed: the number of the trial that has failed first in this run; None if none has.
        staging: the local folder from which Tune copies its files into storage; None before the first trial.
        on_failure: called when a trial has failed, with why it could not save its checkpoint (None for any other
            reason), and whether the failure is final.
        before_snapshot: called before Tune writes its snapshot. It puts the log into storage, so that the snapshot is
            never ahead of it: a report that only the snapshot has would be missing after a resumption.
        releases_groups: whether trials reserve placement groups themselves, which are removed after their process.
    """

    role = "recorder"

    def __init__(
        self,
        log: EventLog,
        search_alg: SteerableSearch,
        total: int,
        files: SignedFiles,
        past: Past | None = None,
        *,
        failed: bool = False,
    ) -> None:
        self._log, self._search_alg, self._total, self._files = log, search_alg, total, files
        earlier = past.trials if past else {}
        self._ended = {key: known.status for key, known in earlier.items() if not known.is_resumed(failed=failed)}
        self._to_resume = {key: known for key, known in earlier.items() if key not in self._ended}
        self._cut_short = False
        self.numbers = {key: known.number for key, known in earlier.items()}
        self._past_rungs = {
            (key, rung.bracket, rung.rung, rung.goes_on) for key, known in earlier.items() for rung in known.rungs
        }
        self._folders = {known.folder: known.number for known in earlier.values()}
        self._next_number = max([*self.numbers.values(), *(past.unnamed if past else ())], default=-1) + 1
        self.stopped_by_user: set[str] = set()
        self.ended_by_scheduler: dict[str, str] = {}
        self.pruned: set[str] = set()
        self.ended_by_condition: Mapping[str, str] = {}
        self.has_reports = False
        self.failed: int | None = None
        self.staging: str | None = None
        self.before_snapshot: Callable[[], object] = lambda: None
        self.releases_groups = False
        self._configs: dict[str, dict[str, Any]] = {}  # the recorded configurations of the trials of this run
        self._actors: dict[str, bytes] = {}  # the ids of the actors that run trials, of those that reserve something
        self.on_failure: Callable[[UnsavedCheckpoint | None, bool], None] = lambda unsaved, final: None

    def write_metadata(self, metadata: Metadata) -> None:
        """Record changes of the experiment's metadata.

        Args:
            metadata: the entries that have changed.
        """
        self._log.append(ExperimentUpdated(time=time.time(), metadata=metadata))

    def _append(self, kind: type[Event], trial: Any, **fields: Any) -> None:
        self._log.append(kind(self.numbers[trial.trial_id], time.time(), **fields))

    def on_added(self, trial: Any) -> None:
        """Record a new trial, or that a resumed one waits for resources. May be called more than once for a trial.

        Args:
            trial: Tune's trial.
        """
        trial_id = trial.trial_id
        if self.staging is None:
            self.staging = trial.storage.experiment_driver_staging_path
        if not trial.is_finished():
            self._search_alg.on_added(trial_id)
        if trial_id not in self.numbers:
            self._add(trial, self._next_number)
        elif trial_id in self._to_resume and not trial.is_finished():
            catch_up(trial, self._to_resume.pop(trial_id))
            self.on_queued(trial)
        self._drop_untrusted_error(trial)
        self._configs.setdefault(trial_id, trial.config)

    def _drop_untrusted_error(self, trial: Any) -> None:
        """Let Tune read the error of a trial of an earlier run as text, if the file with the exception is not trusted.

        Tune loads that file at the end of the run.
        """
        name = trial.run_metadata.pickled_error_filename
        if name and trial.is_finished() and not self._files.accepts(f"{trial.storage.trial_dir_name}/{name}"):
            trial.run_metadata.pickled_error_filename = None

    def _add(self, trial: Any, number: int) -> None:
        self.numbers[trial.trial_id] = self._folders[trial.custom_dirname] = number
        self._next_number = max(self._next_number, number + 1)
        by, place = self._search_alg.added_by(trial.trial_id), self._search_alg.place(trial.trial_id)
        self._log.append(added_event(trial, number, time.time(), trial.custom_dirname, self._files.key, by, place))

    def recover(self, trials: Sequence[Any], past: Past) -> None:
        """Record what Tune's snapshot tells of trials whose events are damaged.

        Args:
            trials: all trials of the snapshot.
            past: the earlier run according to the log, to which what was found is added.
        """
        taken = set(self.numbers.values())
        for position, trial in enumerate(trials):
            if trial.trial_id not in self.numbers:
                self._add(trial, self._next_number if position in taken else position)
            number = self.numbers[trial.trial_id]
            known = past.trials.get(trial.trial_id) or past.unnamed.get(number) or PastTrial(number)
            result = trial.last_result or {}
            if result.get(TRAINING_ITERATION, 0) > known.iterations:
                when = {"iteration": result[TRAINING_ITERATION], "time_s": result[TIME_TOTAL_S]}
                self._append(TrialReported, trial, **when, metrics=dict(flat(user_metrics(result))))
            if trial.status == Trial.TERMINATED and not known.status:
                known.status, known.reason = "finished", "done"
                self._end(trial, known.status, known.reason)

    def on_queued(self, trial: Any) -> None:
        """Record that a trial waits for resources again.

        Args:
            trial: Tune's trial.
        """
        self._append(TrialQueued, trial, iteration=_reports(trial))

    def on_waiting(self, past: PastTrial) -> None:
        """Record that a trial of the earlier run, which Tune does not know yet, waits for resources.

        Args:
            past: the trial.
        """
        self._log.append(TrialQueued(past.number, time.time(), iteration=past.iterations))

    def on_paused(self, trial: Any, *, by_user: bool) -> None:
        """Record that a trial is paused.

        Args:
            trial: Tune's trial.
            by_user: whether the user has paused it, and not the scheduler.
        """
        self._release(trial)
        self._append(TrialPaused, trial, iteration=_reports(trial), reason="user" if by_user else "scheduler")

    def on_rung(self, decision: Decision, iteration: int) -> None:
        """Record that the scheduler has compared a trial with others at a rung.

        Args:
            decision: what it has decided.
            iteration: the number of the trial's reports, including the one that has reached the rung.
        """
        trial_id, bracket, rung = decision.trial.trial_id, decision.bracket, decision.rung
        if (trial_id, bracket, rung, decision.goes_on) in self._past_rungs:
            return  # the state of the scheduler was older than the log, and it decides once more
        place = {"rung": float(decision.rung), "unit": decision.unit, "bracket": decision.bracket}
        self._append(RungReached, decision.trial, iteration=iteration, goes_on=decision.goes_on, **place)

    def on_told(self, trial_id: str, kind: type[Event], *, late: bool = False, **fields: Any) -> None:
        """Record what a process of a trial has told the driver. Called from another thread.

        Args:
            trial_id: Tune's id.
            kind: the class of the event.
            late: whether it counts after the end of the trial, too.
            fields: those of the event.
        """
        if late or trial_id not in self._ended:
            self._log.append(kind(self.numbers[trial_id], time.time(), **fields))

    def on_trial_count_changed(self, difference: int) -> None:
        """Record that the expected number of trials has changed.

        Args:
            difference: the number of additional trials, or minus that of dropped ones.
        """
        self._total += difference
        self.write_metadata({"trials": self._total})

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._search_alg.on_started(trial.trial_id)
        if self.releases_groups and (actor := trial.temporary_state.ray_actor) is not None:
            self._actors[trial.trial_id] = actor_id(actor)
        self._record_change(trial)
        self._append(TrialStarted, trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        when = {"iteration": result["training_iteration"], "time_s": result["time_total_s"]}
        # Removed from the result, since Tune would keep it with the trial. Tune has its own copy of the metrics.
        report: Report = result.pop(REPORT)
        self.has_reports = True
        self._append(TrialReported, trial, **when, metrics=dict(flat(report.metrics)))
        for rank, share in enumerate(report.shares):
            self._append(WorkerReported, trial, **when, rank=rank, metrics=dict(flat(share.metrics)), took=share.took)

    def on_checkpoint(self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any) -> None:
        self._append(CheckpointSaved, trial, iteration=_reports(trial), path=relative_path(trial, checkpoint))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._search_alg.on_queued(trial.trial_id)
        self._release(trial)
        self._failed(trial, final=False)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if trial.trial_id not in self._ended:
            if self.failed is None:
                self.failed = self.numbers[trial.trial_id]
            self._failed(trial, final=True)
            self._end(trial, "failed", "error")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if trial.trial_id in self.stopped_by_user:
            self._end(trial, "stopped", "user")
        elif reason := self.ended_by_scheduler.get(trial.trial_id):
            self._end(trial, "finished" if reason == "max_t" else "stopped", reason)
        elif trial.trial_id in self.pruned:
            self._end(trial, "stopped", "pruned")
        elif condition := self.ended_by_condition.get(trial.trial_id):
            self._end(trial, "finished", "condition", condition)
        else:
            self._end(trial, "finished", "done")
        forget_transient(trial)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        # Tune calls no callback for the trials that it ends together with the experiment.
        for trial in trials:
            if trial.trial_id not in self._ended:
                self._cut_short = True
                self._end(trial, "stopped", "experiment")

    def get_state(self) -> None:
        self.before_snapshot()

    def final_status(self) -> str:
        """Return the experiment's final status, which follows from those of its trials."""
        ends = set(self._ended.values())
        if ends == {"failed"}:
            return "failed"
        return "stopped" if self._cut_short else "finished"

    def _record_change(self, trial: Any) -> None:
        """Record that the scheduler has replaced the parameters of a trial, or that it starts from another trial.

        The parameters are those of the reports only from the next start on: a report made before may still arrive.
        """
        known, self._configs[trial.trial_id] = self._configs.get(trial.trial_id), trial.config
        start = foreign_start(trial)
        if start is None and trial.config is known:
            return
        config = encode_config(trial.config, self._files.key)
        if start is not None:
            source = {
                "source": self._folders.get(start.path.partition("/")[0], -1),
                "source_iteration": start.iteration,
            }
            self._append(TrialReconfigured, trial, iteration=_reports(trial), config=config, path=start.path, **source)
        elif known is None or config != encode_config(known, self._files.key):
            self._append(TrialReconfigured, trial, iteration=_reports(trial), config=config)

    def _release(self, trial: Any) -> None:
        if (actor := self._actors.pop(trial.trial_id, None)) is not None:
            release(actor)

    def _end(self, trial: Any, status: str, reason: str, condition: str = "") -> None:
        self._release(trial)
        if trial.trial_id not in self._ended:
            self._ended[trial.trial_id] = status
            end = {"status": status, "reason": reason, "condition": condition}
            self._append(TrialEnded, trial, iteration=_reports(trial), **end)

    def _failed(self, trial: Any, *, final: bool) -> None:
        error = error_of(trial)
        failure = describe(error, why_ended=partial(_why_ended, trial))
        if trial.pickled_error_file and Path(trial.pickled_error_file).exists():
            path = f"{trial.storage.trial_dir_name}/{trial.run_metadata.pickled_error_filename}"
            self._files.add(path, Path(trial.pickled_error_file).read_bytes())
        self._append(AttemptFailed, trial, iteration=_reports(trial), **failure, final=final)
        self.on_failure(unsaved_checkpoint(error), final)


def _why_ended(trial: Any) -> Failure:
    storage = trial.storage
    note = note_path(storage.trial_working_directory)
    return why_ended("the trial's process", note, storage.storage_filesystem, storage.trial_fs_path)


def _reports(trial: Any) -> int:
    return int((trial.last_result or {}).get("training_iteration", 0))
