"""Private state of Ray Train's LightGBM backend, in a worker."""

from __future__ import annotations

# The addresses of a run's workers. There is no way to forget them, and a second run in the same process is refused.
from ray.train.lightgbm import config

__all__ = ["forget_network"]


def forget_network() -> None:
    """Forget the addresses of the workers of the run that has finished in this process."""
    config._lightgbm_network_params = None
