"""From the kernel to the cluster and back: start a driver or find one, read its events, send it commands."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nbtune.engine._ray.core import actor_id
from nbtune.engine.driver.driver import Driver
from nbtune.engine.protocol.chunk import Chunk, decode
from nbtune.engine.protocol.commands import Command
from nbtune.engine.protocol.source import RefusedError, SourceLostError, StartError
from nbtune.engine.storage.launch_spec import Launch, Resume
from nbtune.engine.tune.groups import release

__all__ = ["Remote", "find", "found", "launch", "make_way", "resume"]

_SLOW = 10.0  # seconds more than it was to wait after which a driver is taken for slow
_HEAD = {"node:__internal_head__": 0.001}
"""What Ray's head node alone has: a driver must not go with a node that comes and goes."""


class Remote:
    """A driver on the cluster, as a `Source`.

    Args:
        driver: its actor handle.
        stored: returns the events in storage from a number on, for what a driver that has died was not asked.
        start: starts it for a reader, and returns the answers that the first read waits for; none if it runs already.
    """

    def __init__(
        self, driver: Any, stored: Callable[[int], list[Chunk]], start: Callable[[str], list[Any]] = lambda reader: []
    ) -> None:
        self._driver, self._stored = driver, stored
        self._reader = uuid.uuid4().hex
        self._started = start(self._reader)

    def read(self, since: int, timeout: float) -> list[Chunk]:
        """Return the events; see `nbtune.engine.protocol.source.Source`."""
        if not self._is_started(timeout):
            return []  # it goes on starting: the reader asks again, and can tell meanwhile
        try:
            answer = self._ask("events", since, timeout, self._reader, within=timeout + _SLOW)
        except TimeoutError:
            return []  # a driver that is slow, or out of reach for a while, is not lost
        except SourceLostError:
            rest: list[Chunk] = []
            with suppress(Exception):  # the storage may be gone as well
                rest = self._stored(since)
            if rest:
                return rest
            raise
        chunks = [chunk for data in answer for chunk in decode(data)]
        return [chunk.since(since) for chunk in chunks if chunk.end > since]

    def _is_started(self, timeout: float) -> bool:
        """Wait until its driver has begun, for some time; return whether it has.

        A driver may have to wait for its place as long as the cluster has none, so this does not end by itself.

        Args:
            timeout: seconds to wait.

        Raises:
            StartError: it cannot begin.
            SourceLostError: its cluster is gone.
        """
        if not self._started:
            return True
        if not ray.is_initialized():  # or Ray would start one of its own for the question
            raise SourceLostError("the cluster was shut down")
        try:
            ray.get(self._started, timeout=timeout)
        except GetTimeoutError as error:
            if not _cluster_there():  # Ray itself goes on asking
                raise SourceLostError("its cluster is gone") from error
            return False
        except RayTaskError as error:
            ray.kill(self._driver)
            raise StartError(f"the experiment could not start: {error.cause}") from error
        except RayActorError as error:
            raise StartError(f"the driver's process could not start: {error}") from error
        except Exception as error:
            if ray.is_initialized():
                raise
            raise SourceLostError("the cluster was shut down") from error
        self._started = []
        return True

    def send(self, command: Command) -> None:
        """Send a command; see `nbtune.engine.protocol.source.Source`."""
        self._ask("execute", command, within=30)

    def close(self) -> None:
        # It ends by itself once nobody reads.
        with suppress(SourceLostError, TimeoutError):
            self._ask("leave", self._reader, within=60)

    def _ask(self, method: str, *args: Any, within: float) -> Any:
        if not ray.is_initialized():  # or Ray would start one of its own for the question
            raise SourceLostError("the cluster was shut down")
        try:
            return ray.get(getattr(self._driver, method).remote(*args), timeout=within)
        except (ActorUnavailableError, GetTimeoutError) as error:
            if not _cluster_there():  # Ray itself goes on asking
                raise SourceLostError("its cluster is gone") from error
            raise TimeoutError(f"its driver has not answered within {within:g} s") from error
        except RayActorError as error:
            if _cluster_there():  # its table of groups would be waited for without end
                release(actor_id(self._driver))
            raise SourceLostError(str(error).strip().splitlines()[0]) from error
        except RayTaskError as error:
            if isinstance(error.cause, RefusedError):
                raise error.cause from None
            raise
        except Exception as error:
            if ray.is_initialized():
                raise
            raise SourceLostError("the cluster was shut down") from error


