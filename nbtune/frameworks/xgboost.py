"""XGBoost: the workers of a trial train one model, each on its part of the data.

Its communicator ends with the training code, so that the process can train another trial.
"""

from __future__ import annotations

from typing import Any

from nbtune.frameworks import own_config

__all__ = ["WORKER_IMPORTS", "config"]

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
