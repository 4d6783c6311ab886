"""XGBoost: the workers of a trial train one model, each on its part of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbtune.frameworks import own_config

__all__ = ["WORKER_IMPORTS", "config", "environment", "reset"]

WORKER_IMPORTS = ("ray.train.xgboost",)
"""Modules that a worker imports as soon as it has started."""


def config(backend: Any) -> Any:
    """Return how the workers communicate: through XGBoost's own tracker, which runs in the trial's process.

    Args:
        backend: a `ray.train.xgboost.XGBoostConfig`, or None.

    Raises:
        ValueError: the backend is something else.
    """
    from ray.train.xgboost import XGBoostConfig

    return own_config(backend, XGBoostConfig, "ray.train.xgboost.XGBoostConfig")


def environment(resources: Mapping[str, float]) -> dict[str, str]:
    """Return no variables: XGBoost needs none.

    Args:
        resources: those of the worker.
    """
    return {}


def reset() -> bool:
    """Return that the process can train another trial: the communicator ends with the training code."""
    return True
