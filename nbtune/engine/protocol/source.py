"""Sources: where an experiment's events come from, and where its commands go."""

from __future__ import annotations

from typing import Protocol

from nbtune.engine.protocol.chunk import Chunk
from nbtune.engine.protocol.commands import Command

__all__ = ["ElsewhereError", "OverError", "RefusedError", "Source", "SourceLostError", "StartError"]


class SourceLostError(Exception):
    """The driver, or its cluster, no longer exists."""


class ElsewhereError(SourceLostError):
    """The experiment runs, or may run, on another cluster. The message says where."""


class StartError(Exception):
    """The driver could not start the experiment."""


class RefusedError(Exception):
    """A command cannot be executed for the trial or the experiment in its present state."""


class OverError(RefusedError):
    """A command cannot be executed, since the experiment is over."""


class Source(Protocol):
    """What the kernel reads an experiment's events from: a driver on the cluster, a stored log or a recording."""

    def read(self, since: int, timeout: float) -> list[Chunk]:
        """Return the events from number `since` on. Wait for one if there is none yet.

        Args:
            since: the number of the first event.
            timeout: seconds to wait. After that the list is empty.

        Raises:
            StartError: the experiment could not start.
            SourceLostError: there is nothing left to read from.
        """
        ...

    def send(self, command: Command) -> None:
        """Send a command, and return once it is executed; once it is received, if it ends the experiment.

        Args:
            command: what to do.

        Raises:
            RefusedError: it cannot be executed; the message says why.
            SourceLostError: there is no driver that could execute it.
            TimeoutError: the driver has not answered in time.
        """
        ...

    def close(self) -> None:
        """Release the source; nothing more is read. May be called more than once."""
        ...
