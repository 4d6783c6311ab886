"""A source: where an experiment's events come from, and where commands go."""

from __future__ import annotations

from typing import Any, Protocol

from nbtune.engine.protocol.events import Chunk

__all__ = ["RefusedError", "Source", "SourceLostError", "StartError"]


class SourceLostError(Exception):
    """The driver, or the cluster it was on, is gone."""


class StartError(Exception):
    """The driver could not start the experiment."""


class RefusedError(Exception):
    """An order makes no sense for the trial or the experiment as it is."""


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

    def order(self, name: str, **arguments: Any) -> Any:
        """Give an order about a trial or the search, and return its outcome once it is carried out.

        Args:
            name: "stop_trial", "pause_trial" or "resume_trial", with `trial`; "add", with `config` and `start`;
                "extend", with `samples` and `trials`; "limit", with `number`.
            arguments: the order's own; see `nbtune.engine.tune.control.Control`.

        Raises:
            RefusedError: it makes no sense; the message says why.
            SourceLostError: nobody is there to carry it out.
        """
        ...

    def close(self) -> None:
        """Let go of it; there is nothing more to read."""
        ...
