"""Ray Train's groups of workers: where the workers run, and how they start.

If the workers need nothing but CPUs and memory, their actors are not part of the trial's placement group. They run on
the nodes of its bundles and request no resources, since the group has reserved these. So they can outlive the group,
and run a trial of the next experiment if the process of the trial does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup, placement_group_table
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from nbtune.engine._ray.train import (
    DefaultPlacementGroupHandle,
    RayWorker,
    WorkerGroup,
    WorkerGroupStartupFailedError,
    WorkerGroupState,
    bundle_to_remote_args,
    worker_group,
)
from nbtune.engine.train.kept import KeepableState, Place, take_workers
from nbtune.engine.train.worker import Preparation, TrainWorker, prepare_process
from nbtune.engine.trial.reservation import COUNTED

__all__ = ["GroupSettings", "PollingWorkerGroup", "ReservedWorkerGroup"]

_POLL_INTERVAL = 0.2  # seconds between two polls of workers without news


@dataclass(frozen=True)
class GroupSettings:
    """What a trial's groups of workers need in addition to Ray Train's settings.

    Attributes:
        preparation: what the process of each worker needs.
        reservation: the placement group of the trial, whose last bundles are for the workers.
        experiment: identifies the experiment of the trial.
        framework: a module of `nbtune.frameworks`.
    """

    preparation: Preparation
    reservation: PlacementGroup
    experiment: str
    framework: str


class PollingWorkerGroup(WorkerGroup):
    """A group whose workers answer a poll as soon as there is news."""

    settings: GroupSettings
    _worker_cls = TrainWorker

    @classmethod
    def with_settings(cls, settings: GroupSettings) -> type[PollingWorkerGroup]:
        """Return this class with settings: Ray Train creates the groups, with arguments of its own.

        Args:
            settings: the settings of its groups.
        """
        return type(cls.__name__, (cls,), {"settings": settings})

    def poll_status(self, timeout: float | None = None) -> Any:
        return super().poll_status(_POLL_INTERVAL)

    def _create_workers(
        self, num_workers: int, placement_group: Any, resources_per_worker: Any, *given: Any, **named: Any
    ) -> Any:
        actors = self._request_actors(_bundles(placement_group, range(num_workers)))
        with _ended_on_error(actors):
            return self._started(actors, self.settings.preparation)

    def _request_actors(self, places: Sequence[Any], **requests: Any) -> list[Any]:
        """Request the actor of a worker in each place, and return them. They start in the background.

        Args:
            places: scheduling strategies.
            requests: the options of an actor that request its resources, if these are not the worker's.
        """
        requests = requests or bundle_to_remote_args(dict(self._worker_group_context.resources_per_worker))
        actor_class = ray.remote(runtime_env=self._runtime_env(), **requests)(self._worker_cls)
        return [actor_class.options(scheduling_strategy=place).remote() for place in places]

    def _started(self, actors: Sequence[Any], preparation: Preparation) -> Any:
        """Wait until the actors have started, and return Ray Train's descriptions of them, in the order of their ranks.

        Args:
            actors: the actors.
            preparation: what the process of each worker needs.

        Raises:
            WorkerGroupStartupFailedError: one of them has died.
        """
        calls = [actor.execute.remote(prepare_process, preparation) for actor in actors]
        calls += [actor.get_metadata.remote() for actor in actors]
        try:
            descriptions = ray.get(calls)[len(actors) :]
        except RayError as error:
            raise WorkerGroupStartupFailedError(f"a worker has not started: {error}") from error
        resources = dict(self._worker_group_context.resources_per_worker)
        described = zip(actors, descriptions, strict=True)
        return self._assign_worker_ranks([RayWorker(actor, about, resources) for actor, about in described])

    def _runtime_env(self) -> dict[str, Any]:
        # Without Ray Train's additions it is the trial's own environment, for which Ray has processes already.
        return dict(self._train_run_context.run_config.worker_runtime_env or {})


def _bundles(group: PlacementGroup, indices: Sequence[int]) -> list[PlacementGroupSchedulingStrategy]:
    return [PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index) for index in indices]


@contextmanager
def _ended_on_error(actors: Sequence[Any]) -> Iterator[None]:
    """Kill actors if an error is raised inside: Ray Train does not know of them before they have started."""
    try:
        yield
    except BaseException:
        for actor in actors:
            ray.kill(actor)
        raise


class _Reservation(DefaultPlacementGroupHandle):
    """The placement group of the trial, which Tune removes."""

    def shutdown(self) -> None:
        pass


class ReservedWorkerGroup(PollingWorkerGroup):
    """Workers for the last bundles of the trial's placement group; the first bundle may be the trial process's.

    The group reuses the workers of the previous trial if possible, and keeps its own for the next trial.
    """

    _reused: KeepableState | None = None
    """The previous trial's workers, if the group uses these instead of new ones."""
    _actors: Sequence[Any] = ()
    _preparation: Preparation

    def _start_impl(self, *given: Any) -> None:
        context, reservation = self._worker_group_context, self.settings.reservation
        nodes: list[str] = []
        if context.resources_per_worker.keys() <= COUNTED and not context.label_selector:
            nodes = _nodes(reservation, context.num_workers)
        self._preparation = self.settings.preparation
        if nodes:
            self._preparation = replace(self._preparation, cpus=context.resources_per_worker.get("CPU", 0))
        group, resources = None if nodes else reservation, dict(context.resources_per_worker)
        experiment, framework = self.settings.experiment, self.settings.framework
        place = Place(tuple(sorted(nodes)), group, resources, self._runtime_env(), experiment, framework)
        self._reused = take_workers(place, context.num_workers, self._preparation)
        if self._reused is not None:
            self._actors = [worker.actor for worker in self._reused.workers]
        elif nodes:
            on_nodes = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
            self._actors = self._request_actors(on_nodes, num_cpus=0)
        else:
            number = reservation.bundle_count
            self._actors = self._request_actors(_bundles(reservation, range(number - context.num_workers, number)))
        with _ended_on_error(self._actors), _synchronized_by(self._reused.sync_actor if self._reused else None):
            super()._start_impl(*given)
        state: WorkerGroupState = self.get_worker_group_state()
        self._worker_group_state = KeepableState(**vars(state), place=place)

    def _create_placement_group(self, *given: Any) -> _Reservation:
        return _Reservation(self.settings.reservation)

    def _create_workers(self, *given: Any, **named: Any) -> Any:
        if self._reused is not None:
            return self._assign_worker_ranks(self._reused.workers)
        return self._started(self._actors, self._preparation)

    def shutdown(self) -> None:
        """End the workers, or keep them for the next trial if all have finished without an error."""
        status, state = self._latest_poll_status, self._worker_group_state
        if isinstance(state, KeepableState) and status is not None and status.finished and not status.errors:
            state.finished.set()
        super().shutdown()


