"""PyTorch: the workers of a trial form one process group.

Ray Train's `TorchTrainer` imports PyTorch in the process that starts the workers, too, while these import it. That
process does not need it, so it lets the workers call the functions that `TorchTrainer` would call.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError
from ray.train.backend import Backend, BackendConfig
from ray.train.constants import DEFAULT_TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S, TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S

__all__ = ["BACKENDS", "WORKER_IMPORTS", "arguments", "trainer"]

BACKENDS = ("gloo", "nccl", "mpi", "ucc")
"""The backends of `torch.distributed` that Ray Train accepts by name."""
WORKER_IMPORTS = ("ray.train.torch",)
"""Modules that a worker imports as soon as it has started."""


def trainer() -> type:
    """Return Ray Train's `DataParallelTrainer`, of which `TorchTrainer` is a subclass with another default backend."""
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    trainer_class: type = DataParallelTrainer
    return trainer_class


def arguments(backend: Any) -> dict[str, Any]:
    """Return the arguments of the trainer for a backend: ``{"backend_config": …}``.

    Args:
        backend: one of `BACKENDS`, a `ray.train.torch.TorchConfig`, or None. With None, the workers use nccl if they
            have GPUs and gloo otherwise.

    Raises:
        ValueError: the backend is unknown.
    """
    if backend is None or backend in BACKENDS:
        return {"backend_config": ProcessGroup(backend)}
    from ray.train.torch import TorchConfig

    if isinstance(backend, TorchConfig):
        return {"backend_config": backend}
    raise ValueError(f"expected {', '.join(BACKENDS)} or a TorchConfig, got {backend!r}")


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
