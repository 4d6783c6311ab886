"""Control of a running sweep: executes commands on the thread of Tune's own loop.

Tune calls its callbacks on the loop's thread several times per second. There, between two steps, a callback executes
the queued commands through the wrapped scheduler and search algorithm.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, assert_never

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.result import SHOULD_CHECKPOINT

from nbtune.engine._ray.loop import start_next_first
from nbtune.engine._ray.tune import move_to_present_folder, tune_controller, without_actor_reuse
from nbtune.engine.protocol.commands import (
    AddTrial,
    Command,
    ExtendSearch,
    PauseTrial,
    ResumeTrial,
    SearchCommand,
    SetMaxConcurrent,
    StopExperiment,
    StopTrial,
)
from nbtune.engine.protocol.registry import Live
from nbtune.engine.protocol.replay import Past
from nbtune.engine.protocol.source import RefusedError
from nbtune.engine.storage.lease import LeaseLostError
from nbtune.engine.tune.oom import tolerate_memory_kills
from nbtune.engine.tune.pauses import pause_refusal
from nbtune.engine.tune.recorder import Recorder
from nbtune.engine.tune.requested import RequestedTrial
from nbtune.engine.tune.resumption import Resumption
from nbtune.engine.tune.scheduler import SteerableScheduler
from nbtune.engine.tune.searcher import SteerableSearch
from nbtune.engine.tune.stopping import Stopping
from nbtune.spec.cell.entry import Entry

__all__ = ["Control", "InterruptedRun"]

_CELL = Entry()


class InterruptedRun(Exception):  # noqa: N818 - not an error, but a requested end
    """Ends Tune's loop and leaves every trial in its state, so that the experiment can be resumed."""


