"""The user's scheduler, wrapped: the user can pause and resume trials, whatever the scheduler decides.

Trials that the user has paused are hidden from the scheduler, so that it neither starts such a trial nor waits for it.
"""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray.cloudpickle as cloudpickle
from ray.tune.experiment import Trial
from ray.tune.result import SHOULD_CHECKPOINT
from ray.tune.schedulers import FIFOScheduler, PopulationBasedTraining, TrialScheduler

from nbtune.engine._ray.tune import end_processing, population_checkpoints, set_resource_manager
from nbtune.engine._ray.tune import tune_controller as unwrapped
from nbtune.engine.protocol.registry import Live
from nbtune.engine.protocol.result import REPORT
from nbtune.engine.search.own_settings import own_metric, own_mode
from nbtune.engine.tune.groups import DeferredRemovalResourceManager
from nbtune.engine.tune.usable_results import UsableResults
from nbtune.engine.tune.user_part import Failures, HasUserPart, ends_experiment

__all__ = ["SteerableScheduler"]

_log = logging.getLogger(__name__)


class SteerableScheduler(Live, HasUserPart, TrialScheduler):
    """A scheduler of Tune that delegates to the user's, and lets the user pause and resume trials.

    Args:
        inner: the user's scheduler.
        on_add: called with every trial that is added to Tune, including those of a restored experiment.
        stopped: the ids of the trials that the scheduler stops are added to it.
        failures: receives what the user's scheduler raises.

    Attributes:
        controller: Tune's controller as schedulers see it; None before the first trial.
        pausing: ids of the trials that are being paused -> whether the user has requested it.
        resource_manager: what requests placement groups for the trials.
    """

    role = "scheduler"

    def __init__(
        self, inner: TrialScheduler, on_add: Callable[[Any], None], stopped: set[str], failures: Failures
    ) -> None:
        super().__init__()
        self.failures, self.part = failures, f"the scheduler {type(inner).__name__}"
        self._inner = inner
        self._on_add = on_add
        self._stopped = stopped
        self.controller: Any = None
        self.pausing: dict[str, bool] = {}
        self.resource_manager: Any = DeferredRemovalResourceManager()
        self._to_pause: set[str] = set()  # the user has requested their pause
        self._paused_by_user: set[str] = set()  # those that are paused, and not by the scheduler's decision
        self._to_resume: list[str] = []  # the user has resumed them, in order
        self._results = UsableResults()
        self._saved: bytes | None = None  # the state of the scheduler in an earlier run, until it is restored
        self._is_unreadable = False  # whether restoring it has failed
        self._not_added: list[Any] = []  # trials of that run that are not added to the scheduler yet
        self._open: dict[str, Any] = {}  # the trials that are not over, and some that are, in the order of Tune's list
        self._calls = 0  # of the scheduler, one inside the other: stopping a trial calls it again

    # -- the user's commands ----------------------------------------------------------------------

    def pause(self, trial_id: str) -> None:
        """Pause a running trial with its next checkpoint.

        Args:
            trial_id: Tune's id.
        """
        self._to_pause.add(trial_id)

    def resume(self, trial_id: str) -> bool:
        """Let a trial run again that the user has paused; return whether the user has.

        Args:
            trial_id: Tune's id.
        """
        if trial_id not in self._to_pause:
            return False
        self._to_pause.discard(trial_id)
        if trial_id in self._paused_by_user:  # else the scheduler has paused it as well
            self._paused_by_user.discard(trial_id)
            self._to_resume.append(trial_id)
        return True

    # -- Tune's interface ---------------------------------------------------------------------------

    @property
    def metric(self) -> Any:
        return self._inner.metric

    @property
    def supports_buffered_results(self) -> bool:
        return bool(self._inner.supports_buffered_results)

    @ends_experiment(True)
    def set_search_properties(self, /, metric: Any, mode: Any, **spec: Any) -> bool:
        # A scheduler refuses what it was created with. That it is the same was checked before the start.
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
            self._inner.on_trial_add(tune_controller, trial)
        else:
            self._not_added.append(trial)

    @ends_experiment(None)
    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._restore(tune_controller)
        self._forget(trial)
        with self._calling():
            self._inner.on_trial_error(tune_controller, trial)

    @ends_experiment(TrialScheduler.CONTINUE)
    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        result.pop(REPORT, None)  # it is for the recorder, which gets it from Tune's own dictionary
        decision: str = TrialScheduler.CONTINUE
        if (seen := self._results.add(trial.trial_id, result, self.metric)) is not None:
            with self._calling():
                decision = self._inner.on_trial_result(self._visible(tune_controller), trial, seen)
        requested = trial.trial_id in self._to_pause
        if decision == TrialScheduler.STOP:
            self._stopped.add(trial.trial_id)
        elif decision == TrialScheduler.PAUSE:
            self.pausing[trial.trial_id] = requested
        elif decision == TrialScheduler.CONTINUE and requested and result.get(SHOULD_CHECKPOINT):
            self._paused_by_user.add(trial.trial_id)
            self.pausing[trial.trial_id] = True
            decision = TrialScheduler.PAUSE
        return decision

    @ends_experiment(None)
    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._restore(tune_controller)
        last = self._results.end(trial.trial_id, result, self.metric)
        self._forget(trial)
        with self._calling():
            if last is not None:
                self._inner.on_trial_complete(tune_controller, trial, last)
            else:
                self._inner.on_trial_remove(tune_controller, trial)

    @ends_experiment(None)
    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._restore(tune_controller)
        self._forget(trial)
        with self._calling():
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
            visible = _FilteredController(visible, self._to_pause, self._open_trials())
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
        if isinstance(self._inner, PopulationBasedTraining):
            paths |= population_checkpoints(self._inner)
        return paths

    @contextmanager
    def _calling(self) -> Iterator[None]:
        self._calls += 1
        try:
            yield
        finally:
            if self._calls == 1:  # it may stop trials, which calls this again
                end_processing(self._inner, self.controller)
            self._calls -= 1

    def _open_trials(self) -> list[Any]:
        """Return the trials that are not over, in the order of Tune's list."""
        for trial_id in [trial_id for trial_id, trial in self._open.items() if trial.is_finished()]:
            del self._open[trial_id]
        return list(self._open.values())

    def _visible(self, controller: Any) -> Any:
        return _FilteredController(controller, self._to_pause) if self._to_pause else controller

    def _forget(self, trial: Any) -> None:
        self._to_pause.discard(trial.trial_id)
        self._paused_by_user.discard(trial.trial_id)
        self.pausing.pop(trial.trial_id, None)
        self._results.forget(trial.trial_id)

    # -- state in Tune's snapshot -----------------------------------------------------------------

    def dump_state(self) -> bytes | None:
        """Return the state of the scheduler, which refers to trials by their ids; None if it cannot be saved.

        Tune does not save the state of schedulers. Population based training keeps checkpoints in memory.
        """
        if self._saved is not None:  # not restored, so the next resumption needs it
            return self._saved
        if isinstance(self._inner, PopulationBasedTraining):
            return None
        known = [] if self.controller is None else [trial.trial_id for trial in self.controller.get_trials()]
        file = io.BytesIO()
        try:
            _Pickler(file).dump((self._inner, known))
        except Exception as error:  # a scheduler of the user's own
            _log.warning("the state of the scheduler cannot be saved: %s", error)
            return None
        return file.getvalue()

    def load_state(self, state: bytes) -> None:
        """Restore the state of an earlier run as soon as its trials are added.

        Args:
            state: what `dump_state` has returned.
        """
        self._saved = state

    def _restore(self, controller: Any) -> None:
        """Restore the state of the scheduler at its first call after all trials were added.

        An exception of the scheduler's ends the experiment with it. Its state stays as it is for the next resumption.
        """
        if self._saved is None or self._is_unreadable:
            return
        by_id = {trial.trial_id: trial for trial in controller.get_trials()}
        self._is_unreadable = True
        self._inner, known = _Unpickler(io.BytesIO(self._saved), by_id).load()
        self._is_unreadable, self._saved = False, None
        for trial in self._not_added:
            if trial.trial_id not in known:
                self._inner.on_trial_add(controller, trial)
        self._not_added.clear()


class _FilteredController:
    """Tune's controller without the trials that the user has paused.

    Args:
        controller: the controller.
        hidden: the ids of these trials.
        trials: the other trials; None for all that the controller has.
    """

    def __init__(self, controller: Any, hidden: set[str], trials: list[Any] | None = None) -> None:
        self._controller, self._hidden, self._trials = controller, hidden, trials

    def get_trials(self) -> list[Any]:
        trials = self._controller.get_trials() if self._trials is None else self._trials
        return [trial for trial in trials if trial.trial_id not in self._hidden]

    def get_live_trials(self) -> set[Any]:
        return {trial for trial in self._controller.get_live_trials() if trial.trial_id not in self._hidden}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._controller, name)


class _Pickler(cloudpickle.CloudPickler):
    def persistent_id(self, value: Any) -> str | None:
        return value.trial_id if isinstance(value, Trial) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, trials: dict[str, Any]) -> None:
        super().__init__(file)
        self._trials = trials

    def persistent_load(self, trial_id: str) -> Any:
        return self._trials[trial_id]
