"""Private APIs of Ray Train in the process of a worker.

Apart from those of the controller, whose modules a worker need not import.
"""

from __future__ import annotations

from typing import Any

# Callbacks in the process of a worker, before and while its training code runs. There are no public ones.
from ray.train.v2._internal.execution.callback import TrainContextCallback, WorkerCallback

# A worker's context with its queue of reports, its thread and its storage; the public one has the ranks only.
from ray.train.v2._internal.execution.context import get_train_context

# What `ray.train.report` and its like call in a process. There is no public way to replace or wrap them.
from ray.train.v2._internal.execution.train_fn_utils import (
    DistributedTrainFnUtils,
    LocalTrainFnUtils,
    get_train_fn_utils,
    set_train_fn_utils,
)

# The actor of a worker; its class cannot be chosen in public.
from ray.train.v2._internal.execution.worker_group.worker import RayTrainWorker

__all__ = [
    "DistributedTrainFnUtils",
    "LocalTrainFnUtils",
    "RayTrainWorker",
    "TrainContextCallback",
    "WorkerCallback",
    "get_train_context",
    "get_train_fn_utils",
    "join_training_thread",
    "set_train_fn_utils",
]


def join_training_thread(execution: Any) -> None:
    """Wait until the training function of a worker has returned or raised.

    Args:
        execution: the `execution_context` of the worker's context.
    """
    execution.training_thread_runner._thread.join()
