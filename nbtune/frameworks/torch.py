"""PyTorch: the workers of a trial form one process group."""

from __future__ import annotations

from typing import Any

__all__ = ["BACKENDS", "arguments", "trainer"]

BACKENDS = ("gloo", "nccl", "mpi", "ucc")
"""The backends of `torch.distributed` that Ray Train accepts by name."""


def trainer() -> type:
    """Return `ray.train.torch.TorchTrainer`."""
    from ray.train.torch import TorchTrainer

    trainer_class: type = TorchTrainer
    return trainer_class


def arguments(backend: Any) -> dict[str, Any]:
    """Return the arguments of `TorchTrainer` for a backend: ``{"torch_config": …}``.

    Args:
        backend: one of `BACKENDS`, a `ray.train.torch.TorchConfig`, or None. With None, Ray Train uses nccl for
            workers with GPUs and gloo for others.

    Raises:
        ValueError: the backend is unknown.
    """
    from ray.train.torch import TorchConfig

    if backend is None:
        return {}
    if isinstance(backend, TorchConfig):
        return {"torch_config": backend}
    if backend not in BACKENDS:
        raise ValueError(f"expected {', '.join(BACKENDS)} or a TorchConfig, got {backend!r}")
    return {"torch_config": TorchConfig(backend=backend)}
