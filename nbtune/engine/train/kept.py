"""Workers that have finished a trial, and are kept for the next one.

Starting a worker takes time: for a process and its imports. So workers that have finished stay, as Tune's own actors
do with `reuse_actors`, and train the next trial of the process that has started them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup

from nbtune.engine._ray.train import WorkerGroupState
from nbtune.engine.train.worker import Preparation, prepare_process, reset_process
from nbtune.engine.trial.tidy import tidy

__all__ = ["KeepableState", "Place", "take_workers", "tidy_workers"]

_ANSWER_TIMEOUT = 5.0  # seconds for idle actors to answer


@dataclass(frozen=True)
class Place:
    """Where the workers of a group run, and how their processes were started.

    Attributes:
        nodes: the sorted ids of their nodes, if their actors are not part of a placement group, else empty.
        group: the placement group that they are part of, else None.
        resources: the resources of each worker.
        runtime_env: Ray's runtime environment of their processes.
        experiment: the experiment whose trials they run; empty if the processes are ready for any.
        framework: a module of `nbtune.frameworks`; its environment is set before a process imports anything.
    """

    nodes: tuple[str, ...]
    group: PlacementGroup | None
    resources: Mapping[str, float]
    runtime_env: Mapping[str, Any]
    experiment: str
    framework: str

    def suits(self, trial: Place) -> bool:
        """Tell whether workers in this place can run a trial.

        Args:
            trial: the place that the trial needs.
        """
        return replace(self, experiment=trial.experiment) == trial and self.experiment in ("", trial.experiment)


@dataclass(frozen=True)
class KeepableState(WorkerGroupState):
    """The state of a group whose workers are kept for the next trial of this process, if they `finished`.

    Attributes:
        place: where they run.
        finished: set if all workers have finished without an error.
    """

    place: Place
    finished: threading.Event = field(default_factory=threading.Event)

    def shutdown(self) -> None:
        """End the workers, or keep them."""
        global _idle
        if self.finished.is_set() and self._are_ready():
            _idle = self
        else:
            super().shutdown()

    def end(self) -> None:
        """End the workers."""
        super().shutdown()

    def _are_ready(self) -> bool:
        resets = [worker.execute_async(reset_process, self.place.framework) for worker in self.workers]
        answers = _get_all(self.sync_actor.get_counter.remote(), *resets)
        return answers is not None and answers[0] == 0 and all(answers[1:])  # 0: no worker is waiting at a barrier


_idle: KeepableState | None = None  # the previous trial's workers, until this process starts the next trial


def take_workers(place: Place, number: int, preparation: Preparation) -> KeepableState | None:
    """Return the previous trial's workers, prepared for the next one, if they suit it and all of them answer.

    Args:
        place: the place that the trial needs.
        number: the number of its workers.
        preparation: what the process of each worker needs.
    """
    global _idle
    idle, _idle = _idle, None
    if idle is None:
        return None
    if idle.place.suits(place) and len(idle.workers) == number:
        prepared = [worker.execute_async(prepare_process, preparation) for worker in idle.workers]
        if _get_all(idle.sync_actor.get_counter.remote(), *prepared) is not None:
            return idle
    idle.end()
    return None


def tidy_workers() -> None:
    """Prepare the idle workers of this process for a trial of another experiment, or end them.

    Those in a placement group end with the group.
    """
    global _idle
    idle, _idle = _idle, None
    if idle is None:
        return
    if idle.place.nodes:
        reasons = _get_all(*(worker.execute_async(tidy) for worker in idle.workers))
        if reasons is not None and not any(reasons):
            _idle = replace(idle, place=replace(idle.place, experiment=""))
            return
    idle.end()


def _get_all(*references: Any) -> list[Any] | None:
    """Return the answers of actors, or None if one of them has died or fails."""
    try:
        answers: list[Any] = ray.get(list(references), timeout=_ANSWER_TIMEOUT)
    except RayError:
        return None
    return answers
