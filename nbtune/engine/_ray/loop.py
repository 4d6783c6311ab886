"""The loop of Ray Tune's controller: what it does while there is nothing to do, and while much happens at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray

# Tune's loop, which no public name gives access to.
from ray.tune.execution.tune_controller import TuneController

__all__ = ["asking_briefly", "start_next_first"]

_PAUSE = 0.05  # seconds between two questions for a proposal, if no trial is left


@contextmanager
def asking_briefly(on_controller: Callable[[Any], None]) -> Iterator[None]:
    """Let Tune's loops inside go on if there is neither a trial nor a proposal, so that they execute commands.

    Such a loop would ask again once a second, for ten minutes, and do nothing else. The class is changed, since nothing
    of nbtune's knows the controller before the first trial.

    Args:
        on_controller: called with Tune's controller before each question.
    """
    changed: Any = TuneController
    ask = changed._update_trial_queue

    def ask_briefly(self: Any, blocking: bool = False, timeout: int = 600) -> bool:
        on_controller(self)
        if ask(self):
            return True
        if blocking:
            # Tune would take time without trials as a sign that the cluster is too small, and look at the first trial.
            self._insufficient_resources_manager._no_running_trials_since = -1
            time.sleep(_PAUSE)  # there may be no event that Tune's loop would wait for
        return False

    changed._update_trial_queue = ask_briefly
    try:
        yield
    finally:
        changed._update_trial_queue = ask


def start_next_first(controller: Any) -> None:
    """Let trials start in the processes of others before Tune handles any further result.

    Tune handles one event in each turn of its loop, in random order. When many trials end at the same moment, each of
    their processes would get the next trial only after nearly all results were handled, and so they would all end at
    the same moment again. There is no hook for this.

    Args:
        controller: Tune's controller.
    """
    manager = controller._actor_manager
    handle_next = manager.next

    def start_and_handle(timeout: float | None = None) -> bool:
        events, waiting = manager._actor_task_events, list[Any]()
        for trial in controller._resetting_trials:
            waiting += manager._tracked_actors_to_task_futures.get(controller._trial_to_actor.get(trial), ())
        if waiting := list(events.get_futures().intersection(waiting)):
            prepared, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
            for future in prepared:
                if future in events.get_futures():  # else the one before it has ended that trial
                    events.resolve_future(future)
            if prepared:  # there may be a trial to add
                timeout = 0
        return bool(handle_next(timeout=timeout))

    manager.next = start_and_handle
