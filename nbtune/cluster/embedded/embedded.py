"""A Ray of this kernel's own, which ends with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from nbtune.cluster.forkserver.start import forked_workers
from nbtune.cluster.link import auth
from nbtune.cluster.link.imports import SOFT_LIMIT, loopback, process_variables, variables
from nbtune.engine.protocol import environment
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
    with variables(process_variables()), loopback(), forked_workers():
        try:
            _staying(ray.init, options)
        except Exception:  # Ray's node gives up where one of its helpers needs over 15 s to start
            ray.shutdown()
            try:
                _staying(ray.init, options)
            except Exception as error:
                ray.shutdown()
                raise ClusterError(
                    f"Ray could not start on this machine, tried twice: {error}. If the machine is very busy, try"
                    " again later; Ray's own logs are in its session folder, /tmp/ray/session_latest/logs"
                ) from error


def _staying(start: Callable[..., Any], options: dict[str, Any]) -> None:
    """Call what starts processes on a thread that stays as long as this process.

    Ray asks Linux to end its processes with their parent, and Linux takes the thread that has started them for that:
    they would not outlive a button's thread.
    """
    if threading.current_thread() is threading.main_thread():
        start(**options)
        return
    started: Future[None] = Future()

    def run() -> None:
        try:
            start(**options)
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(None)
        threading.Event().wait()

    threading.Thread(target=run, name="nbtune-ray", daemon=True).start()
    started.result()
