"""Finding and terminating the processes of a local cluster, and no others."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

import psutil

__all__ = ["MARK", "Identity", "alive", "cluster_processes", "identity", "terminate"]

MARK = "NBTUNE_CLUSTER"
"""The environment variable with the cluster's folder, which all its processes inherit from its guardian.

Unlike a parent process, it does not change when another process is killed."""

Identity = tuple[int, float]
"""A process id with the process's creation time, since process ids are reused."""

_GRACE_PERIOD = 10.0  # seconds for Ray to terminate its processes, which usually takes two


def identity(pid: int | None = None) -> Identity:
    """Return the identity of a process.

    Args:
        pid: its id; None for this process.
    """
    process = psutil.Process(pid)
    return process.pid, process.create_time()


def alive(process_identity: Identity) -> psutil.Process | None:
    """Return a process if it is running, else None.

    Args:
        process_identity: what `identity` has returned for it.
    """
    pid, created = process_identity
    with suppress(psutil.Error, ValueError):
        process = psutil.Process(pid)
        # The creation time is computed from the clock and the time since boot, so its last digits vary.
        if abs(process.create_time() - created) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def cluster_processes(folder: str) -> list[psutil.Process]:
    """Return the processes of a cluster, except this one.

    Args:
        folder: the cluster's folder.
    """
    matching = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            belongs = process.pid != os.getpid() and process.environ().get(MARK) == folder
            if belongs and process.status() != psutil.STATUS_ZOMBIE:
                matching.append(process)
    return matching


def terminate(folder: str, roots: Iterable[psutil.Process] = ()) -> None:
    """Terminate the processes of a cluster.

    Args:
        folder: the cluster's folder.
        roots: processes that terminate the others if they get SIGTERM. Those that do not end in time are killed.
    """
    terminated = list(roots)
    for process in terminated:
        with suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(terminated, _GRACE_PERIOD)
    for _ in range(5):  # a process may start others meanwhile
        remaining = cluster_processes(folder)
        if not remaining:
            return
        for process in remaining:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(remaining, 2)
