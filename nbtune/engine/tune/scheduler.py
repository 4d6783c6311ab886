"""The user's scheduler, wrapped: trials can be paused and resumed by hand, whatever it decides.

What is paused by hand is hidden from it, so that it neither starts such a trial nor waits for it.
"""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Callable
from typing import Any

import ray.cloudpickle as cloudpickle
from ray.tune.experiment import Trial
from ray.tune.result import SHOULD_CHECKPOINT
from ray.tune.schedulers import PopulationBasedTraining, TrialScheduler

from nbtune.engine._ray.tune import tune_controller as unwrapped
from nbtune.engine.protocol.registry import Live
from nbtune.engine.protocol.result import REPORT, as_reported, metric_names
from nbtune.engine.tune.groups import defer_removals

__all__ = ["Steered"]

_log = logging.getLogger(__name__)


class Steered(Live, TrialScheduler):
    """The user's scheduler, with an ear for what it decides and a hand on the controller.

    Args:
        inner: the user's scheduler.
        on_add: called with every trial that Tune gets, also with those that it gets again.
        stopped: takes the ids of the trials that the scheduler stops.

    Attributes:
        controller: Tune's, as schedulers see it; None before the first trial.
        pausing: ids of the trials that are about to be paused -> whether the user wanted it.
    """

    role = "scheduler"

    def __init__(self, inner: TrialScheduler, on_add: Callable[[Any], None], stopped: set[str]) -> None:
        super().__init__()
        self._inner = inner
        self._on_add = on_add
        self._stopped = stopped
        self.controller: Any = None
        self.pausing: dict[str, bool] = {}
        self._held: set[str] = set()  # the user wants them paused
        self._by_hand: set[str] = set()  # those of them that are, not by the scheduler's own decision
        self._freed: list[str] = []  # the user wants them to run again
        self._kept: bytes | None = None  # the state of the scheduler in an earlier run
        self._waiting: list[Any] = []  # trials of that run, which the scheduler has not been told of yet

    # -- what the user wants ----------------------------------------------------------------------

    def hold(self, trial_id: str) -> None:
        """Pause a running trial with its next checkpoint."""
        self._held.add(trial_id)

    def release(self, trial_id: str) -> bool:
        """Let a paused trial run again; tell whether it was held."""
        if trial_id not in self._held:
            return False
        self._held.discard(trial_id)
        if trial_id in self._by_hand:  # else the scheduler has its own reason
            self._by_hand.discard(trial_id)
            self._freed.append(trial_id)
        return True

    # -- what Tune asks ---------------------------------------------------------------------------

    @property
    def metric(self) -> Any:
        return self._inner.metric

    @property
    def supports_buffered_results(self) -> bool:
        return bool(self._inner.supports_buffered_results)

    def set_search_properties(self, metric: Any, mode: Any, **spec: Any) -> bool:
        return bool(self._inner.set_search_properties(metric, mode, **spec))

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        if self.controller is None:
            defer_removals(unwrapped(tune_controller))
        self.controller = tune_controller
        self._on_add(trial)
        if self._kept is None:
            self._inner.on_trial_add(tune_controller, trial)
        else:
            self._waiting.append(trial)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._recover(tune_controller)
        self._forget(trial)
        self._inner.on_trial_error(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        result.pop(REPORT, None)  # nobody but the recorder knows it, which has Tune's own dictionary
        decision: str = self._inner.on_trial_result(self._seen(tune_controller), trial, self._own(result))
        held = trial.trial_id in self._held
        if decision == TrialScheduler.STOP:
            self._stopped.add(trial.trial_id)
        elif decision == TrialScheduler.PAUSE:
            self.pausing[trial.trial_id] = held
        elif decision == TrialScheduler.CONTINUE and held and result.get(SHOULD_CHECKPOINT):
            self._by_hand.add(trial.trial_id)
            self.pausing[trial.trial_id] = True
            decision = TrialScheduler.PAUSE
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._recover(tune_controller)
        self._forget(trial)
        self._inner.on_trial_complete(tune_controller, trial, self._own(result))

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._recover(tune_controller)
        self._forget(trial)
        self._inner.on_trial_remove(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        self._recover(tune_controller)
        if self._freed:
            waiting = {Trial.PAUSED, Trial.PENDING}
            known = {t.trial_id: t for t in tune_controller.get_trials() if t.status in waiting}
            self._freed = [trial_id for trial_id in self._freed if trial_id in known]
            if self._freed:
                return known[self._freed[0]]
        chosen = self._inner.choose_trial_to_run(self._seen(tune_controller))
        return None if chosen is not None and chosen.trial_id in self._held else chosen

    def debug_string(self) -> str:
        return str(self._inner.debug_string())

    def _own(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return a result with the metric that the scheduler itself names, as the user has reported it."""
        return as_reported(result, metric_names(self.metric))

    def _seen(self, controller: Any) -> Any:
        return _Without(controller, self._held) if self._held else controller

    def _forget(self, trial: Any) -> None:
        self._held.discard(trial.trial_id)
        self._by_hand.discard(trial.trial_id)
        self.pausing.pop(trial.trial_id, None)

    # -- what outlives the driver -----------------------------------------------------------------

    def state(self) -> bytes | None:
        """Return what the scheduler knows, its trials by their ids; None for one that cannot be kept.

        Tune itself keeps nothing of a scheduler. Population based training holds checkpoints in memory.
        """
        if isinstance(self._inner, PopulationBasedTraining):
            return None
        known = [] if self.controller is None else [trial.trial_id for trial in self.controller.get_trials()]
        file = io.BytesIO()
        try:
            _Pickler(file).dump((self._inner, known))
        except Exception as error:  # a scheduler of the user's own
            _log.warning("the scheduler's state cannot be kept: %s", error)
            return None
        return file.getvalue()

    def keep(self, state: bytes) -> None:
        """Go on from the state of an earlier run, once its trials are here."""
        self._kept = state

    def _recover(self, controller: Any) -> None:
        """Bring back the scheduler's state with the first thing that is asked after all trials were added."""
        if self._kept is None:
            return
        state, self._kept = self._kept, None
        here = {trial.trial_id: trial for trial in controller.get_trials()}
        known: list[str] = []
        try:
            self._inner, known = _Unpickler(io.BytesIO(state), here).load()
        except Exception as error:
            _log.warning("the scheduler begins anew, its state cannot be read: %s", error)
        for trial in self._waiting:
            if trial.trial_id not in known:
                self._inner.on_trial_add(controller, trial)
        self._waiting.clear()


class _Without:
    """Tune's controller without the trials that the user has paused."""

    def __init__(self, controller: Any, hidden: set[str]) -> None:
        self._controller, self._hidden = controller, hidden

    def get_trials(self) -> list[Any]:
        return [trial for trial in self._controller.get_trials() if trial.trial_id not in self._hidden]

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
