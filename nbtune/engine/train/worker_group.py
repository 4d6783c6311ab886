"""Ray Train's groups of workers, in the bundles that Tune has reserved, and reused by the next trial.

Starting a worker takes time: for a process and its imports. So workers that have finished stay, as Tune's own actors
do with `reuse_actors`, and train the next trial that Tune gives to the process of their trial.
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
from nbtune.engine.train.worker import TrainWorker, reset_process

__all__ = ["PollingWorkerGroup", "ReservedWorkerGroup"]

_POLL_INTERVAL = 0.2  # seconds between two polls of workers without news
_ANSWER_TIMEOUT = 5.0  # seconds for idle actors to answer


class _Reservation(DefaultPlacementGroupHandle):
    """The placement group of the trial, which Tune removes."""

    def shutdown(self) -> None:
        pass


class PollingWorkerGroup(WorkerGroup):
    """A group whose workers answer a poll as soon as there is news."""

    _worker_cls = TrainWorker

    def poll_status(self, timeout: float | None = None) -> Any:
        return super().poll_status(_POLL_INTERVAL)

    @staticmethod
    def _get_worker_runtime_env(custom_runtime_env: Any) -> Any:
        # Without Ray Train's additions it is the trial's own, for which Ray has processes that are already running.
        return custom_runtime_env


class ReservedWorkerGroup(PollingWorkerGroup):
    """Workers in the last bundles of the trial's placement group; the first bundle may be the trial process's.

    The group reuses the workers of the previous trial if possible, and keeps its own for the next trial.
    """

    _reused: WorkerGroupState | None = None

    def _start_impl(self, *given: Any) -> None:
        self._reused = _take_idle_group(self._worker_group_context.num_workers)
        with _synchronized_by(self._reused.sync_actor) if self._reused else nullcontext():
            super()._start_impl(*given)
        state: WorkerGroupState = self.get_worker_group_state()
        self._worker_group_state = _ReusableState(**vars(state))

    def _create_placement_group(self, *given: Any) -> _Reservation:
        group = ray.util.get_current_placement_group()
        assert group is not None
        return _Reservation(group)

    def _create_workers(self, num_workers: int, placement_group: Any, *given: Any, **named: Any) -> Any:
        if self._reused is not None:
            return self._assign_worker_ranks(self._reused.workers)
        first = placement_group.bundle_count - num_workers
        named.setdefault("placement_group_bundle_indices", list(range(first, placement_group.bundle_count)))
        return super()._create_workers(num_workers, placement_group, *given, **named)

    def shutdown(self) -> None:
        """End the workers, or keep them for the next trial if all have finished without an error."""
        status, state = self._latest_poll_status, self._worker_group_state
        if isinstance(state, _ReusableState) and status is not None and status.finished and not status.errors:
            state.finished.set()
        super().shutdown()


@dataclass(frozen=True)
class _ReusableState(WorkerGroupState):
    """The state of a group whose workers may be kept for the next trial of this process."""

    finished: threading.Event = field(default_factory=threading.Event)

    def shutdown(self) -> None:
        global _idle_group
        if self.finished.is_set() and self._ready():
            _idle_group = self
        else:
            super().shutdown()

    def _ready(self) -> bool:
        """Tell whether all workers can train another trial."""
        resets = [worker.execute_async(reset_process) for worker in self.workers]
        answers = _get_all(self.sync_actor.get_counter.remote(), *resets)
        return answers is not None and answers[0] == 0 and all(answers[1:])  # 0: no worker is waiting at a barrier


_idle_group: WorkerGroupState | None = None  # the previous trial's workers, until this process starts the next trial


def _take_idle_group(number: int) -> WorkerGroupState | None:
    """Return the previous trial's workers, if their number and placement group fit, and all of them answer."""
    global _idle_group
    idle, _idle_group = _idle_group, None
    if idle is None:
        return None
    same = idle.placement_group_handle.placement_group == ray.util.get_current_placement_group()
    if same and len(idle.workers) == number:
        metadata = [worker.actor.get_metadata.remote() for worker in idle.workers]
        if _get_all(idle.sync_actor.get_counter.remote(), *metadata) is not None:
            return idle
    WorkerGroupState.shutdown(idle)
    return None


def _get_all(*references: Any) -> list[Any] | None:
    """Return the answers of actors, or None if one of them has died or fails."""
    try:
        answers: list[Any] = ray.get(list(references), timeout=_ANSWER_TIMEOUT)
    except RayError:
        return None
    return answers


@contextmanager
def _synchronized_by(actor: Any) -> Iterator[None]:
    """Let Ray Train use an existing actor for the synchronization of workers, instead of a new one."""
    before = worker_group.SynchronizationActor
    worker_group.SynchronizationActor = _ActorAsClass(actor)  # type: ignore[misc,assignment]
    try:
        yield
    finally:
        worker_group.SynchronizationActor = before  # type: ignore[misc]


@dataclass(frozen=True)
class _ActorAsClass:
    """Stands for an actor's class, and returns the same actor for every instance."""

    actor: Any

    def options(self, **options: Any) -> _ActorAsClass:
        return self

    def remote(self, **given: Any) -> Any:
        return self.actor
