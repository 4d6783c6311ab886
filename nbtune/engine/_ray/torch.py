"""Private functions of Ray Train's PyTorch backend, which run in the workers. Imports PyTorch.

`TorchConfig` is public, but its backend has to be imported where the workers are started.
"""

from __future__ import annotations

import os

# What `ray.train.torch.TorchConfig.backend_cls` lets each worker call.
from ray.train._internal.utils import get_address_and_port
from ray.train.torch.config import _set_torch_distributed_env_vars, _setup_torch_process_group, _shutdown_torch

__all__ = ["get_address_and_port", "join_process_group", "leave_process_group"]


def join_process_group(backend: str, address: tuple[str, int], rank: int, size: int) -> None:
    """Let this process join the process group of the workers.

    Args:
        backend: a backend of `torch.distributed`.
        address: an address and a free port of the worker with rank 0.
        rank: the rank of this worker.
        size: the number of workers.
    """
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = address[0], str(address[1])
    _set_torch_distributed_env_vars()
    _setup_torch_process_group(backend, rank, size, "env://")


def leave_process_group(*, destroy: bool) -> None:
    """Let this process free what the backend holds.

    Args:
        destroy: whether to destroy the process group.
    """
    _shutdown_torch(destroy)
