"""The drivers on the connected cluster: finds those that run, and names those that do not work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError

from nbtune.engine.client.launch import Remote
from nbtune.engine.driver.info import DriverInfo
from nbtune.engine.protocol.chunk import Chunk
from nbtune.engine.protocol.source import SourceLostError
from nbtune.engine.storage.storage import Storage

__all__ = ["BrokenDriver", "driver_names", "end_driver", "find", "find_all"]

_FIND_TIMEOUT = 10.0  # seconds for the answers of all drivers that are looked for


def driver_names(namespace: str) -> list[str]:
    """Return the names of the drivers on the connected cluster.

    Args:
        namespace: the Ray namespace of the drivers' names.
    """
    named = ray.util.list_named_actors(all_namespaces=True)
    names = [entry["name"] for entry in named if entry["namespace"] == namespace]
    return sorted(name for name in names if not name.startswith("_"))  # those are nbtune's other actors


def end_driver(name: str, namespace: str) -> None:
    """End the driver of an experiment that is over, if it still runs: the next driver needs its name.

    Args:
        name: the name of its actor.
        namespace: the Ray namespace of that name.

    Raises:
        SourceLostError: it does not exit within 30 seconds.
    """
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if name not in driver_names(namespace):
            return
        with suppress(RayActorError, GetTimeoutError, ValueError):
            ray.get(ray.get_actor(name, namespace).exit.remote(), timeout=5)
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


def find(name: str, namespace: str, stored: Callable[[Storage, int], list[Chunk]]) -> tuple[Remote, DriverInfo] | None:
    """Return the running driver of an experiment and what it runs; None if there is none, or it does not answer.

    Args:
        name: the name of the driver's actor.
        namespace: the Ray namespace of that name.
        stored: (the experiment's folder, number) -> the events in storage from that number on.
    """
    (found,) = find_all([name], namespace, stored)
    return None if isinstance(found, BrokenDriver) else found


def find_all(
    names: Sequence[str], namespace: str, stored: Callable[[Storage, int], list[Chunk]]
) -> list[tuple[Remote, DriverInfo] | BrokenDriver | None]:
    """Return for each name the running driver and what it runs; or None if it has ended or not started; or its problem.

    All are asked at once, so that those that do not answer take a few seconds together.

    Args:
        names: the names of the drivers' actors.
        namespace: the Ray namespace of these names.
        stored: as for `find`.
    """
    asked: dict[str, tuple[Any, Any]] = {}
    found: dict[str, tuple[Remote, DriverInfo] | BrokenDriver | None] = {}
    for name in names:
        found[name] = None
        try:
            driver: Any = ray.get_actor(name, namespace)
            asked[name] = driver, driver.info.remote()
        except ValueError:
            continue
        except Exception as error:  # an actor of any other program may have this name
            found[name] = BrokenDriver(name, f"it is not a driver of this version of nbtune: {_line(error)}")
    deadline = time.monotonic() + _FIND_TIMEOUT
    for name, (driver, reference) in asked.items():
        try:
            answer = ray.get(reference, timeout=max(0.0, deadline - time.monotonic()))
        except (GetTimeoutError, ActorUnavailableError):
            found[name] = BrokenDriver(name, "its driver does not answer")
        except RayActorError:
            continue  # it has ended
        except Exception as error:  # its answer cannot be unpickled, for instance
            found[name] = BrokenDriver(name, f"it is not a driver of this version of nbtune: {_line(error)}")
        else:
            if answer is None:  # it has not started its experiment yet
                continue
            if not isinstance(answer, DriverInfo) or not isinstance(getattr(answer, "where", None), Storage):
                found[name] = BrokenDriver(
                    name, "it is not a driver of this version of nbtune: its answer is not known here"
                )
                continue
            found[name] = Remote(driver, partial(stored, answer.where)), answer
    return [found[name] for name in names]


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1]}"[:200]
