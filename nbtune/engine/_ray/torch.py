"""Private functions of Ray Train's PyTorch backend, which run in the workers. Imports PyTorch.

`TorchConfig` is public, but its backend has to be imported where the workers are started.
"""

from __future__ import annotations

import os

import ray
from ray.train.torch.config import _set_torch_distributed_env_vars, _setup_torch_process_group, _shutdown_torch
from torch.distributed import TCPStore

__all__ = ["join_process_group", "leave_process_group", "open_store"]

_store: TCPStore | None = None


def open_store(size: int) -> tuple[str, int]:
    """Open the store through which the workers find each other, in the one with rank 0; return its address and port.

    `torch.distributed` would open it when that worker joins. A worker that asks for it before that tries again only
    after half a second.

    Args:
        size: the number of workers.
    """
    global _store
    address = ray.util.get_node_ip_address()
    # As `torch.distributed` opens it, which then finds this one ("multi-tenant").
    _store = TCPStore(address, 0, size, is_master=True, wait_for_workers=False, multi_tenant=True)
    return address, _store.port


def join_process_group(backend: str, store: tuple[str, int], rank: int, size: int) -> None:
    """Let this process join the process group of the workers.

    Args:
        backend: a backend of `torch.distributed`.
        store: what `open_store` has returned.
        rank: the rank of this worker.
        size: the number of workers.
    """
    global _store
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = store[0], str(store[1])
    _set_torch_distributed_env_vars()
    _setup_torch_process_group(backend, rank, size, "env://")
    _store = None  # the process group has its own


def leave_process_group(*, destroy: bool) -> None:
    """Let this process free what the backend holds.

    Args:
        destroy: whether to destroy the process group.
    """
    _shutdown_torch(destroy)
