"""The processes of one local cluster, and how they end: those and no others."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

import psutil

__all__ = ["MARK", "Identity", "alive", "end", "identity", "marked"]

MARK = "NBTUNE_CLUSTER"
"""The environment variable that every process of a local cluster has from its keeper: the cluster's folder.
Ray's processes lose their parents where one of them is killed; this they keep."""

Identity = tuple[int, float]
"""A process's id with the time of its creation: an id alone is another process's one day."""

_GRACE = 10.0  # seconds for Ray to end its own; it needs two


def identity(pid: int | None = None) -> Identity:
    """Return who a process is; this one, if no id is given."""
    process = psutil.Process(pid)
    return process.pid, process.create_time()


def alive(who: Identity) -> psutil.Process | None:
    """Return a process if it is still that one, and runs."""
    with suppress(psutil.Error, ValueError):
        process = psutil.Process(who[0])
        # Read twice, the time may differ in its last digits: it is the clock's less the machine's time since its start.
        if abs(process.create_time() - who[1]) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def marked(folder: str) -> list[psutil.Process]:
    """Return the processes of the cluster with this folder, but for this one."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            ours = process.pid != os.getpid() and process.environ().get(MARK) == folder
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end(folder: str, first: Iterable[psutil.Process] = ()) -> None:
    """End the processes of a cluster.

    Args:
        folder: its folder, by which they are known.
        first: those that are asked to end the others by themselves; the rest is killed.
    """
    asked = list(first)
    for process in asked:
        with suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(asked, _GRACE)
    for _ in range(5):  # one that is being started meanwhile is found the next time
        left = marked(folder)
        if not left:
            return
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, 2)
