"""A Ray Train run inside of a Tune trial: in the trial's own process, with the resources that Tune has reserved.

Ray Train as it is asks for a placement group of its own, from a process of its own. Under Tune, trials then hold what
others wait for, and a group whose trial is stopped early is held for ever. Here Tune reserves everything at once, a
placement group whose last bundles are the workers', and takes it back as that of any other trial; with the trial's
process its workers end. The public callbacks of Ray Train are too late for that; the classes below and those of
`nbtune.engine.train.worker_group` are its own, each changed where it reserves.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import ray

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
    resources_per_worker,
)
from nbtune.engine.train.worker_group import Crew, ReservedCrew

__all__ = ["reserved_trainer"]

_MOMENT = 0.3  # seconds after which Ray's nodes have told what they have free


class _Unasked(ScalingPolicy):
    """Asks no coordinator of the cluster for nodes: the placement groups do, Tune's or those of an elastic run."""

    def _maybe_send_resource_request(self) -> None:
        pass

    def after_controller_start(self, train_run_context: Any) -> None:
        pass


class _Fixed(_Unasked, FixedScalingPolicy):
    """As many workers as there are bundles."""


class _Elastic(_Unasked, ElasticScalingPolicy):
    """As many workers as there are free places for, at least the least, for which it waits.

    Ray Train's own policy asks a coordinator of the cluster, which keeps for some minutes what a trial has asked for
    that was stopped.
    """

    def __init__(self, scaling_config: Any) -> None:
        super().__init__(scaling_config)
        self._own: Counter[str] = Counter()  # node -> how many workers of this trial are there

    def make_decision_for_non_running_worker_group(self) -> ScalingDecision:
        self._own.clear()
        time.sleep(_MOMENT)
        possible = self._count_possible_workers(self._get_reserved_resources())
        return self._get_resize_decision(max(possible, self.scaling_config.min_workers))

    def make_decision_for_running_worker_group(
        self, worker_group_state: Any, worker_group_status: Any
    ) -> ScalingDecision:
        self._own = Counter(worker.metadata.node_id for worker in worker_group_state.workers)
        return super().make_decision_for_running_worker_group(worker_group_state, worker_group_status)

    def _get_reserved_resources(self) -> dict[str, dict[str, float]]:
        each = resources_per_worker(self.scaling_config)
        there = {node: dict(free) for node, free in available_resources_per_node().items()}
        for node, number in self._own.items():
            for name, amount in each.items():
                there.setdefault(node, {})[name] = there.get(node, {}).get(name, 0) + number * amount
        return there


class _OfElastic(TrainController):
    worker_group_cls = Crew


class _OfFixed(TrainController):
    worker_group_cls = ReservedCrew


class _EndAtOnce(ControllerCallback):
    """Ends all workers as soon as one of them has failed: the others may wait for it in a collective."""

    def __init__(self) -> None:
        self.controller: Any = None

    def before_controller_execute_failure_decision(self, failure_decision: Any) -> None:
        _kill(self.controller)


def reserved_trainer(trainer: type, callbacks: Sequence[Any], *, elastic: bool) -> type:
    """Return a trainer class whose `fit` runs in this process.

    Args:
        trainer: one of Ray Train's, a `DataParallelTrainer`.
        callbacks: its callbacks besides its own.
        elastic: whether it asks for its workers' resources itself, since their number changes.
    """

    class Trainer(trainer):
        def _create_default_callbacks(self) -> list[Any]:
            # Each of these is a process for each trial. Where Tune reserves there is no group to clean away, and
            # elsewhere the driver does it; and without data sets nobody has to hand them out.
            idle = (PlacementGroupCleanerCallback, *(() if self.datasets else (DatasetsCallback,)))
            return [*(one for one in super()._create_default_callbacks() if not isinstance(one, idle)), *callbacks]

        def _initialize_and_run_controller(self, **given: Any) -> Any:
            at_once = _EndAtOnce()
            given["callbacks"] = [*given["callbacks"], at_once]
            given["scaling_policy"] = (_Elastic if elastic else _Fixed)(self.scaling_config)
            return asyncio.run(_run(_OfElastic if elastic else _OfFixed, at_once, given))

    return Trainer


async def _run(kind: type, at_once: _EndAtOnce, given: dict[str, Any]) -> Any:
    controller = at_once.controller = kind(**given)
    with _ended(controller):
        await controller.run()
    return controller.get_result()


@contextmanager
def _ended(controller: Any) -> Iterator[None]:
    """End the workers where the trial is ended in between."""
    try:
        yield
    finally:
        if not controller.get_state().is_terminal():
            _kill(controller)
            with suppress(Exception):  # what else the group has: a group may be half started
                controller.get_worker_group().abort()


def _kill(controller: Any) -> None:
    group = controller.get_worker_group()
    if group is None or not group.has_started():
        return
    for worker in group.get_workers():
        with suppress(Exception):  # it is gone already
            ray.kill(worker.actor)
