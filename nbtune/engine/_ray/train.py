"""Private APIs of Ray Train in the process that runs a trial: the controller, its workers and its callbacks.

Ray Train as it is runs its controller in a process of its own, which reserves the resources of the workers. A trial
has them from Tune already, so the classes that do this are replaced (`nbtune.engine.train.reserved`).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import ray

# Two default callbacks, each of which is a process for each run; the public parameter only adds to the defaults.
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

# Why a group of workers has not started; an elastic run then tries again.
from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError

# Callbacks that see the workers as they start, each report before it is stored, and a failure before it is handled;
# the public `UserCallback` is called after that, and is given no workers.
from ray.train.v2._internal.execution.callback import ControllerCallback, ReportCallback, WorkerGroupCallback

# The loop that starts and watches the workers. No public class runs it in the caller's process.
from ray.train.v2._internal.execution.controller import TrainController

# How many workers there are to be. Not public at all.
from ray.train.v2._internal.execution.scaling_policy import (
    ElasticScalingPolicy,
    FixedScalingPolicy,
    ScalingDecision,
    ScalingPolicy,
)

# The group of workers, its placement group and its state. Groups always reserve for themselves, in public.
# The module is there too, for its name `SynchronizationActor`, which is replaced for a moment.
from ray.train.v2._internal.execution.worker_group import WorkerGroup, worker_group
from ray.train.v2._internal.execution.worker_group.placement_group_handle import DefaultPlacementGroupHandle
from ray.train.v2._internal.execution.worker_group.state import WorkerGroupState

# The description of a worker.
from ray.train.v2._internal.execution.worker_group.worker import Worker as RayWorker

# The resources of a worker as the options of its actor.
from ray.train.v2._internal.util import bundle_to_remote_args

__all__ = [
    "ControllerCallback",
    "DatasetsCallback",
    "DefaultPlacementGroupHandle",
    "ElasticScalingPolicy",
    "FixedScalingPolicy",
    "PlacementGroupCleanerCallback",
    "RayWorker",
    "ReportCallback",
    "ScalingDecision",
    "ScalingPolicy",
    "TrainController",
    "WorkerGroup",
    "WorkerGroupCallback",
    "WorkerGroupStartupFailedError",
    "WorkerGroupState",
    "bundle_to_remote_args",
    "end_distribution",
    "resources_per_worker",
    "worker_group",
]


def end_distribution(callback: DatasetsCallback) -> None:
    """End the process that distributes the data sets of a run, and those that it has started to read them.

    In public they end when nobody has a handle on them. Workers that are kept for the next run would have one.

    Args:
        callback: has started it.
    """
    provider: Any = callback._dataset_shard_provider
    callback._dataset_shard_provider = None
    if provider is not None:
        with suppress(Exception):  # it has already died
            ray.kill(provider._dataset_manager)


def resources_per_worker(scaling_config: Any) -> dict[str, float]:
    """Return what each worker asks for, Ray's defaults included, which the public attribute leaves out.

    Args:
        scaling_config: a `ray.train.ScalingConfig`.
    """
    resources: dict[str, float] = scaling_config._resources_per_worker_not_none
    return resources
