"""The workers of a trial as Ray Train's groups: in the places that Tune has reserved, and left to the next trial.

A worker is slow to start: a process, its imports. So workers that have come to their own end stay, as Tune's own
processes do with `reuse_actors`, and train the next trial that Tune gives to their trial's process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from nbtune.engine._ray.train import DefaultPlacementGroupHandle, WorkerGroup, WorkerGroupState, worker_group
from nbtune.engine.train.worker import TrainWorker, tidied

__all__ = ["Crew", "ReservedCrew"]

_LOOK = 0.2  # seconds between two looks at workers that have nothing to tell
_PATIENCE = 5.0  # seconds for which an actor that is idle may take to answer


class _Reservation(DefaultPlacementGroupHandle):
    """The placement group of the trial, which Tune gives back."""

    def shutdown(self) -> None:
        pass


class Crew(WorkerGroup):
    """Workers that answer when there is something to tell."""

    _worker_cls = TrainWorker

    def poll_status(self, timeout: float | None = None) -> Any:
        return super().poll_status(_LOOK)

    @staticmethod
    def _get_worker_runtime_env(custom_runtime_env: Any) -> Any:
        # With nothing added it is the trial's own, and Ray has processes for that which run already.
        return custom_runtime_env


class ReservedCrew(Crew):
    """Workers in the last bundles of the trial's placement group; the first is the trial's, if it asks for anything.

    It may begin with those of the trial before, and leaves its own to the next one.
    """

    _found: WorkerGroupState | None = None

    def _start_impl(self, *given: Any) -> None:
        self._found = _taken(self._worker_group_context.num_workers)
        with _synchronized_by(self._found.sync_actor) if self._found else nullcontext():
            super()._start_impl(*given)
        state: WorkerGroupState = self.get_worker_group_state()
        self._worker_group_state = _Leaving(**vars(state))

    def _create_placement_group(self, *given: Any) -> _Reservation:
        return _Reservation(ray.util.get_current_placement_group())

    def _create_workers(self, num_workers: int, placement_group: Any, *given: Any, **named: Any) -> Any:
        if self._found is not None:
            return self._assign_worker_ranks(self._found.workers)
        first = placement_group.bundle_count - num_workers
        named.setdefault("placement_group_bundle_indices", list(range(first, placement_group.bundle_count)))
        return super()._create_workers(num_workers, placement_group, *given, **named)

    def shutdown(self) -> None:
        """End the workers, or leave them to the next trial if all have come to their own end."""
        status, state = self._latest_poll_status, self._worker_group_state
        if isinstance(state, _Leaving) and status is not None and status.finished and not status.errors:
            state.finished.set()
        super().shutdown()


@dataclass(frozen=True)
class _Leaving(WorkerGroupState):
    """What a group of workers is made of, which may be left to the next trial of this process."""

    finished: threading.Event = field(default_factory=threading.Event)

    def shutdown(self) -> None:
        global _left
        if self.finished.is_set() and self._ready():
            _left = self
        else:
            super().shutdown()

    def _ready(self) -> bool:
        """Tell whether all can train another trial."""
        told = _told(self.sync_actor.get_counter.remote(), *(one.execute_async(tidied) for one in self.workers))
        return told is not None and told[0] == 0 and all(told[1:])  # 0: all who came to a barrier have left it


_left: WorkerGroupState | None = None  # a trial's workers, idle, until the next trial of this process begins


def _taken(number: int) -> WorkerGroupState | None:
    """Return the workers that the trial before has left, if they are as many, in the same places, and well."""
    global _left
    found, _left = _left, None
    if found is None:
        return None
    same = found.placement_group_handle.placement_group == ray.util.get_current_placement_group()
    if same and len(found.workers) == number:
        alive = [found.sync_actor.get_counter.remote(), *(one.actor.get_metadata.remote() for one in found.workers)]
        if _told(*alive) is not None:
            return found
    WorkerGroupState.shutdown(found)
    return None


def _told(*asked: Any) -> list[Any] | None:
    """Return what actors answer, or None if one of them is gone or cannot."""
    try:
        answers: list[Any] = ray.get(list(asked), timeout=_PATIENCE)
    except RayError:
        return None
    return answers


@contextmanager
def _synchronized_by(actor: Any) -> Iterator[None]:
    """Let Ray Train take an actor that is there for the one in which workers wait for each other."""
    before = worker_group.SynchronizationActor
    worker_group.SynchronizationActor = _There(actor)
    try:
        yield
    finally:
        worker_group.SynchronizationActor = before


@dataclass(frozen=True)
class _There:
    """In place of an actor's class: the actor itself."""

    actor: Any

    def options(self, **options: Any) -> _There:
        return self

    def remote(self, **given: Any) -> Any:
        return self.actor
