"""A Ray Train run inside of a Tune trial: in the trial's process, with the resources that Tune has reserved.

Ray Train itself requests a placement group, from a process of its own. Under Tune this leads to deadlocks, where
trials reserve what others need, and the group of a trial that is stopped early is never removed. Here Tune reserves
everything at once: a placement group whose last bundles are for the workers. It is removed with the trial, and the
workers end with the trial's process. Ray Train has no public hooks for that; the classes below and in
`nbtune.engine.train.worker_group` are subclasses of its own, which differ in how they reserve.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from nbtune.engine._ray.core import available_resources_per_node
from nbtune.engine._ray.train import (
    ControllerCallback,
    DatasetsCallback,
    ElasticScalingPolicy,
    FixedScalingPolicy,
    PlacementGroupCleanerCallback,
    ScalingDecision,
    ScalingPolicy,
    TrainController,
    end_distribution,
    resources_per_worker,
)
from nbtune.engine.train.worker_group import GroupSettings, PollingWorkerGroup, ReservedWorkerGroup

__all__ = ["reserved_trainer"]

_UPDATE_TIME = 0.3  # seconds after which Ray's nodes have reported their free resources


class _WithoutCoordinator(ScalingPolicy):
    """Does not request nodes from Ray Train's coordinator: the placement groups do that."""

    def _maybe_send_resource_request(self) -> None:
        pass

    def after_controller_start(self, train_run_context: Any) -> None:
        pass


class _Fixed(_WithoutCoordinator, FixedScalingPolicy):
    """As many workers as bundles."""


class _Elastic(_WithoutCoordinator, ElasticScalingPolicy):
    """As many workers as fit on the free resources; waits for those of the minimal number.

    Ray Train's own policy asks a coordinator of the cluster, which reserves the resources of a stopped trial for some
    more minutes.
    """

    def __init__(self, scaling_config: Any, data_cpus: float) -> None:
        super().__init__(scaling_config)
        self._data_cpus = data_cpus  # what it leaves to Ray Data
        self._own: Counter[str] = Counter()  # node -> number of this trial's workers on it

    def make_decision_for_non_running_worker_group(self) -> ScalingDecision:
        self._own.clear()
        time.sleep(_UPDATE_TIME)
        possible = self._count_possible_workers(self._get_reserved_resources())
        return self._get_resize_decision(max(possible, self.scaling_config.min_workers))

    def make_decision_for_running_worker_group(
        self, worker_group_state: Any, worker_group_status: Any
    ) -> ScalingDecision:
        self._own = Counter(worker.metadata.node_id for worker in worker_group_state.workers)
        return super().make_decision_for_running_worker_group(worker_group_state, worker_group_status)

    def _get_reserved_resources(self) -> dict[str, dict[str, float]]:
        per_worker = resources_per_worker(self.scaling_config)
        available = {node: dict(free) for node, free in available_resources_per_node().items()}
        for node, number in self._own.items():
            for name, amount in per_worker.items():
                available.setdefault(node, {})[name] = available.get(node, {}).get(name, 0) + number * amount
        left = self._data_cpus
        for free in sorted(available.values(), key=lambda free: -free.get("CPU", 0)):
            taken = min(left, free.get("CPU", 0))
            free["CPU"], left = free.get("CPU", 0) - taken, left - taken
        return available


class _KillWorkersOnFailure(ControllerCallback):
    """Kills all workers as soon as one has failed: the others may be waiting for it in a collective operation."""

    def __init__(self) -> None:
        self.controller: Any = None

    def before_controller_execute_failure_decision(self, failure_decision: Any) -> None:
        _kill(self.controller)


class _Datasets(DatasetsCallback):
    """Distributes the data sets to the workers; ends the process that does so with them."""

    def after_worker_group_shutdown(self, worker_group_context: Any) -> None:
        super().after_worker_group_shutdown(worker_group_context)
        self.end()

    def after_worker_group_abort(self, worker_group_context: Any) -> None:
        super().after_worker_group_abort(worker_group_context)
        self.end()

    def end(self) -> None:
        """End that process, and those that it has started to read the data."""
        end_distribution(self)


def reserved_trainer(callbacks: Sequence[Any], settings: GroupSettings, *, elastic: bool, data_cpus: float = 0) -> type:
    """Return a trainer class whose `fit` runs the controller in this process.

    Args:
        callbacks: callbacks in addition to Ray Train's.
        settings: those of the groups of workers.
        elastic: whether Ray Train reserves the resources of its workers, since their number changes.
        data_cpus: the CPUs that an elastic run leaves to Ray Data.
    """

    class Trainer(DataParallelTrainer):
        def _create_default_callbacks(self) -> list[Any]:
            # Each of these starts a process for each trial. Neither is needed: Tune or the driver removes the placement
            # groups, and without data sets there is nothing to distribute.
            unused = (PlacementGroupCleanerCallback, DatasetsCallback)
            given: Any = self.datasets
            self._distributed = [_Datasets(self.train_run_context, given)] if given else []
            return [
                *(callback for callback in super()._create_default_callbacks() if not isinstance(callback, unused)),
                *self._distributed,
                *callbacks,
            ]

        def _initialize_and_run_controller(self, **given: Any) -> Any:
            killer = _KillWorkersOnFailure()
            given["callbacks"] = [*given["callbacks"], killer]
            scaling: Any = self.scaling_config  # mypy takes it for that of Ray Train V1
            given["scaling_policy"] = _Elastic(scaling, data_cpus) if elastic else _Fixed(scaling)
            controller = killer.controller = TrainController(**given)
            group: type[PollingWorkerGroup] = PollingWorkerGroup if elastic else ReservedWorkerGroup
            controller.worker_group_cls = group.with_settings(settings)
            try:
                return asyncio.run(_run(controller))
            finally:
                for callback in self._distributed:
                    callback.end()

    return Trainer


async def _run(controller: TrainController) -> Any:
    with _kill_at_end(controller):
        await controller.run()
    return controller.get_result()


@contextmanager
def _kill_at_end(controller: Any) -> Iterator[None]:
    """Kill the workers if the run is interrupted."""
    try:
        yield
    finally:
        if not controller.get_state().is_terminal():
            _kill(controller)
            with suppress(Exception):  # the rest of a group that has not started completely
                controller.get_worker_group().abort()


def _kill(controller: Any) -> None:
    group = controller.get_worker_group()
    if group is None or not group.has_started():
        return
    for worker in group.get_workers():
        with suppress(Exception):  # it has already died
            ray.kill(worker.actor)
