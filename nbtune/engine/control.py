"""Control of a running sweep through Tune's own loop.

Tune hands its controller to the scheduler and calls its callbacks on the loop's thread several
times a second. So a wrapper around the user's scheduler keeps the controller, a stopper carries
"stop everything", and a callback carries out the rest where nothing else is going on.
"""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray.tune import Callback, Stopper
from ray.tune.schedulers import TrialScheduler

__all__ = ["Control", "Steered", "Stopping"]


class Stopping(Stopper):
    """Every reason to end a trial or the experiment before its own end.

    Args:
        conditions: metric -> bound, a `ray.tune.Stopper`, a function (trial_id, result) -> bool, or None.
            A bound is reached from below, as in Ray Tune, and from above for the experiment's own
            metric where less of it is better.
        metric: the experiment's metric.
        mode: "min" or "max".
        time_budget: seconds until the whole experiment ends, or None.
    """

    def __init__(self, conditions: Any, metric: str | None, mode: str | None, time_budget: float | None) -> None:
        self._conditions = conditions
        self._below = metric if mode == "min" else None
        self._deadline = math.inf if time_budget is None else time.monotonic() + time_budget
        self._asked = self._ending = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if self._conditions is None:
            return False
        if not isinstance(self._conditions, Mapping):
            return bool(self._conditions(trial_id, result))
        return any(self._reached(name, bound, result.get(name)) for name, bound in self._conditions.items())

    def _reached(self, name: str, bound: float, value: Any) -> bool:
        if not isinstance(value, (int, float)):
            return False
        return bool(value <= bound if name == self._below else value >= bound)

    def ask(self) -> None:
        """End the experiment with the next step."""
        self._asked = True

    def decide(self) -> bool:
        """Settle whether this step is the last: asked once a step, so that all of it sees the same."""
        own = isinstance(self._conditions, Stopper) and self._conditions.stop_all()
        self._ending = self._ending or self._asked or own or time.monotonic() > self._deadline
        return self._ending

    def stop_all(self) -> bool:
        return self._ending


class Steered(TrialScheduler):
    """The user's scheduler, with an ear for what it decides and a hand on the controller."""

    def __init__(self, inner: TrialScheduler, on_add: Callable[[Any], None]) -> None:
        super().__init__()
        self._inner = inner
        self._on_add = on_add
        self.controller: Any = None
        self.stopped: set[str] = set()  # ids of the trials that the scheduler has stopped

    @property
    def metric(self) -> Any:
        return self._inner.metric

    @property
    def supports_buffered_results(self) -> bool:
        return bool(self._inner.supports_buffered_results)

    def set_search_properties(self, metric: Any, mode: Any, **spec: Any) -> bool:
        return bool(self._inner.set_search_properties(metric, mode, **spec))

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self.controller = tune_controller
        self._on_add(trial)
        self._inner.on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._inner.on_trial_error(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision: str = self._inner.on_trial_result(tune_controller, trial, result)
        if decision == TrialScheduler.STOP:
            self.stopped.add(trial.trial_id)
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._inner.on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._inner.on_trial_remove(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        return self._inner.choose_trial_to_run(tune_controller)

    def debug_string(self) -> str:
        return str(self._inner.debug_string())

    def save(self, checkpoint_path: str) -> None:
        self._inner.save(checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        self._inner.restore(checkpoint_path)


class Control(Callback):
    """Carries out commands on Tune's thread.

    Tune lets a stopped trial's process finish its present step first, which may take for ever, so
    the process is killed right after Tune has let go of it.
    """

    def __init__(self, scheduler: Steered, stopping: Stopping) -> None:
        self._scheduler, self._stopping = scheduler, stopping
        self._commands: queue.SimpleQueue[Callable[[list[Any]], None]] = queue.SimpleQueue()
        self._doomed: list[Any] = []
        self.stopped: set[str] = set()  # ids of the trials that the user has stopped

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks into the experiment's folder; commands are this process's

    def stop(self) -> None:
        """End the experiment at the next step."""
        self._stopping.ask()

    def stop_trial(self, trial_id: str) -> None:
        """End one trial at the next step."""
        self._commands.put(lambda trials: self._stop_trial(trial_id, trials))

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        while not self._commands.empty():
            self._commands.get()(trials)
        if self._stopping.decide():
            self._doomed += [actor for actor in map(_actor, trials) if actor is not None]

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        while self._doomed:
            ray.kill(self._doomed.pop())

    def _stop_trial(self, trial_id: str, trials: list[Any]) -> None:
        for trial in trials:
            if trial.trial_id != trial_id or trial.is_finished():
                continue
            self.stopped.add(trial_id)
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


def _actor(trial: Any) -> Any:
    return trial.temporary_state.ray_actor
