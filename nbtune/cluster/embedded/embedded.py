"""A Ray that this kernel starts, and that ends with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from nbtune.cluster.forkserver.start import forked_workers
from nbtune.cluster.link import auth
from nbtune.cluster.link.imports import EXTRA_IDLE_WORKERS, environment_variables, loopback, process_variables
from nbtune.engine.protocol import environment
from nbtune.errors import ClusterError

__all__ = ["start"]


def start(ray: Any, namespace: str, cpus: int | None, gpus: int | None) -> None:
    """Start Ray on this machine, on loopback and with a token, and connect to it.

    Args:
        ray: the module.
        namespace: Ray's namespace of the connection.
        cpus: number of logical CPUs; None for those of this machine.
        gpus: number of logical GPUs; None for those that Ray detects.

    Raises:
        ClusterError: Ray does not start.
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
            "num_workers_soft_limit": slots + EXTRA_IDLE_WORKERS,
        },
    }
    if auth.requested_mode() is None:  # the user may have disabled authentication, as for Ray itself
        auth.ensure_token()
        auth.use_mode("token")
    from nbtune.cluster.link._ray import without_dashboard, without_monitors

    with (
        environment_variables(process_variables()),
        loopback(),
        without_dashboard(),
        without_monitors(),
        forked_workers(),
    ):
        try:
            _call_on_lasting_thread(ray.init, options)
        except Exception:  # Ray fails if one of its agents takes over 15 s to start
            ray.shutdown()
            try:
                _call_on_lasting_thread(ray.init, options)
            except Exception as error:
                ray.shutdown()
                raise ClusterError(
                    f"Ray could not start on this machine in two attempts: {error}. If the machine is very busy, try"
                    " again later; Ray's logs are in its session folder, /tmp/ray/session_latest/logs"
                ) from error


def _call_on_lasting_thread(start: Callable[..., Any], options: dict[str, Any]) -> None:
    """Call a function that starts processes on a thread that lives as long as this process.

    Ray's processes end with their parent, which for Linux is the thread that has started them. They would end with the
    thread of a button's callback.
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
