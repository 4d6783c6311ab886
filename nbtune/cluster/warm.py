"""Processes started ahead: the next driver and trials find theirs running, with Tune imported.

Ray starts a process for an actor when the actor is created, and gives an idle one to the next actor
with the same runtime environment, but only one that has not run a task. So actors that do nothing
are created and given up while their processes are still starting: the processes stay, idle. Where
that does not work, the trials start their own, as they would without this.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import Any

from nbtune.engine import environment

__all__ = ["began", "ended", "start"]

_MOST = 8  # processes; each holds some 200 MB
_STARTING = 0.35  # seconds: Ray has begun to start the process, which needs over a second
_QUIET = 1.0  # seconds after an experiment in which the next one may come at once
_slots = 0
_running = 0


class _Nothing:
    """An actor that is given up before it is there."""


def start(slots: int) -> None:
    """Start processes ahead on this machine's embedded cluster, from now on.

    Args:
        slots: how many trials run at once.
    """
    global _slots
    _slots = min(slots, _MOST)
    threading.Thread(target=_first, name="nbtune-warm", daemon=True).start()


def _first() -> None:
    _start_ahead(0.0)
    # The kernel's own part of a start, while the user still reads: over a second, Tune most of it, which
    # the space functions come from.
    import pandas  # noqa: F401
    import ray.tune  # noqa: F401

    import nbtune.engine.algorithms
    import nbtune.engine.launch
    import nbtune.engine.payload  # noqa: F401


def began() -> None:
    """Note that an experiment runs: its processes must not compete with others that start."""
    global _running
    _running += 1


def ended() -> None:
    """Note that an experiment is over, and start processes for the next one if no other runs."""
    global _running
    _running -= 1
    if _slots:
        threading.Thread(target=_start_ahead, args=(_QUIET,), name="nbtune-warm", daemon=True).start()


def _start_ahead(after: float) -> None:
    import ray

    time.sleep(after)
    if _running:
        return
    with suppress(Exception):  # the cluster may be going down; nothing depends on this
        options: list[dict[str, Any]] = [{"runtime_env": {"env_vars": _trial_environment()}}] * _slots + [{}]
        actors = [ray.remote(num_cpus=0, **option)(_Nothing).remote() for option in options]
        time.sleep(_STARTING)
        for actor in actors:
            ray.kill(actor)


def _trial_environment() -> dict[str, str]:
    """Return the environment variables that Tune gives its trials (ray.tune.execution.class_cache)."""
    handed_on = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
    return {
        "PL_DISABLE_FORK": "1",
        **environment.TRIAL,
        **{name: os.environ[name] for name in handed_on if name in os.environ},
    }
