"""What is started ahead of the first experiment on a new connection, while the user still reads or types."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from nbtune.engine.protocol.environment import NAMESPACE
from nbtune.engine.protocol.importing import without_collection

__all__ = ["start", "start_processes"]


def start() -> None:
    """Begin to start the processes of the next experiment, and to import what the kernel needs for it."""
    start_processes()
    _call_when_idle(_import)


def start_processes() -> None:
    """Begin to start the processes of the next experiment on the connected cluster, unless there are some."""
    from nbtune.engine.client.processes import start_ahead

    with suppress(Exception):  # the first experiment reports what is wrong with the cluster
        start_ahead(NAMESPACE)


def _call_when_idle(function: Callable[[], None]) -> None:
    """In a notebook, call a function on this thread after the running cell.

    Importing on another thread is not safe: ray.train and ray.tune import each other, and a second thread that imports
    the other one first gets a partially initialized module.
    """
    with suppress(RuntimeError):  # outside of notebooks there is no running event loop
        asyncio.get_running_loop().call_soon(function)


def _import() -> None:
    """Import what the kernel needs to start an experiment, which takes over a second, before the user starts one."""
    with without_collection():
        import pandas  # noqa: F401
        import ray.tune  # noqa: F401

        import nbtune.engine.client.launch
        import nbtune.engine.search.algorithms
        import nbtune.engine.trial.payload  # noqa: F401
