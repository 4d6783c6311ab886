"""LightGBM: the workers of a trial train one model, each on its part of the data.

The training code passes `ray.train.lightgbm.get_network_params()` to LightGBM.
"""

from __future__ import annotations

from typing import Any

from nbtune.frameworks import own_config

__all__ = ["WORKER_IMPORTS", "config", "reset"]

WORKER_IMPORTS = ("ray.train.lightgbm", "lightgbm")
"""Modules that a worker imports as soon as it has started."""


def config(backend: Any) -> Any:
    """Return how the workers communicate: through sockets of LightGBM's own.

    Args:
        backend: a `ray.train.lightgbm.LightGBMConfig`, or None.

    Raises:
        ValueError: the backend is something else.
    """
    from ray.train.lightgbm import LightGBMConfig

    return own_config(backend, LightGBMConfig, "ray.train.lightgbm.LightGBMConfig")


def reset() -> bool:
    """Forget the network of the run, of which Ray Train accepts only one in a process."""
    from nbtune.engine._ray.lightgbm import forget_network

    forget_network()
    return True
