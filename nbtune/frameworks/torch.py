"""PyTorch: workers in one process group."""

from __future__ import annotations

from typing import Any

__all__ = ["BACKENDS", "arguments", "trainer"]

BACKENDS = ("gloo", "nccl", "mpi", "ucc")
"""The backends of `torch.distributed` that Ray Train takes by name."""


def trainer() -> type:
    """Return `ray.train.torch.TorchTrainer`."""
    from ray.train.torch import TorchTrainer

    found: type = TorchTrainer
    return found


def arguments(backend: Any) -> dict[str, Any]:
    """Return ``{"torch_config": …}`` for a backend: a name, a `ray.train.torch.TorchConfig`, or None.

    With None Ray Train takes nccl for workers with GPUs, and gloo for others.

    Raises:
        ValueError: it is none of PyTorch's.
    """
    from ray.train.torch import TorchConfig

    if backend is None:
        return {}
    if isinstance(backend, TorchConfig):
        return {"torch_config": backend}
    if backend not in BACKENDS:
        raise ValueError(f"{backend!r} is no backend of torch: give {', '.join(BACKENDS)}, or a TorchConfig")
    return {"torch_config": TorchConfig(backend=backend)}