def _cluster_there() -> bool:
    """Tell whether anybody listens where the cluster's head was. Over Ray Client that is not known."""
    if ray.util.client.ray.is_connected():
        return True
    try:
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except Exception:  # nobody, or Ray was shut down meanwhile
        return False
    return True


def launch(
    start: Launch, large: Sequence[Any], namespace: str, stored: Callable[[int], list[Chunk]], **driver: Any
) -> Remote:
    """Start a driver on the connected cluster. Returns before it runs: its process may have to start.

    Args:
        start: what to run, but for its big values.
        large: the big values.
        namespace: the Ray namespace for the driver's name.
        stored: see `Remote`.
        driver: see `_driver`.
    """
    actor = _driver(start.folder, namespace, **driver)
    held = [actor.hold.remote(position, value) for position, value in enumerate(large)]
    return Remote(actor, stored, lambda reader: [*held, actor.start.remote(start, reader)])


def resume(how: Resume, namespace: str, stored: Callable[[int], list[Chunk]], **driver: Any) -> Remote:
    """Start a driver that goes on with an experiment.

    Args:
        how: with which, and how.
        namespace: the Ray namespace for the driver's name.
        stored: see `Remote`.
        driver: see `_driver`.
    """
    actor = _driver(how.folder, namespace, **driver)
    return Remote(actor, stored, lambda reader: [actor.resume.remote(how, reader)])


def _driver(
    folder: str,
    namespace: str,
    *,
    resources: Mapping[str, float] | None = None,
    node: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> Any:
    """Return a new driver. It is detached: it lives as long as its experiment, or its cluster.

    Args:
        folder: the experiment's folder, which is the driver's name: no second one can have it.
        namespace: the Ray namespace for its name.
        resources: custom resources of the nodes that it may go to; None for the head node.
        node: the id of the node that it has to run on, since its storage is there; None for any.
        variables: of the environment that it and its trials start in. Ray may log them.
    """
    options: dict[str, Any] = {"name": folder, "namespace": namespace, "lifetime": "detached", "num_cpus": 0}
    if resources or node is None:
        options["resources"] = dict(resources or _HEAD)
    else:
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    if variables:
        options["runtime_env"] = {"env_vars": dict(variables)}
    return ray.remote(Driver).options(**options).remote()


def found(namespace: str) -> list[str]:
    """Return the folders of the experiments that have a driver on the connected cluster."""
    named = ray.util.list_named_actors(all_namespaces=True)
    here = [entry["name"] for entry in named if entry["namespace"] == namespace]
    return sorted(name for name in here if not name.startswith("_"))  # those are helpers


def make_way(folder: str, namespace: str) -> None:
    """Wait until the driver of an experiment that is over has ended: the next one needs its name.

    Raises:
        SourceLostError: it does not end.
    """
    for _ in range(600):
        if folder not in found(namespace):
            return
        with suppress(RayActorError, ValueError):
            ray.get(ray.get_actor(folder, namespace).end.remote())
        time.sleep(0.05)
    raise SourceLostError("its earlier driver has not brought its log into storage yet")


def find(
    folder: str, namespace: str, stored: Callable[[Any, int], list[Chunk]]
) -> tuple[Remote, dict[str, Any]] | None:
    """Return a driver that runs already, with what it says of itself; None if there is none.

    Args:
        folder: the experiment's folder.
        namespace: the Ray namespace of the driver's name.
        stored: where it is kept, number -> the events in storage from that number on.
    """
    try:
        driver = ray.get_actor(folder, namespace)
    except ValueError:
        return None
    try:
        about = ray.get(driver.about.remote(), timeout=10)
    except (RayActorError, GetTimeoutError):
        return None
    return Remote(driver, lambda since: stored(about["where"], since)), about