class Control(Live, Callback):
    """Executes commands on Tune's thread.

    Tune waits for a stopped trial's process to finish its current step, which may take arbitrarily long. So the
    process is killed as soon as Tune no longer uses it.

    Args:
        scheduler: the user's, wrapped.
        search_alg: the user's search algorithm, wrapped.
        stopping: when the whole experiment ends.
        recorder: writes events.
        complete: completes a point: samples the parameters that the user has not given.
        entry: how Tune runs the program.
        trials_per_sample: the number of trials of one sample, that is the size of the grid, times `repeat`.
        repeat: how often each configuration is trained.
        takes_one_trial: whether the scheduler is made for a single trial.
        fail_fast: whether the first trial that fails ends the experiment.
        past: the earlier run of a resumed experiment, or None.
        failed: whether failed trials are resumed, too.
        first: the commands that came with the resumption.

    Attributes:
        confirm: raises `LeaseLostError` if another driver owns the experiment.
        interrupted: whether the experiment was ended early: by a command, its time budget or a stopper.
    """

    role = "control"

    def __init__(
        self,
        scheduler: SteerableScheduler,
        search_alg: SteerableSearch,
        stopping: Stopping,
        recorder: Recorder,
        *,
        complete: Callable[[Mapping[str, Any]], dict[str, Any]],
        entry: Entry = _CELL,
        trials_per_sample: int = 1,
        repeat: int = 1,
        takes_one_trial: bool = False,
        fail_fast: bool = False,
        past: Past | None = None,
        failed: bool = False,
        first: Sequence[Command] = (),
    ) -> None:
        self._scheduler, self._search_alg, self._stopping, self._recorder = scheduler, search_alg, stopping, recorder
        self._complete, self._past, self._failed = complete, past, failed
        self._entry, self._fail_fast, self._takes_one_trial = entry, fail_fast, takes_one_trial
        self._trials_per_sample, self._repeat = trials_per_sample, repeat
        self._queue: queue.SimpleQueue[tuple[Command, Future[None]]] = queue.SimpleQueue()
        self._first = [self.submit(command) for command in first]
        self._actors_to_kill: list[Any] = []
        self._trials: list[Any] = []
        self._controller: Any = None  # Tune's, which callbacks do not get
        self._unsaved: list[Future[None]] = []  # of executed commands that no snapshot has
        self._ready = False
        self.confirm: Callable[[], None] = lambda: None
        self.interrupted = False

    # -- commands ---------------------------------------------------------------------------------

    def submit(self, command: Command) -> Future[None]:
        """Queue a command for Tune's thread. May be called from any thread.

        Args:
            command: what to do.

        Returns:
            A future that is done once the command is executed. It raises `RefusedError` if that is impossible for the
            trial or the search algorithm.
        """
        done: Future[None] = Future()
        self._queue.put((command, done))
        return done

    def _execute_queued(self) -> None:
        while not self._queue.empty():
            command, done = self._queue.get()
            try:
                self._execute(command)
                if isinstance(command, SearchCommand):  # the log does not have it, and it must survive a crash
                    self._unsaved.append(done)
                else:
                    done.set_result(None)
            except Exception as error:  # raised again where the command was sent
                done.set_exception(error)
        try:
            if self._unsaved:
                self._save()
        except Exception as error:
            while self._unsaved:
                self._unsaved.pop().set_exception(error)

    def _execute(self, command: Command) -> None:
        match command:
            case StopExperiment():
                self._stopping.request()
            case StopTrial(trial):
                self._stop(self._find(trial), trial)
            case PauseTrial(trial):
                self._pause(self._find(trial), trial)
            case ResumeTrial(trial):
                self._resume(self._find(trial), trial)
            case AddTrial(config, start_from):
                self._add(config, start_from)
            case ExtendSearch(samples):
                self._extend(samples)
            case SetMaxConcurrent(max_concurrent):
                self._search_alg.max_concurrent = max_concurrent
                self._recorder.write_metadata({"max_concurrent": max_concurrent})
            case _:
                assert_never(command)

    def _stop(self, trial: Any, number: int) -> None:
        if trial.is_finished():
            raise RefusedError(f"trial {number} is over")
        self._recorder.stopped_by_user.add(trial.trial_id)
        if (actor := _actor(trial)) is not None:
            self._actors_to_kill.append(actor)
        controller = tune_controller(self._scheduler.controller)
        with without_actor_reuse(controller):  # its process is about to be killed
            controller.stop_trial(trial)

    def _pause(self, trial: Any, number: int) -> None:
        if why := pause_refusal(trial, number, self._entry, self._trials, self._scheduler):
            raise RefusedError(why)
        self._scheduler.pause(trial.trial_id)
        if trial.status == Trial.PAUSED:  # by the scheduler, which would let it go on
            self._search_alg.on_paused_by_user(trial.trial_id)
            self._recorder.on_paused(trial, by_user=True)

    def _resume(self, trial: Any, number: int) -> None:
        if not self._scheduler.resume(trial.trial_id):
            why = "the scheduler has paused it" if trial.status == Trial.PAUSED else "it is not paused"
            raise RefusedError(f"trial {number} cannot be resumed: {why}")
        if trial.status != Trial.PAUSED:  # its pause is cancelled before it has begun
            return
        if self._scheduler.goes_on(trial.trial_id):
            self._search_alg.on_queued(trial.trial_id)
            self._recorder.on_queued(trial)
        else:
            self._search_alg.on_paused_by_scheduler(trial.trial_id)
            self._recorder.on_paused(trial, by_user=False)

    def _add(self, config: Mapping[str, Any], start_from: int | None) -> None:
        self._needs_a_further_trial()
        try:
            completed = self._complete(config)
        except ValueError as error:
            raise RefusedError(f"this point cannot be tried: {error}") from error
        checkpoint = None
        if start_from is not None:
            checkpoint = self._find(start_from).latest_checkpoint_result
            if checkpoint is None:
                raise RefusedError(f"trial {start_from} has no checkpoint to start from")
        self._search_alg.request(RequestedTrial(completed, start=checkpoint))
        self._recorder.on_trial_count_changed(self._repeat)

    def _needs_a_further_trial(self) -> None:
        """Refuse a command that adds trials if the scheduler takes only one."""
        if self._takes_one_trial:
            raise RefusedError(
                "its scheduler replays the schedule of one trial; start another experiment to train it again"
            )

    def _extend(self, samples: int) -> None:
        self._needs_a_further_trial()
        try:
            self._search_alg.extend(samples)
        except TypeError as error:
            raise RefusedError(str(error)) from error
        self._recorder.on_trial_count_changed(samples * self._trials_per_sample)

    def _find(self, number: int) -> Any:
        for trial in self._trials:
            if self._recorder.numbers.get(trial.trial_id) == number:
                return trial
        raise RefusedError(f"there is no trial {number}, or it was over before the experiment was resumed")

    # -- what Tune calls --------------------------------------------------------------------------

    def setup(self, **info: Any) -> None:  # type: ignore[override]  # Tune gives all by name
        """Bring a resumed experiment up to date before its first step: Tune's snapshot is older than the event log.

        Commands that came with the resumption are executed here, since there is no first step if all trials are over.
        """
        if self._past is None:
            return
        if (controller := self._scheduler.controller) is not None:
            self._trials = controller.get_trials()
            self.on_controller(tune_controller(controller))
        resumption = Resumption(self._scheduler, self._search_alg, self._recorder, failed=self._failed)
        resumption.catch_up(self._past, self._trials)
        self._execute_queued()
        for done in self._first:
            if done not in self._unsaved:
                done.result()  # a refused command ends the run with its message; not one that came meanwhile

    def on_controller(self, controller: Any) -> None:
        """Note Tune's controller, with which a snapshot can be written, also before the first trial.

        Args:
            controller: Tune's controller.
        """
        if self._controller is None:
            self._controller = controller
            if self._past is not None:
                self._search_alg.on_created = partial(move_to_present_folder, controller=controller)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._trials = trials
        self._end_if_replaced()
        if not self._ready and self._scheduler.controller is not None:
            self._ready = True
            controller = tune_controller(self._scheduler.controller)
            tolerate_memory_kills(controller)
            start_next_first(controller)
        self._execute_queued()
        if self._fail_fast and (failed := self._recorder.failed) is not None:
            self._recorder.write_metadata({"warning": f"trial {failed} has failed, which ends it with fail_fast"})
            self._interrupt(trials)
        if self._stopping.is_due() and not self._unsaved:
            self._interrupt(trials)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        # Tune waits for results inside a step. A driver that was frozen there must not let the trial go on: its next
        # checkpoint could get the name of one of the next driver's.
        self._end_if_replaced()
        if trial.is_saving:  # population based training has asked for the checkpoint, and Tune would ask once more
            result.pop(SHOULD_CHECKPOINT, None)

    def _end_if_replaced(self) -> None:
        """End the loop at once, and write nothing, if another driver owns the experiment."""
        try:
            self.confirm()
        except LeaseLostError:
            self.interrupted = True
            self._kill(self._trials)
            raise

    def _kill(self, trials: list[Any]) -> None:
        for actor in filter(None, map(_actor, trials)):
            ray.kill(actor)

    def _interrupt(self, trials: list[Any]) -> None:
        """End the loop. Tune's snapshot keeps the trials in their current states, and not as terminated."""
        self.interrupted = True
        self._kill(trials)
        self._save()
        raise InterruptedRun

    def _save(self) -> None:
        """Write Tune's snapshot now; the next regular one comes after ten seconds or more."""
        if self._controller is not None:
            self._controller.checkpoint(force=True, wait=True)
            while self._unsaved:
                self._unsaved.pop().set_result(None)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        while self._actors_to_kill:
            ray.kill(self._actors_to_kill.pop())
        for trial, checkpoint in self._scheduler.saved:
            self._recorder.on_checkpoint(iteration, trials, trial, checkpoint)
        self._scheduler.saved.clear()
        self._scheduler.note_pauses(self._search_alg.started)
        for trial_id, by_user in list(self._scheduler.pausing.items()):
            trial = next((trial for trial in trials if trial.trial_id == trial_id), None)
            if trial is None or trial.status == Trial.PAUSED:
                del self._scheduler.pausing[trial_id]
                if trial is None:
                    continue
                by_user |= self._scheduler.is_paused(trial_id)  # the user may have requested it since
                if by_user:
                    self._search_alg.on_paused_by_user(trial_id)
                else:
                    self._search_alg.on_paused_by_scheduler(trial_id)
                self._recorder.on_paused(trial, by_user=by_user)

    # -- state in Tune's snapshot -----------------------------------------------------------------

    def get_state(self) -> None:
        self._end_if_replaced()  # Tune is about to write its snapshot


def _actor(trial: Any) -> Any:
    return trial.temporary_state.ray_actor
