"""Processes started ahead: the next driver and trials find theirs running, with Tune imported.

Ray starts a process for an actor when the actor is created, and gives an idle one to the next actor
with the same runtime environment, but only one that has not run a task. So actors that do nothing
are created and given up while their processes are still starting: the processes stay, idle. Where
that does not work, the trials start their own, as they would without this.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nbtune.engine.protocol import environment

__all__ = ["began", "ended", "start", "stop"]

_NAME = "nbtune-warm"
_MOST = 8  # processes; each holds some 200 MB
_STARTING = 0.1  # seconds: Ray has begun to start the process, which needs longer than that until it is there
_QUIET = 1.0  # seconds after an experiment in which the next one may come at once
_slots = 0
_running = 0
_closing = threading.Event()


class _Nothing:
    """An actor that is given up before it is there."""


def start(slots: int) -> None:
    """Start processes ahead on this machine's embedded or local cluster, from now on.

    Args:
        slots: how many trials run at once.
    """
    global _slots
    _slots = min(slots, _MOST)
    # Ray takes the whole process down if it is shut down while a thread calls it. So what can be called here
    # is, and Python's end waits for the rest (this is registered after Ray's own, and so comes before it).
    atexit.register(_close)
    _in_background(_give_up, _create())
    _when_idle(_import)


def stop() -> None:
    """Start no more: the next cluster may be somebody else's."""
    global _slots
    _slots = 0


def began() -> None:
    """Note that an experiment runs: its processes must not compete with others that start."""
    global _running
    _running += 1


def ended() -> None:
    """Note that an experiment is over, and start processes for the next one if no other runs."""
    global _running
    _running -= 1
    if _slots:
        _in_background(_replace)


def _in_background(function: Callable[..., None], *args: Any) -> None:
    threading.Thread(target=function, args=args, name=_NAME, daemon=True).start()


def _when_idle(function: Callable[[], None]) -> None:
    """Call a function on this thread, after the cell that runs; nowhere else than in a notebook.

    Imports are not for another thread: ray.train and ray.tune import each other, and where two threads begin at
    different ends, Python gives one of them a module that is not whole yet.
    """
    with suppress(RuntimeError):  # a program has no loop that runs, and imports what it needs when it needs it
        asyncio.get_running_loop().call_soon(function)


def _close() -> None:
    _closing.set()
    for thread in threading.enumerate():
        if thread.name == _NAME and thread.ident is not None:
            thread.join(2.0)


def _create() -> list[Any]:
    import ray

    options: list[dict[str, Any]] = [{"runtime_env": {"env_vars": _trial_environment()}}] * _slots + [{}]
    return [ray.remote(num_cpus=0, **option)(_Nothing).remote() for option in options]


def _give_up(actors: list[Any]) -> None:
    import ray

    if _closing.wait(_STARTING) or not ray.is_initialized():
        return
    with suppress(Exception):  # the cluster may be going down; nothing depends on this
        for actor in actors:
            ray.kill(actor)


def _replace() -> None:
    import ray

    if not _closing.wait(_QUIET) and not _running and ray.is_initialized():
        with suppress(Exception):
            _give_up(_create())


def _import() -> None:
    """Do the kernel's own part of a start while the user still reads: over a second, most of it for Tune."""
    import pandas  # noqa: F401
    import ray.tune  # noqa: F401

    import nbtune.engine.client.launch
    import nbtune.engine.search.algorithms
    import nbtune.engine.trial.payload  # noqa: F401


def _trial_environment() -> dict[str, str]:
    """Return the environment variables that Tune gives its trials (ray.tune.execution.class_cache)."""
    handed_on = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
    return {
        "PL_DISABLE_FORK": "1",
        **environment.TRIAL_VARIABLES,
        **{name: os.environ[name] for name in handed_on if name in os.environ},
    }
