"""PyTorch: the workers of a trial form one process group.

Ray Train's `TorchTrainer` imports PyTorch in the process that starts the workers, too, while these import it. That
process does not need it, so it lets the workers call the functions that `TorchTrainer` would call.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError
from ray.train.backend import Backend, BackendConfig
from ray.train.constants import DEFAULT_TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S, TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S

from nbtune.spec.plan.shape import DEVICES

__all__ = ["BACKENDS", "WORKER_IMPORTS", "config", "environment", "reset"]

BACKENDS = ("gloo", "nccl", "mpi", "ucc")
"""The backends of `torch.distributed` that Ray Train accepts by name."""
WORKER_IMPORTS = ("ray.train.torch", "nbtune.frameworks.deepspeed")
"""Modules that a worker imports as soon as it has started."""


def config(backend: Any) -> BackendConfig:
    """Return how the workers communicate.

    Args:
        backend: one of `BACKENDS`, a `ray.train.torch.TorchConfig`, or None. With None, the workers use nccl if they
            have GPUs and gloo otherwise.

    Raises:
        ValueError: the backend is unknown.
    """
    if backend is None or backend in BACKENDS:
        return ProcessGroup(backend)
    from ray.train.torch import TorchConfig

    if isinstance(backend, TorchConfig):
        return backend
    raise ValueError(f"expected {', '.join(BACKENDS)} or a TorchConfig, got {backend!r}")


def environment(resources: Mapping[str, float]) -> dict[str, str]:
    """Return the variables that a worker's process needs before it imports anything.

    Args:
        resources: those of the worker.
    """
    if any(resources.get(device) for device in DEVICES):
        return {}
    return {
        "ACCELERATE_USE_CPU": "true",  # else each worker trains alone in Accelerate, and in Transformers' trainer
        "DS_ACCELERATOR": "cpu",  # else DeepSpeed looks for a device itself
    }


def reset() -> bool:
    """Destroy the process group, which Ray Train leaves if there is a single worker; return whether all is cleared."""
    deepspeed = sys.modules.get("deepspeed.comm.comm")  # Accelerate imports it if it is installed
    if deepspeed is not None and deepspeed.cdb is not None:
        return False  # it keeps the groups of a run until its process ends
    accelerate = sys.modules.get("accelerate.state")
    if accelerate is not None:  # its objects share their state for the whole life of a process
        accelerate.AcceleratorState._reset_state(reset_partial_state=True)
        accelerate.GradientState._reset_state()
    dist = sys.modules.get("torch.distributed")
    if dist is not None and dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
    return True


@dataclass
class ProcessGroup(BackendConfig):
    """As `ray.train.torch.TorchConfig` with its defaults, but imports PyTorch only in the workers.

    Attributes:
        backend: the backend of `torch.distributed`; None for the one that suits the workers' devices.
    """

    backend: str | None = None

    @property
    def backend_cls(self) -> type[Backend]:
        """The class that starts and ends the process group."""
        return ProcessGroupBackend

    @property
    def train_func_context(self) -> Any:
        """What each worker enters to run the training code."""
        return _device


def _device() -> AbstractContextManager[None]:
    from ray.train.torch.config import TorchConfigContextManager

    context: AbstractContextManager[None] = TorchConfigContextManager()
    return context


class ProcessGroupBackend(Backend):
    """Starts the process group of the workers, and ends it."""

    share_cuda_visible_devices = True

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Let each worker join the process group."""
        resources = worker_group.get_resources_per_worker()
        if resources.get("TPU"):  # these need more than a process group
            from ray.train.torch import TorchConfig

            config = TorchConfig(backend=backend_config.backend)
            config.backend_cls().on_start(worker_group, config)
            return
        backend = backend_config.backend or ("nccl" if resources.get("GPU") else "gloo")
        size = len(worker_group)
        store = worker_group.execute_single(0, _open_store, size)
        ray.get([worker_group.execute_single_async(rank, _join, backend, store, rank, size) for rank in range(size)])

    def on_shutdown(self, worker_group: Any, backend_config: Any) -> None:
        """Let each worker leave the process group; Ray Train does not destroy that of a single worker."""
        timeout = os.environ.get(TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S, DEFAULT_TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S)
        with suppress(GetTimeoutError):
            ray.get(worker_group.execute_async(_leave, len(worker_group) > 1), timeout=float(timeout))


def _open_store(size: int) -> tuple[str, int]:
    from nbtune.engine._ray.torch import open_store

    return open_store(size)


def _join(backend: str, store: tuple[str, int], rank: int, size: int) -> None:
    from nbtune.engine._ray.torch import join_process_group

    join_process_group(backend, store, rank, size)


def _leave(destroy: bool) -> None:
    from nbtune.engine._ray.torch import leave_process_group

    leave_process_group(destroy=destroy)