def _nodes(group: PlacementGroup, number: int) -> list[str]:
    """Return the nodes of the last bundles of a placement group; empty if Ray is placing one of them again.

    Args:
        group: the placement group.
        number: the number of bundles.
    """
    of_bundle = placement_group_table(group)["bundles_to_node_id"]
    nodes = [of_bundle[index] for index in sorted(of_bundle)][-number:]
    return nodes if all(nodes) else []


@contextmanager
def _synchronized_by(actor: Any) -> Iterator[None]:
    """Let Ray Train use an actor of ours for the synchronization of workers.

    Args:
        actor: an existing one, or None for a new one on this node. Ray Train's own would be part of the placement
            group, if this process is, and end with it.
    """
    before = worker_group.SynchronizationActor
    worker_group.SynchronizationActor = _ActorClass(before, actor)  # type: ignore[misc,assignment]
    try:
        yield
    finally:
        worker_group.SynchronizationActor = before  # type: ignore[misc]


@dataclass(frozen=True)
class _ActorClass:
    """Stands for an actor's class; every instance is the same actor, or a new one on this node."""

    original: Any
    actor: Any

    def options(self, **options: Any) -> _ActorClass:
        return self

    def remote(self, **given: Any) -> Any:
        if self.actor is not None:
            return self.actor
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        return self.original.options(scheduling_strategy=here).remote(**given)
