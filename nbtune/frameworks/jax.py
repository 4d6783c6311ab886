"""JAX: the workers of a trial are the processes of one `jax.distributed`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbtune.frameworks import own_config

__all__ = ["WORKER_IMPORTS", "config", "environment", "reset"]

WORKER_IMPORTS = ("jax",)
"""Modules that a worker imports as soon as it has started."""


def config(backend: Any) -> Any:
    """Return how the workers communicate: through a coordinator in that with rank 0.

    Args:
        backend: a `ray.train.v2.jax.config.JaxConfig`, or None.

    Raises:
        ValueError: the backend is something else.
    """
    from ray.train.v2.jax.config import JaxConfig

    # By default, Ray Train lets each worker train alone on CPUs.
    given = JaxConfig(use_gpu=True) if backend is None else backend
    return own_config(given, JaxConfig, "JaxConfig of Ray Train")


def environment(resources: Mapping[str, float]) -> dict[str, str]:
    """Return the variables that a worker's process needs before it imports JAX.

    Args:
        resources: those of the worker.
    """
    return {} if resources.get("GPU") or resources.get("TPU") else {"JAX_PLATFORMS": "cpu"}


def reset() -> bool:
    """Return that the process cannot train another trial: `jax.distributed` is initialized once, before all else."""
    return False
