"""A source: where an experiment's events come from, and where commands go."""

from __future__ import annotations

from typing import Protocol

from nbtune.engine.events import Chunk

__all__ = ["Source", "SourceLostError", "StartError"]


class SourceLostError(Exception):
    """The driver, or the cluster it was on, is gone."""


class StartError(Exception):
    """The driver could not start the experiment."""


class Source(Protocol):
    """What the reader in the kernel reads: a driver on the cluster, a stored log, a recording."""

    def read(self, since: int, timeout: float) -> list[Chunk]:
        """Return the events from number `since` on; wait up to `timeout` seconds for one.

        Raises:
            StartError: the experiment could not start.
            SourceLostError: there is nothing to read from any more.
        """
        ...

    def stop(self) -> None:
        """Ask for the end of the experiment."""
        ...

    def stop_trial(self, number: int) -> None:
        """Ask for the end of one trial."""
        ...

    def close(self) -> None:
        """Let go of it; there is nothing more to read."""
        ...
