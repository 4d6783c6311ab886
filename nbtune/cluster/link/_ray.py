"""Everything private to Ray that connecting uses, each with the reason; imported only when it is needed.

`tests/unit/test_private_ray.py` checks the names. The program `nbtune.cluster.link.query` imports nothing of nbtune,
and so has its own private imports.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ray

# Two constants, which are replaced for a moment: Ray's switch for a Ray on 127.0.0.1, which is read from the
# environment only as Ray is imported, and the program that starts worker processes, which cannot be set.
from ray._private import ray_constants

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
    with _replaced("ENABLE_RAY_CLUSTER", False):
        yield


@contextmanager
def setup_worker_program(path: str) -> Iterator[None]:
    """Let a Ray that is started inside run another program for each new worker process.

    Args:
        path: absolute path of the program; Ray joins it to the folder of its own file.
    """
    with _replaced("SETUP_WORKER_FILENAME", path):
        yield


@contextmanager
def _replaced(name: str, value: object) -> Iterator[None]:
    before = getattr(ray_constants, name)
    setattr(ray_constants, name, value)
    try:
        yield
    finally:
        setattr(ray_constants, name, before)
