"""The user's scheduler, wrapped: the user can pause and resume trials, whatever the scheduler decides.

Trials that the user has paused are hidden from the scheduler, so that it neither starts such a trial nor waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.result import DEFAULT_METRIC, SHOULD_CHECKPOINT, TRAINING_ITERATION
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from nbtune.engine._ray.schedulers import end_processing, has_had_its_time, population_checkpoints, time_attribute
from nbtune.engine._ray.tune import set_resource_manager
from nbtune.engine._ray.tune import tune_controller as unwrapped
from nbtune.engine.protocol.registry import Live
from nbtune.engine.protocol.replay import PastTrial
from nbtune.engine.protocol.result import REPORT
from nbtune.engine.search.own_settings import own_metric, own_mode
from nbtune.engine.tune.continuation import last_results
from nbtune.engine.tune.copies import KeepingController
from nbtune.engine.tune.groups import DeferredRemovalResourceManager
from nbtune.engine.tune.pauses import Pauses
from nbtune.engine.tune.rungs import Decision, Rungs
from nbtune.engine.tune.scheduler_state import dump_scheduler, load_scheduler
from nbtune.engine.tune.usable_results import UsableResults
from nbtune.engine.tune.user_part import Failures, HasUserPart, ends_experiment
from nbtune.engine.tune.visible import FilteredController

__all__ = ["SteerableScheduler"]

_log = logging.getLogger(__name__)
_FOR_SEARCH = "hyperband_info"  # what BOHB's scheduler adds to a result for its search algorithm


class SteerableScheduler(Live, HasUserPart, Pauses, TrialScheduler):
    """A scheduler of Tune that delegates to the user's, and lets the user pause and resume trials.

    Args:
        inner: the user's scheduler.
        on_add: called with every trial that is added to Tune, including those of a restored experiment.
        ended: the trials that the scheduler stops are added to it: Tune's id -> "scheduler", or "max_t" for one that
            has had all the time that the scheduler gives to any trial.
        failures: receives what the user's scheduler raises.

    Attributes:
        controller: Tune's controller as schedulers see it; None before the first trial.
        saved: trials with checkpoints that the scheduler has kept Tune from asking for, until they are recorded.
        resource_manager: what requests placement groups for the trials.
        can_always_pause: whether a trial can be checkpointed after any report, and not only with those that bring a
            checkpoint.
        on_rung: called with each decision at a rung, and the number of the trial's reports.
        on_no_progress: called once if a trial has ended, and no report so far had the entry of the results by which the
            scheduler measures progress; with the name of that entry.
    """

    role = "scheduler"

    def __init__(
        self, inner: TrialScheduler, on_add: Callable[[Any], None], ended: dict[str, str], failures: Failures
    ) -> None:
        TrialScheduler.__init__(self)
        Pauses.__init__(self)
        self.failures, self.part = failures, f"the scheduler {type(inner).__name__}"
        self._inner = inner
        self._on_add = on_add
        self._ended = ended
        self.controller: Any = None
        self.saved: list[tuple[Any, Any]] = []
        self.resource_manager: Any = DeferredRemovalResourceManager()
        self.can_always_pause = False
        self._unit = time_attribute(inner)
        self._results = UsableResults(self._unit)
        self._saved: bytes | None = None  # the state of the scheduler in an earlier run, until it is restored
        self._is_unreadable = False  # whether restoring it has failed
        self._not_added: list[Any] = []  # trials of that run that are not added to the scheduler yet
        self._rungs = Rungs()
        self._has_progress = self._unit is None  # whether any result had that entry
        self.on_rung: Callable[[Decision, int], None] = lambda decision, iteration: None
        self.on_no_progress: Callable[[str], None] = lambda unit: None
        self._calls = 0  # of the scheduler, one inside the other: stopping a trial calls it again

    # -- Tune's interface ---------------------------------------------------------------------------

    @property
    def metric(self) -> Any:
        return self._inner.metric

    @property
    def supports_buffered_results(self) -> bool:
        return bool(self._inner.supports_buffered_results)

    @ends_experiment(True)
    def set_search_properties(self, /, metric: Any, mode: Any, **spec: Any) -> bool:
        # A scheduler refuses what it was created with, which was checked before the start.
        metric = metric if own_metric(self._inner) is None else None
        mode = mode if own_mode(self._inner) is None else None
        return bool(self._inner.set_search_properties(metric, mode, **spec))

    @ends_experiment(None)
    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        if self.controller is None:
            set_resource_manager(unwrapped(tune_controller), self.resource_manager)
        self.controller = tune_controller
        self._on_add(trial)
        self._open.pop(trial.trial_id, None)  # a trial that is tried again is the last one in Tune's list, too
        self._open[trial.trial_id] = trial
        if self._saved is None:
            with self._calling():
                self._inner.on_trial_add(tune_controller, trial)
            self._rungs.recall(self._inner, trial.trial_id)
        else:
            self._not_added.append(trial)

    @ends_experiment(None)
    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._restore(tune_controller)
        self._forget(trial)
        with self._calling(ended=trial):
            self._inner.on_trial_error(tune_controller, trial)

    @ends_experiment(TrialScheduler.CONTINUE)
    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        result.pop(REPORT, None)  # it is for the recorder, which gets it from Tune's own dictionary
        if trial.trial_id in self._ended:  # in an earlier run, which has ended before the trial
            return TrialScheduler.STOP
        decision: str = TrialScheduler.CONTINUE
        if (seen := self._results.add(trial.trial_id, result, self._compared)) is not None:
            self._has_progress = True
            self._rungs.before(self._inner, trial)
            controller = self._visible(tune_controller, trial)
            visible: Any = KeepingController(controller, trial, bool(result.get(SHOULD_CHECKPOINT)), self.saved)
            with self._calling(reporting=(trial, result[TRAINING_ITERATION])):
                decision = self._inner.on_trial_result(visible, trial, seen)
            for rung in self._rungs.after_result(self._inner, trial, decision):
                self.on_rung(rung, result[TRAINING_ITERATION])
            if (info := seen.get(_FOR_SEARCH)) is not None:
                result[_FOR_SEARCH] = info
        requested = trial.trial_id in self._to_pause
        if decision == TrialScheduler.STOP:
            self._note_stop(trial, result)
        elif decision == TrialScheduler.PAUSE:
            self.pausing[trial.trial_id] = requested
        elif (
            decision == TrialScheduler.CONTINUE
            and requested
            and (self.can_always_pause or result.get(SHOULD_CHECKPOINT))
        ):
            self._paused_by_user.add(trial.trial_id)
            self.pausing[trial.trial_id] = True
            decision = TrialScheduler.PAUSE
        return decision

    @ends_experiment(None)
    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._restore(tune_controller)
        last = self._results.end(trial.trial_id, result, self._compared)
        if last is None and not self._has_progress and self._results.has_metric(result, self._compared):
            self._has_progress = True  # it is said once
            self.on_no_progress(self._unit or "")
        self._end(trial)
        with self._calling(ended=trial):
            if last is not None:
                self._inner.on_trial_complete(tune_controller, trial, last)
            else:
                self._inner.on_trial_remove(tune_controller, trial)

    @ends_experiment(None)
    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._restore(tune_controller)
        self._end(trial)
        with self._calling(ended=trial):
            self._inner.on_trial_remove(tune_controller, trial)

    @ends_experiment(None)
    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        self._restore(tune_controller)
        if self._to_resume:
            waiting = {Trial.PAUSED, Trial.PENDING}
            known = {t.trial_id: t for t in self._open_trials() if t.status in waiting}
            self._to_resume = [trial_id for trial_id in self._to_resume if trial_id in known]
            if self._to_resume:
                return known[self._to_resume[0]]
        visible = self._visible(tune_controller)
        if type(self._inner).choose_trial_to_run is FIFOScheduler.choose_trial_to_run:
            # It looks at all trials of the list, several times for each further trial.
            visible = FilteredController(visible, self._to_pause, self._open_trials())
        with self._calling():
            chosen = self._inner.choose_trial_to_run(visible)
        return None if chosen is not None and chosen.trial_id in self._to_pause else chosen

    @ends_experiment("")
    def debug_string(self) -> str:
        return str(self._inner.debug_string())

    def needed_checkpoints(self) -> set[str]:
        """Return the paths of the checkpoints that trials start from, or may start from. Called on another thread."""
        open_trials = [trial for trial in list(self._open.values()) if not trial.is_finished()]
        if not open_trials:
            return set()
        paths = {str(trial.checkpoint.path) for trial in open_trials if trial.checkpoint is not None}
        return paths | population_checkpoints(self._inner)

    @property
    def _compared(self) -> Any:
        """The metric by which trials are compared; None without one, for which Tune has a name that nobody reports."""
        return None if self.metric == DEFAULT_METRIC else self.metric

    @contextmanager
    def _calling(self, ended: Any = None, reporting: tuple[Any, int] = (None, 0)) -> Iterator[None]:
        """Call the scheduler inside.

        Args:
            ended: a trial that has ended by itself.
            reporting: the trial whose result the scheduler gets, and the number of its reports.
        """
        self._calls += 1
        try:
            yield
        finally:
            if self._calls == 1:  # it may stop trials, which calls this again
                end_processing(self._inner, self.controller)
                for decision in self._rungs.after_call(self._inner, ended):
                    trial, last = decision.trial, decision.trial.last_result or {}
                    self.on_rung(decision, reporting[1] if trial is reporting[0] else last.get(TRAINING_ITERATION, 0))
            self._calls -= 1

    def _end(self, trial: Any) -> None:
        """Forget a trial that is over. One that ends while the scheduler is called was stopped by it."""
        if self._calls:
            self._note_stop(trial, trial.last_result or {})
        self._forget(trial)

    def _note_stop(self, trial: Any, result: Mapping[str, Any]) -> None:
        self._ended[trial.trial_id] = "max_t" if has_had_its_time(self._inner, trial, result) else "scheduler"

    def _open_trials(self) -> list[Any]:
        """Return the trials that are not over, in the order of Tune's list."""
        for trial_id in [trial_id for trial_id, trial in self._open.items() if trial.is_finished()]:
            del self._open[trial_id]
        return list(self._open.values())

    def _visible(self, controller: Any, trial: Any = None) -> Any:
        """Return the controller without the trials that the user has paused, except for one that runs."""
        hidden = self._to_pause if trial is None else self._to_pause - {trial.trial_id}
        return FilteredController(controller, hidden) if hidden else controller

    def _forget(self, trial: Any) -> None:
        self._to_pause.discard(trial.trial_id)
        self._paused_by_user.discard(trial.trial_id)
        self.pausing.pop(trial.trial_id, None)
        self._results.forget(trial.trial_id)

    # -- state in Tune's snapshot -----------------------------------------------------------------

    def dump_state(self) -> bytes | None:
        """Return the state of the scheduler; None if it cannot be saved."""
        if self._saved is not None:  # not restored, so the next resumption needs it
            return self._saved
        known = [] if self.controller is None else [trial.trial_id for trial in self.controller.get_trials()]
        try:
            return dump_scheduler(self._inner, known, self._ended)
        except Exception as error:  # a scheduler of the user's own
            _log.warning("the state of the scheduler cannot be saved: %s", error)
            return None

    def load_state(self, state: bytes) -> None:
        """Restore the state of an earlier run as soon as its trials are added.

        Args:
            state: what `dump_state` has returned.
        """
        self._saved = state

    @ends_experiment(None)
    def remember(self, trials: Iterable[PastTrial]) -> None:
        """Bring the state up to date, which is older than the event log.

        Args:
            trials: the trials of the earlier run.
        """
        self._ended.update(dict.fromkeys(self._rungs.remember(trials), "scheduler"))
        if self._saved is None:
            self._rungs.recall(self._inner)
        elif self.controller is not None:
            self._restore(self.controller)

    def go_on(self, past: PastTrial) -> None:
        """Note the results of a trial of an earlier run that goes on, in case that it ends without another one.

        Args:
            past: the trial.
        """
        for result in last_results(past):
            self._has_progress |= self._results.add(past.ray_id, result, self._compared) is not None

    def _restore(self, controller: Any) -> None:
        """Restore the state of the scheduler at its first call after all trials were added.

        An exception of the scheduler's ends the experiment with it. Its state stays as it is for the next resumption.
        """
        if self._saved is None or self._is_unreadable or not (trials := controller.get_trials()):
            return
        by_id = {trial.trial_id: trial for trial in trials}
        self._is_unreadable = True
        self._inner, known, ended, missing = load_scheduler(self._saved, by_id, trials[0].storage)
        self._is_unreadable, self._saved = False, None
        self._ended.update(ended)
        with self._calling():
            for trial in missing:
                self._inner.on_trial_remove(controller, trial)
            for trial in self._not_added:
                if trial.trial_id not in known:
                    self._inner.on_trial_add(controller, trial)
        self._not_added.clear()
        self._rungs.recall(self._inner)
