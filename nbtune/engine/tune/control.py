"""Control of a running sweep: orders are carried out on the thread of Tune's own loop.

Tune calls its callbacks on the loop's thread several times a second. So a callback carries out what is
queued where nothing else is going on, through the wrapped scheduler and search algorithm.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial

from nbtune.engine.protocol.registry import Live
from nbtune.engine.protocol.replay import Past, PastTrial
from nbtune.engine.protocol.source import RefusedError
from nbtune.engine.tune.continuation import last_result
from nbtune.engine.tune.oom import bear_memory_kills
from nbtune.engine.tune.recorder import Recorder
from nbtune.engine.tune.scheduler import Steered
from nbtune.engine.tune.searcher import Proposals, Wanted
from nbtune.engine.tune.stopping import Stopping

__all__ = ["Control", "InterruptedRun"]


class InterruptedRun(Exception):  # noqa: N818 - no error: the end that was asked for
    """Ends Tune's loop, with every trial as it is, so that the experiment can be resumed."""


class Control(Live, Callback):
    """Carries out orders on Tune's thread.

    Tune lets a stopped trial's process finish its present step first, which may take for ever, so
    the process is killed right after Tune has let go of it.

    Args:
        scheduler: the user's, wrapped.
        proposals: the user's search algorithm, wrapped.
        stopping: when the whole experiment ends.
        recorder: tells what happened.
        complete: completes a point: what the user has not given is sampled.
        past: what was before, where the experiment is resumed.
        failed: whether trials that have failed are to go on then.

    Attributes:
        interrupted: whether the end was asked for, or its time has come.
    """

    role = "control"

    def __init__(
        self,
        scheduler: Steered,
        proposals: Proposals,
        stopping: Stopping,
        recorder: Recorder,
        *,
        complete: Callable[[Mapping[str, Any]], dict[str, Any]],
        past: Past | None = None,
        failed: bool = False,
    ) -> None:
        self._scheduler, self._proposals, self._stopping, self._recorder = scheduler, proposals, stopping, recorder
        self._complete, self._past, self._failed = complete, past, failed
        self._orders: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._doomed: list[Any] = []
        self._trials: list[Any] = []
        self._ready = False
        self.interrupted = False

    # -- orders -----------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the experiment at the next step."""
        self._stopping.ask()

    def order(self, name: str, **arguments: Any) -> Future[Any]:
        """Give an order; the future has its outcome once Tune's thread has carried it out.

        Args:
            name: "stop_trial", "pause_trial", "resume_trial", "add", "extend" or "limit".
            arguments: the order's own; see the methods of that name.

        The future raises `RefusedError` where the order makes no sense for the trial or algorithm.
        """
        method = getattr(self, f"_{name}")
        done: Future[Any] = Future()
        self._orders.put((lambda: method(**arguments), done))
        return done

    def _stop_trial(self, trial: int) -> None:
        found = self._find(trial)
        if found.is_finished():
            raise RefusedError(f"trial {trial} is over")
        self._end(found)

    def _end(self, trial: Any) -> None:
        self._recorder.by_user.add(trial.trial_id)
        if (actor := _actor(trial)) is not None:
            self._doomed.append(actor)
        controller = self._scheduler.controller._tune_controller
        # A process that is about to be killed must not be given to the next trial. Tune has no
        # other way to say so for one trial.
        reuse, controller._reuse_actors = controller._reuse_actors, False
        try:
            controller.stop_trial(trial)
        finally:
            controller._reuse_actors = reuse

    def _pause_trial(self, trial: int) -> None:
        """Pause a running trial with its next checkpoint."""
        found = self._find(trial)
        if found.status != Trial.RUNNING:
            state = {Trial.PENDING: "waits for a place", Trial.PAUSED: "is paused already"}.get(found.status, "is over")
            raise RefusedError(f"trial {trial} {state}: only a running trial can be paused")
        if not any(known.latest_checkpoint_result for known in self._trials):
            raise RefusedError(
                "no trial has kept a checkpoint so far, and a paused trial goes on from its latest: what it has"
                " trained would be lost. Report one, report(…, checkpoint={…}), and read it back by get_checkpoint()"
            )
        self._scheduler.hold(found.trial_id)

    def _resume_trial(self, trial: int) -> None:
        """Let a paused trial run again, or take back that it should be paused."""
        found = self._find(trial)
        held = self._scheduler.release(found.trial_id)
        if not held:
            why = "the scheduler has paused it" if found.status == Trial.PAUSED else "it is not paused"
            raise RefusedError(f"trial {trial} cannot be resumed: {why}")
        if found.status == Trial.PAUSED:
            self._proposals.returned(found.trial_id)
            self._recorder.on_queued(found)

    def _add(self, config: Mapping[str, Any], start: int | None = None) -> dict[str, Any]:
        """Try a point next; return it, completed.

        Args:
            config: the parameters that are given, nested.
            start: the trial from whose latest checkpoint it starts, or None.
        """
        try:
            whole = self._complete(config)
        except ValueError as error:
            raise RefusedError(f"this point cannot be tried: {error}") from error
        result = None
        if start is not None:
            result = self._find(start).latest_checkpoint_result
            if result is None:
                raise RefusedError(f"trial {start} has no checkpoint to start from")
        self._proposals.want(Wanted(whole, start=result))
        self._recorder.on_more(1)
        return whole

    def _extend(self, samples: int, trials: int) -> None:
        """Let the search algorithm propose more.

        Args:
            samples: how many samples.
            trials: how many trials they make.
        """
        try:
            self._proposals.extend(samples)
        except TypeError as error:
            raise RefusedError(str(error)) from error
        self._recorder.on_more(trials)

    def _limit(self, number: int | None) -> None:
        """Set how many trials may run at once; None for as many as fit."""
        self._proposals.limit = number
        self._recorder.write_metadata({"max_concurrent": number})

    def _find(self, number: int) -> Any:
        for trial in self._trials:
            if self._recorder.numbers.get(trial.trial_id) == number:
                return trial
        raise RefusedError(f"trial {number} was over before the experiment was resumed, or there is none")

    # -- what Tune calls --------------------------------------------------------------------------

    def setup(self, **info: Any) -> None:
        """Make good what Tune's snapshot has missed, before the first step of a resumed experiment.

        Orders that came with it are carried out here: where all trials are over, there is no first step.
        """
        if self._past is None:
            return
        controller = self._scheduler.controller
        self._trials = [] if controller is None else controller.get_trials()
        self._make_good(self._past)
        for order in self._carry_out():
            order.result()  # one that came with the resumption and is refused ends the run, which says so

    def _make_good(self, earlier: Past) -> None:
        here = {trial.trial_id: trial for trial in self._trials}
        for past in sorted(earlier.trials.values(), key=lambda past: past.number):
            trial = here.get(past.ray_id)
            goes_on = past.goes_on(failed=self._failed)
            if trial is not None and not (goes_on and trial.is_finished()):
                if not goes_on and not trial.is_finished():
                    self._proposals.results[past.ray_id] = last_result(past)
                    self._scheduler.controller.stop_trial(trial)
                continue
            self._unknown(past, goes_on, known=trial is not None)

    def _unknown(self, past: PastTrial, goes_on: bool, *, known: bool) -> None:
        """Take care of a trial that Tune's snapshot does not have, or has as over."""
        if past.by == "search" and not known:
            self._proposals.skip()
        if goes_on:
            self._proposals.want(Wanted(past.config, past=past, by=past.by))
        elif not known:
            self._proposals.teach(past.config, last_result(past), error=past.status == "failed")

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._trials = trials
        if not self._ready and self._scheduler.controller is not None:
            self._ready = True
            bear_memory_kills(self._scheduler.controller._tune_controller)
        self._carry_out()
        if self._stopping.decide():
            self._interrupt(trials)

    def _carry_out(self) -> list[Future[Any]]:
        """Carry out what is queued; return the outcomes."""
        outcomes = []
        while not self._orders.empty():
            carry_out, done = self._orders.get()
            outcomes.append(done)
            try:
                done.set_result(carry_out())
            except Exception as error:  # whoever gave the order is told
                done.set_exception(error)
        return outcomes

    def _interrupt(self, trials: list[Any]) -> None:
        """End the loop. Tune's snapshot has the trials as they are now, not as over."""
        self.interrupted = True
        for actor in filter(None, map(_actor, trials)):
            ray.kill(actor)
        if self._scheduler.controller is not None:
            self._scheduler.controller._tune_controller.checkpoint(force=True, wait=True)
        raise InterruptedRun

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        while self._doomed:
            ray.kill(self._doomed.pop())
        for trial_id, by_user in list(self._scheduler.pausing.items()):
            trial = next((trial for trial in trials if trial.trial_id == trial_id), None)
            if trial is None or trial.status == Trial.PAUSED:
                del self._scheduler.pausing[trial_id]
                if trial is not None:
                    self._proposals.yielded(trial_id) if by_user else self._proposals.parked(trial_id)
                    self._recorder.on_paused(trial, by_user=by_user)

    # -- what outlives the driver -----------------------------------------------------------------

    def get_state(self) -> dict[str, Any] | None:
        state = self._scheduler.state()
        return None if state is None else {"scheduler": state}

    def set_state(self, state: dict[str, Any]) -> None:
        self._scheduler.keep(state["scheduler"])


def _actor(trial: Any) -> Any:
    return trial.temporary_state.ray_actor
