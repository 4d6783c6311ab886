"""Drivers as the kernel sees them: starts a driver, reads its events, sends it commands."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RaySystemError, RayTaskError

from nbtune.engine._ray.core import actor_id
from nbtune.engine.client.processes import Placement, give_back, take
from nbtune.engine.protocol.chunk import Chunk, decode
from nbtune.engine.protocol.commands import Command
from nbtune.engine.protocol.driver_of import DriverOf
from nbtune.engine.protocol.source import ElsewhereError, RefusedError, SourceLostError, StartError
from nbtune.engine.storage.launch_spec import Launch, Resume
from nbtune.engine.storage.lease import LeaseLostError
from nbtune.engine.tune.groups import release

__all__ = ["Remote", "launch", "resume"]

_EXTRA_TIMEOUT = 10.0  # seconds that a driver may need in addition to those that it waits for events
_DISCONNECTED = "the cluster was shut down"


class Remote:
    """A driver on the cluster, as a `Source`.

    Args:
        driver: the driver.
        stored: returns the events in storage from a number on. It is called if the driver has died.
        start: starts the driver for a reader; returns Ray's references that are ready when it has started. None are
            returned for a driver that already runs.

    Attributes:
        driver: as given.
    """

    def __init__(
        self,
        driver: DriverOf,
        stored: Callable[[int], list[Chunk]],
        start: Callable[[str], list[Any]] = lambda reader: [],
    ) -> None:
        self.driver, self._stored = driver, stored
        self._reader = uuid.uuid4().hex
        self._started = start(self._reader)

    def read(self, since: int, timeout: float) -> list[Chunk]:
        """Return the events; see `nbtune.engine.protocol.source.Source`."""
        if not self._is_started(timeout):
            return []  # it is still starting; the reader calls again
        try:
            answer = self._call("events", since, timeout, self._reader, timeout=timeout + _EXTRA_TIMEOUT)
        except TimeoutError:
            return []  # a driver that is slow, or unreachable for a while, is not lost
        except SourceLostError:
            remaining: list[Chunk] = []
            with suppress(Exception):  # the storage may be gone as well
                remaining = self._stored(since)
            if remaining:
                return remaining
            raise
        chunks = [chunk for data in answer for chunk in decode(data)]
        return [chunk.since(since) for chunk in chunks if chunk.end > since]

    def _is_started(self, timeout: float) -> bool:
        """Wait for the driver to start; return whether it has.

        A driver waits as long as the cluster has no resources for it, so this has a timeout.

        Args:
            timeout: seconds to wait.

        Raises:
            StartError: it cannot start.
            SourceLostError: its cluster is gone, or another driver has taken the experiment over.
        """
        if not self._started:
            return True
        try:
            _get(lambda: self._started, timeout, (GetTimeoutError,))
        except TimeoutError:
            return False
        except RayTaskError as error:
            ray.kill(self.driver.actor)
            if isinstance(error.cause, LeaseLostError):
                raise ElsewhereError(str(error.cause)) from error
            raise StartError(f"the experiment could not start: {_reason(error.cause)}") from error
        except RayActorError as error:
            raise StartError(f"the driver's process could not start: {error}") from error
        self._started = []
        return True

    def send(self, command: Command) -> None:
        """Send a command; see `nbtune.engine.protocol.source.Source`."""
        self._call("execute", command, timeout=30)

    def close(self) -> None:
        # The driver exits when it has no reader.
        with suppress(SourceLostError, TimeoutError):
            self._call("leave", self._reader, timeout=60)

    def _call(self, method: str, *args: Any, timeout: float) -> Any:
        """Call a method of the driver; return its result.

        Args:
            method: the method's name.
            args: its arguments.
            timeout: seconds to wait for the result.

        Raises:
            TimeoutError: there is no result yet.
            RefusedError: a command cannot be executed.
            SourceLostError: the driver or its cluster is gone.
        """
        try:
            return _get(lambda: self.driver.call(method, *args), timeout, (ActorUnavailableError, GetTimeoutError))
        except RayActorError as error:
            if _is_cluster_alive():  # otherwise removing the groups would wait forever
                release(actor_id(self.driver.actor))
            raise SourceLostError(str(error).strip().splitlines()[0]) from error
        except RayTaskError as error:
            if isinstance(error.cause, (RefusedError, SourceLostError)):
                raise error.cause from None
            raise


def _reason(cause: Any) -> str:
    """Return why a driver could not start.

    Args:
        cause: the cause of Ray's error: an exception of the driver, or of Ray when it reads what the driver gets.
    """
    if not isinstance(cause, RaySystemError):
        return str(cause)
    # Ray's message has a traceback, at whose end is what an object of the user has raised.
    summary = str(cause).strip().splitlines()[-1]
    return f"an object among its options or in its space cannot be read in the driver's process: {summary}"


def _get(references: Callable[[], Any], timeout: float, timeouts: tuple[type[Exception], ...]) -> Any:
    """Return what `ray.get` returns.

    Args:
        references: returns what to get.
        timeout: seconds to wait.
        timeouts: Ray's exceptions that mean that there is no result yet.

    Raises:
        TimeoutError: there is no result yet.
        SourceLostError: the cluster is gone, or the kernel is not connected to it any more.
    """
    if not ray.is_initialized():  # Ray would start a cluster of its own
        raise SourceLostError(_DISCONNECTED)
    try:
        return ray.get(references(), timeout=timeout)
    except timeouts as error:
        if not _is_cluster_alive():  # Ray itself would wait forever
            raise SourceLostError("its cluster is gone") from error
        raise TimeoutError(f"the driver has not answered within {timeout:g} s") from error
    except (RayActorError, RayTaskError):
        raise
    except Exception as error:
        if ray.is_initialized():
            raise
        raise SourceLostError(_DISCONNECTED) from error


def _is_cluster_alive() -> bool:
    """Return whether the head node of the cluster accepts connections. With Ray Client that is unknown, and assumed."""
    if ray.util.client.ray.is_connected():
        return True
    try:
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except Exception:  # no connection, or Ray was shut down meanwhile
        return False
    return True


def launch(
    start: Launch, large: Sequence[Any], namespace: str, stored: Callable[[int], list[Chunk]], placement: Placement
) -> tuple[Remote, Callable[[], None]]:
    """Start a driver of a new experiment on the connected cluster. Returns before its process has started.

    Args:
        start: what to run, without its large values.
        large: the large values.
        namespace: the Ray namespace of the names of the processes.
        stored: as for `Remote`.
        placement: where the driver has to run.

    Returns:
        The driver, and what to call when the experiment is over.
    """
    return _begin(start.metadata["id"], "start", start, large, namespace, stored, placement)


def resume(
    how: Resume, large: Sequence[Any], namespace: str, stored: Callable[[int], list[Chunk]], placement: Placement
) -> tuple[Remote, Callable[[], None]]:
    """Start a driver that resumes an experiment. Returns before its process has started.

    Args:
        how: which experiment, and how.
        large: the large values of the code that replaces the stored one.
        namespace: the Ray namespace of the names of the processes.
        stored: as for `Remote`.
        placement: where the driver has to run.

    Returns:
        As for `launch`.
    """
    return _begin(how.metadata["id"], "resume", how, large, namespace, stored, placement)


def _begin(
    experiment: str,
    method: str,
    what: Launch | Resume,
    large: Sequence[Any],
    namespace: str,
    stored: Callable[[int], list[Chunk]],
    placement: Placement,
) -> tuple[Remote, Callable[[], None]]:
    process = take(namespace, placement)
    driver = DriverOf(process.actor, experiment, process.name)
    transfers = [driver.call("put_large", position, value) for position, value in enumerate(large)]
    remote = Remote(driver, stored, lambda reader: [*transfers, driver.call(method, what, reader)])
    return remote, partial(give_back, process)
