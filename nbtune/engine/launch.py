"""From the kernel to the cluster and back: start a driver, read its events, send it commands."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import ray
from ray import PlacementGroupID
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayTaskError
from ray.util.placement_group import PlacementGroup

from nbtune.engine.driver import Driver, Launch
from nbtune.engine.events import Chunk, decode
from nbtune.engine.source import SourceLostError, StartError

__all__ = ["Remote", "launch"]


class Remote:
    """A driver on the cluster, as a `Source`.

    Args:
        driver: its actor handle.
        started: the answer to its `start`, which the first read waits for.
    """

    def __init__(self, driver: Any, started: Any) -> None:
        self._driver, self._started = driver, started

    def read(self, since: int, timeout: float) -> list[Chunk]:
        """Return the events; see `nbtune.engine.source.Source`."""
        if self._started is not None:
            try:
                ray.get(self._started)
            except RayTaskError as error:
                raise StartError(f"the experiment could not start: {error.cause}") from error
            except RayActorError as error:
                raise StartError(f"the driver's process could not start: {error}") from error
            self._started = None
        try:
            answer = self._ask("events", since, timeout, within=timeout + 30)
        except TimeoutError:
            return []  # a driver that is slow, or out of reach for a while, is not lost
        chunks = [chunk for data in answer for chunk in decode(data)]
        return [chunk.since(since) for chunk in chunks if chunk.end > since]

    def stop(self) -> None:
        self._ask("stop", within=30)

    def stop_trial(self, number: int) -> None:
        self._ask("stop_trial", number, within=30)

    def close(self) -> None:
        with suppress(SourceLostError, TimeoutError):
            self._ask("finish", within=60)
        ray.kill(self._driver)

    def _ask(self, method: str, *args: Any, within: float) -> Any:
        if not ray.is_initialized():  # or Ray would start one of its own for the question
            raise SourceLostError("the cluster was shut down")
        try:
            return ray.get(getattr(self._driver, method).remote(*args), timeout=within)
        except (ActorUnavailableError, GetTimeoutError) as error:
            if not _reachable():
                raise SourceLostError("the cluster is no more") from error
            raise TimeoutError(f"its driver has not answered within {within:g} s") from error
        except RayActorError as error:
            _release(self._driver)
            raise SourceLostError(str(error).strip().splitlines()[0]) from error
        except Exception as error:
            if ray.is_initialized():
                raise
            raise SourceLostError("the cluster was shut down") from error


def _reachable() -> bool:
    """Tell whether the cluster is there at all: Ray itself waits for it, for as long as it is told to."""
    if ray.util.client.ray.is_connected():  # the address is the cluster's own, and Ray Client notices by itself
        return True
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def _release(driver: Any) -> None:
    """Give back the resources that a driver that died has held for its trials.

    Ray ends its trials' processes with it, but keeps its placement groups until the whole job ends, and with
    them the CPUs. Who made a group is in none of Ray's public tables, only in the one behind them.
    """
    if not _reachable():  # the table would be waited for without end
        return
    with suppress(Exception):
        from ray._private.state import state
        from ray.core.generated.gcs_pb2 import PlacementGroupTableData

        for record in state._connect_and_get_accessor().get_placement_group_table():
            group = PlacementGroupTableData.FromString(record)
            if group.creator_actor_id == driver._actor_id.binary():
                handle = PlacementGroup(PlacementGroupID(group.placement_group_id))
                ray.util.remove_placement_group(handle)


def launch(start: Launch, large: Sequence[Any], namespace: str) -> Remote:
    """Start a driver on the connected cluster. Returns before it runs: its process may have to start.

    Args:
        start: what to run, but for `large`.
        large: the values to put into the object store, once.
        namespace: the Ray namespace for the driver's name.
    """
    driver = ray.remote(num_cpus=0)(Driver).options(name=start.folder, namespace=namespace).remote()
    start.large.extend(ray.put(value) for value in large)
    return Remote(driver, driver.start.remote(start))
