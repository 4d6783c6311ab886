"""Private APIs of Ray Train: the controller, the workers and the callbacks of a run.

Ray Train as it is runs its controller in a process of its own, which reserves the resources of the workers. A trial
has them from Tune already, so the classes that do this are replaced (`nbtune.engine.train.reserved`).
"""

from __future__ import annotations

from typing import Any

# Two default callbacks, each of which is a process for each run; the public parameter only adds to the defaults.
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

# Why a group of workers has not started; an elastic run then tries again.
from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError

# Callbacks that see the workers as they start, each report before it is stored, and a failure before it is handled;
# the public `UserCallback` is called after that, and is given no workers.
from ray.train.v2._internal.execution.callback import (
    ControllerCallback,
    ReportCallback,
    TrainContextCallback,
    WorkerCallback,
    WorkerGroupCallback,
)

# A worker's context with its queue of reports, its thread and its storage; the public one has the ranks only.
from ray.train.v2._internal.execution.context import get_train_context

# The loop that starts and watches the workers. No public class runs it in the caller's process.
from ray.train.v2._internal.execution.controller import TrainController

# How many workers there are to be. Not public at all.
from ray.train.v2._internal.execution.scaling_policy import (
    ElasticScalingPolicy,
    FixedScalingPolicy,
    ScalingDecision,
    ScalingPolicy,
)

# What `ray.train.report` and its like call in a process. There is no public way to replace or wrap them.
from ray.train.v2._internal.execution.train_fn_utils import (
    DistributedTrainFnUtils,
    LocalTrainFnUtils,
    get_train_fn_utils,
    set_train_fn_utils,
)

# The group of workers, its placement group and its state. Groups always reserve for themselves, in public.
# The module is there too, for its name `SynchronizationActor`, which is replaced for a moment.
from ray.train.v2._internal.execution.worker_group import WorkerGroup, worker_group
from ray.train.v2._internal.execution.worker_group.placement_group_handle import DefaultPlacementGroupHandle
from ray.train.v2._internal.execution.worker_group.state import WorkerGroupState

# The actor of a worker, whose class cannot be chosen in public, and its description.
from ray.train.v2._internal.execution.worker_group.worker import RayTrainWorker
from ray.train.v2._internal.execution.worker_group.worker import Worker as RayWorker

# The resources of a worker as the options of its actor.
from ray.train.v2._internal.util import bundle_to_remote_args

__all__ = [
    "ControllerCallback",
    "DatasetsCallback",
    "DefaultPlacementGroupHandle",
    "DistributedTrainFnUtils",
    "ElasticScalingPolicy",
    "FixedScalingPolicy",
    "LocalTrainFnUtils",
    "PlacementGroupCleanerCallback",
    "RayTrainWorker",
    "RayWorker",
    "ReportCallback",
    "ScalingDecision",
    "ScalingPolicy",
    "TrainContextCallback",
    "TrainController",
    "WorkerCallback",
    "WorkerGroup",
    "WorkerGroupCallback",
    "WorkerGroupStartupFailedError",
    "WorkerGroupState",
    "bundle_to_remote_args",
    "get_train_context",
    "get_train_fn_utils",
    "join_training_thread",
    "resources_per_worker",
    "set_train_fn_utils",
    "worker_group",
]


def join_training_thread(execution: Any) -> None:
    """Wait until the training function of a worker has returned or raised.

    Args:
        execution: the `execution_context` of the worker's context.
    """
    execution.training_thread_runner._thread.join()


def resources_per_worker(scaling_config: Any) -> dict[str, float]:
    """Return what each worker asks for, Ray's defaults included, which the public attribute leaves out.

    Args:
        scaling_config: a `ray.train.ScalingConfig`.
    """
    resources: dict[str, float] = scaling_config._resources_per_worker_not_none
    return resources
