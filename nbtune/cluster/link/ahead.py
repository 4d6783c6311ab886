"""What is started ahead of the first experiment on a new connection, while the user still reads or types."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from nbtune.engine.protocol.environment import NAMESPACE, SLOW_PACKAGES
from nbtune.engine.protocol.importing import without_collection

__all__ = [
    "adopt",
    "import_packages",
    "slow_packages",
    "start",
    "start_if_connected",
    "start_processes",
]


def start(*, waits: bool = True) -> None:
    """Begin to start the processes of the next experiment, and import what this process needs for it.

    In a notebook that is imported after the running cell.

    Args:
        waits: whether to import it outside of notebooks as well. Meanwhile the other processes start.
    """
    start_processes()
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        if waits and threading.current_thread() is threading.main_thread():
            with suppress(Exception):  # the first experiment reports what is missing
                _import()
    else:
        # Not on another thread: ray.train and ray.tune import each other, and a second thread that imports the other
        # one first gets a partially initialized module.
        loop.call_soon(_import)


def start_if_connected(result: Any = None) -> None:
    """Prepare for an experiment as `start` does, if the user has connected this process to Ray.

    Args:
        result: IPython's result of a cell: it calls this after each one.
    """
    ray: Any = sys.modules.get("ray")
    if getattr(ray, "is_initialized", bool)():
        start(waits=result is None)


def slow_packages() -> list[str]:
    """Return the packages that this process has imported, which take long to import, and which trials may need."""
    return [name for name in SLOW_PACKAGES if name in sys.modules]


def start_processes() -> str | None:
    """Begin to start the processes of the next experiment on the connected cluster, unless there are some.

    Returns:
        The name of the driver's process if it was started.
    """
    from nbtune.engine.client import processes

    name = None
    with suppress(Exception):  # the first experiment reports what is wrong with the cluster
        name = processes.start_ahead(NAMESPACE)
        processes.import_ahead(slow_packages())
    return name


def import_packages(name: str, packages: Sequence[str], variables: Mapping[str, str]) -> None:
    """Let the processes of trials that were started ahead import packages.

    Args:
        name: what `start_processes` has returned.
        packages: names of packages.
        variables: environment variables that the trials will probably have.
    """
    import ray

    with suppress(Exception):  # it has ended
        ray.get_actor(name, NAMESPACE).import_ahead.remote(packages, variables)


def adopt(name: str) -> None:
    """Use what another process has started ahead on the connected cluster for this kernel.

    Args:
        name: what `start_processes` has returned there.
    """
    from nbtune.engine.client import processes

    with suppress(Exception):  # it has ended
        processes.adopt(name, NAMESPACE)
        # The other process may not have been told in time.
        processes.import_ahead(slow_packages())


def _import() -> None:
    """Import what the kernel needs to start an experiment, which takes over a second, before the user starts one."""
    with without_collection():
        import pandas  # noqa: F401
        import ray.tune  # noqa: F401

        import nbtune.engine.client.launch
        import nbtune.engine.search.make
        import nbtune.engine.trial.payload  # noqa: F401
