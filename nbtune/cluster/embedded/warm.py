"""Worker processes that are started in advance, with Tune imported, for the next driver and trials.

Ray starts a process for an actor when the actor is created, and gives an idle process to the next actor with the same
runtime environment, if it has not run a task before. So placeholder actors are created and killed while their
processes are still starting: the processes remain, idle. If that fails, trials start processes of their own.
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

__all__ = ["experiment_ended", "experiment_started", "start", "stop"]

_NAME = "nbtune-warm"
_MAX_PROCESSES = 8  # each takes about 200 MB
_STARTING = 0.1  # seconds after which Ray has begun to start the processes, and before which none is ready
_QUIET = 1.0  # seconds after an experiment in which the next one may start at once
_slots = 0
_running = 0
_closing = threading.Event()


class _Placeholder:
    """An actor that is killed before it has started."""


def start(slots: int) -> None:
    """Begin to start processes in advance, on an embedded or local cluster.

    Args:
        slots: number of trials that run at once.
    """
    global _slots
    _slots = min(slots, _MAX_PROCESSES)
    # Ray aborts the process if it is shut down during a call on another thread. So actors are created on this thread,
    # and Python's exit waits for the other one (this function is registered after Ray's own, and so called earlier).
    atexit.register(_close)
    _in_background(_kill, _create())
    _call_when_idle(_import)


def stop() -> None:
    """Start no more processes: the next cluster may be a shared one."""
    global _slots
    _slots = 0


def experiment_started() -> None:
    """Start no processes while this experiment runs: they would compete with its own."""
    global _running
    _running += 1


def experiment_ended() -> None:
    """Start processes for the next experiment if no other one is running."""
    global _running
    _running -= 1
    if _slots:
        _in_background(_replace)


def _in_background(function: Callable[..., None], *args: Any) -> None:
    threading.Thread(target=function, args=args, name=_NAME, daemon=True).start()


def _call_when_idle(function: Callable[[], None]) -> None:
    """In a notebook, call a function on this thread after the running cell.

    Importing on another thread is not safe: ray.train and ray.tune import each other, and a second thread that imports
    the other one first gets a partially initialized module.
    """
    with suppress(RuntimeError):  # outside of notebooks there is no running event loop
        asyncio.get_running_loop().call_soon(function)


def _close() -> None:
    _closing.set()
    for thread in threading.enumerate():
        if thread.name == _NAME and thread.ident is not None:
            thread.join(2.0)


def _create() -> list[Any]:
    import ray

    options: list[dict[str, Any]] = [{"runtime_env": {"env_vars": _trial_environment()}}] * _slots + [{}]
    return [ray.remote(num_cpus=0, **option)(_Placeholder).remote() for option in options]


def _kill(actors: list[Any]) -> None:
    import ray

    if _closing.wait(_STARTING) or not ray.is_initialized():
        return
    with suppress(Exception):  # the cluster may be ending; nothing depends on these processes
        for actor in actors:
            ray.kill(actor)


def _replace() -> None:
    import ray

    if not _closing.wait(_QUIET) and not _running and ray.is_initialized():
        with suppress(Exception):
            _kill(_create())


def _import() -> None:
    """Import what the kernel needs to start an experiment, which takes over a second, before the user starts one."""
    import pandas  # noqa: F401
    import ray.tune  # noqa: F401

    import nbtune.engine.client.launch
    import nbtune.engine.search.algorithms
    import nbtune.engine.trial.payload  # noqa: F401


def _trial_environment() -> dict[str, str]:
    """Return the environment variables that Tune sets for trials (ray.tune.execution.class_cache)."""
    inherited = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
    return {
        "PL_DISABLE_FORK": "1",
        **environment.TRIAL_VARIABLES,
        **{name: os.environ[name] for name in inherited if name in os.environ},
    }
