"""Everything private to Ray that connecting uses, each with the reason; imported only when it is needed.

`tests/unit/test_private_ray.py` checks the names. The program `nbtune.cluster.link.query` imports nothing of nbtune,
and so has its own private imports.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

# Replaced for a moment: Ray's switch for a Ray on 127.0.0.1, which is read from the environment only as Ray is
# imported, the program that starts worker processes, and the processes that a Ray of one machine without a dashboard
# does not need. None of them can be set.
from ray._private import ray_constants, services
from ray._private.node import Node

# What Ray's autoscaler reports: the public `ray.autoscaler.sdk` only requests resources.
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS

# The clusters of this machine, and the one that `ray start` has noted; in public only `ray.init` looks for them, and
# connects.
from ray._private.services import find_gcs_addresses
from ray._private.utils import get_ray_address_file

# The token and the mode of authentication as Ray's C++ half has cached them; the public `ray.init` keeps the first.
# And a client that finds out whether a cluster takes the token: `ray.init` would wait, and end the process.
from ray._raylet import (
    GCS_AUTOSCALER_STATE_NAMESPACE,
    GCS_AUTOSCALER_V2_ENABLED_KEY,
    AuthenticationTokenLoader,
    Config,
    GcsClient,
)

# The store in which the autoscaler keeps its report.
from ray.experimental.internal_kv import _internal_kv_get as internal_kv_get

__all__ = [
    "DEBUG_AUTOSCALING_STATUS",
    "GCS_AUTOSCALER_STATE_NAMESPACE",
    "GCS_AUTOSCALER_V2_ENABLED_KEY",
    "GcsClient",
    "find_gcs_addresses",
    "get_ray_address_file",
    "internal_kv_get",
    "is_own_head_node",
    "loopback_only",
    "reload_authentication",
    "setup_worker_program",
    "without_dashboard",
    "without_monitors",
]


def reload_authentication() -> None:
    """Let Ray's C++ half read the mode and the token again, as `ray.init` does."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def is_own_head_node() -> bool:
    """Tell whether this process has started the Ray that it is connected to; no public attribute says so."""
    node = ray._private.worker._global_node
    return node is not None and bool(node.is_head())  # None with Ray Client


@contextmanager
def loopback_only() -> Iterator[None]:
    """Let Ray take this machine for 127.0.0.1 inside, whatever the environment was when Ray was imported."""
    with _replaced(ray_constants, "ENABLE_RAY_CLUSTER", False):
        yield


@contextmanager
def setup_worker_program(path: str) -> Iterator[None]:
    """Let a Ray that is started inside run another program for each new worker process.

    Args:
        path: absolute path of the program; Ray joins it to the folder of its own file.
    """
    with _replaced(ray_constants, "SETUP_WORKER_FILENAME", path):
        yield


@contextmanager
def without_dashboard() -> Iterator[None]:
    """Let a Ray that is started inside run neither the dashboard's server nor its agent.

    With ``include_dashboard=False``, Ray still starts the server, only to report usage statistics, and waits until it
    has started; then it waits for the agent. See `nbtune.cluster.link.agent`.
    """
    build = services._build_python_executable_command_memory_profileable

    def build_command(component: str, *args: Any, **options: Any) -> list[str]:
        if component != ray_constants.PROCESS_TYPE_DASHBOARD_AGENT:
            return list(build(component, *args, **options))
        return [sys.executable, "-I", "-S", str(Path(__file__).parent / "agent.py")]  # Ray appends the path of its own

    with (
        _replaced(services, "start_api_server", lambda *args, **options: (None, None)),  # neither URL nor process
        _replaced(services, "_build_python_executable_command_memory_profileable", build_command),
    ):
        yield


@contextmanager
def without_monitors() -> Iterator[None]:
    """Let a Ray that is started inside run neither the autoscaler nor the process that forwards workers' output."""
    with (
        _replaced(Node, "start_monitor", lambda node: None),
        _replaced(Node, "start_log_monitor", lambda node: None),
    ):
        yield


@contextmanager
def _replaced(owner: object, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
