"""A Ray of this kernel's own, which ends with it."""

from __future__ import annotations

import os
from typing import Any

from nbtune.cluster import auth
from nbtune.cluster.imports import SOFT_LIMIT, loopback, process_variables, variables
from nbtune.engine import environment
from nbtune.errors import ClusterError

__all__ = ["start"]


def start(ray: Any, namespace: str, cpus: int | None, gpus: int | None) -> None:
    """Start Ray on this machine, on loopback and with a token, and connect to it.

    Raises:
        ClusterError: it does not start.
    """
    slots = cpus or os.cpu_count() or 1
    options = {
        "address": "local",
        "num_cpus": cpus,
        "num_gpus": gpus,
        "namespace": namespace,
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": "ERROR",
        "_system_config": {
            "preload_python_modules": [environment.PRELOAD],
            "num_workers_soft_limit": slots + SOFT_LIMIT,
        },
    }
    if auth.said() is None:  # a user who has turned it off has his way, as with Ray itself
        auth.ensure()
        auth.use("token")
    with variables(process_variables()), loopback():
        try:
            ray.init(**options)
        except Exception:  # Ray's node gives up where one of its helpers needs over 15 s to start
            ray.shutdown()
            try:
                ray.init(**options)
            except Exception as error:
                ray.shutdown()
                raise ClusterError(
                    f"Ray could not start on this machine, tried twice: {error}. If the machine is very busy, try"
                    " again later; Ray's own logs are in its session folder, /tmp/ray/session_latest/logs"
                ) from error
