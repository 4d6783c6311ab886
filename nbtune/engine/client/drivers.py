"""The drivers on the connected cluster: finds those that run, and names those that do not work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayTaskError

from nbtune.engine.client.launch import Remote
from nbtune.engine.driver.info import DriverInfo
from nbtune.engine.protocol.chunk import Chunk
from nbtune.engine.protocol.driver_of import DriverOf
from nbtune.engine.protocol.source import SourceLostError
from nbtune.engine.storage.storage import Storage

__all__ = ["BrokenDriver", "Found", "ask", "driver_names", "end_driver", "find"]

_FIND_TIMEOUT = 10.0  # seconds for the answers of all drivers that are looked for


def driver_names(namespace: str) -> list[str]:
    """Return the names of the drivers' processes on the connected cluster, including those that run nothing.

    Args:
        namespace: the Ray namespace of the drivers' names.
    """
    named = ray.util.list_named_actors(all_namespaces=True)
    names = [entry["name"] for entry in named if entry["namespace"] == namespace]
    return sorted(name for name in names if not name.startswith("_"))  # those are nbtune's other actors


def end_driver(remote: Remote) -> None:
    """Let the driver of an experiment that is over end, so that the next one can take the experiment over.

    Args:
        remote: the driver.

    Raises:
        SourceLostError: it does not end within 30 seconds.
    """
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(GetTimeoutError):
            try:
                ray.get(remote.driver.call("dismiss"), timeout=5)
            except (RayActorError, RayTaskError):  # its process has ended, or does not know it any more
                return
        time.sleep(0.05)
    raise SourceLostError("its earlier driver is still writing its log into storage: try this again later")


@dataclass(frozen=True)
class BrokenDriver:
    """An actor among the drivers that does not work as one.

    Attributes:
        name: the actor's name.
        reason: one line.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What `find` has found.

    Attributes:
        drivers: the drivers with what they run, in the order of their experiments' folders.
        broken: the actors that do not work.
    """

    drivers: list[tuple[Remote, DriverInfo]]
    broken: list[BrokenDriver]


def find(
    namespace: str,
    stored: Callable[[Storage, int], list[Chunk]],
    wanted: Callable[[DriverInfo], bool] = lambda info: True,
) -> Found:
    """Return the drivers on the connected cluster that run an experiment, or have readers of one that is over.

    Args:
        namespace: the Ray namespace of the names of their processes.
        stored: (the experiment's folder, number) -> the events in storage from that number on.
        wanted: whether to return the driver of an experiment.
    """
    found, broken = [], []
    for name, answer in ask(driver_names(namespace), namespace).items():
        if isinstance(answer, BrokenDriver):
            broken.append(answer)
        elif answer is not None and wanted(answer[1]):
            actor, info = answer
            found.append((Remote(DriverOf(actor, info.experiment, name), partial(stored, info.where)), info))
    return Found(sorted(found, key=lambda one: one[1].where.name), broken)


def ask(names: Sequence[str], namespace: str) -> dict[str, tuple[Any, DriverInfo] | BrokenDriver | None]:
    """Ask the processes of drivers what they run.

    All are asked at once, so that those that do not answer take a few seconds together.

    Args:
        names: the names of the actors.
        namespace: the Ray namespace of these names.

    Returns:
        For each name the actor's handle and what it runs; None if it has ended or runs nothing; or its problem.
    """
    asked: dict[str, tuple[Any, Any]] = {}
    found: dict[str, tuple[Any, DriverInfo] | BrokenDriver | None] = {}
    for name in names:
        found[name] = None
        try:
            actor: Any = ray.get_actor(name, namespace)
            asked[name] = actor, actor.info.remote()
        except ValueError:
            continue
        except Exception as error:  # an actor of any other program may have this name
            found[name] = BrokenDriver(name, f"it is not a driver of this version of nbtune: {_line(error)}")
    deadline = time.monotonic() + _FIND_TIMEOUT
    for name, (actor, reference) in asked.items():
        try:
            answer = ray.get(reference, timeout=max(0.0, deadline - time.monotonic()))
        except (GetTimeoutError, ActorUnavailableError):
            found[name] = BrokenDriver(name, "its driver does not answer")
        except RayActorError:
            continue  # it has ended
        except Exception as error:  # its answer cannot be unpickled, for instance
            found[name] = BrokenDriver(name, f"it is not a driver of this version of nbtune: {_line(error)}")
        else:
            if answer is None:  # it runs no experiment
                continue
            if not isinstance(answer, DriverInfo) or not isinstance(getattr(answer, "where", None), Storage):
                found[name] = BrokenDriver(
                    name, "it is not a driver of this version of nbtune: its answer is not known here"
                )
                continue
            found[name] = actor, answer
    return found


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1]}"[:200]
