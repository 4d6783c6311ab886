"""What is known of an experiment as a whole: its name, its state, what it was started with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtune.errors import ExperimentError
from nbtune.results.progress import time_left
from nbtune.results.store import ENDED, Store
from nbtune.spec.plan.eta import TimeLeft
from nbtune.spec.plan.plan import Plan

if TYPE_CHECKING:
    from nbtune.engine.storage.storage import Storage
    from nbtune.space import Space

__all__ = ["About"]


class About:
    """What the log tells of an experiment as a whole."""

    _store: Store
    _plan: Plan | None
    _where: Storage | None

    @property
    def name(self) -> str:
        """The name that it was given."""
        return str(self._store.metadata.get("name", "experiment"))

    @property
    def path(self) -> str:
        """Its folder in storage; `nbtune.load` opens it."""
        return str(self._store.metadata.get("path", ""))

    @property
    def where(self) -> Storage | None:
        """Its folder in storage, with what opens it; None where it has none."""
        if self._where is None and self.path:
            from nbtune.engine.storage.storage import Storage

            self._where = Storage(self.path)
        return self._where

    @property
    def status(self) -> str:
        """Return "pending", "running", "finished", "stopped", "failed", "lost" or "unread".

        It is "lost" where its driver or its cluster is gone, and "unread" where nbtune itself has failed to read
        what its driver tells; `error` says why.
        """
        return self._store.status

    @property
    def plan(self) -> Plan | None:
        """What was planned before it started, or went on: how many trials, how many at once, limited by what."""
        found = self._store.metadata.get("plan")
        return Plan.from_json(found) if found is not None else self._plan

    @property
    def time_left(self) -> TimeLeft | None:
        """The seconds that it may have left, with their spread: from how long its trials have taken so far.

        None while none of them is over, and when it is.
        """
        return time_left(self._store) if self.status not in ENDED else None

    @property
    def source(self) -> str:
        """The text of the cell or function that it runs."""
        return str(self._store.metadata.get("source", ""))

    @property
    def space(self) -> Space:
        """The search space that it was started with. Classes and functions in it are there by their names only, and
        expressions that call the notebook's functions are shown, but cannot be sampled.

        Raises:
            ExperimentError: it is one of Ray Tune's, which keeps no space.
        """
        from nbtune.space import Space
        from nbtune.spec.space.json import space_from_json

        kept = self._store.metadata.get("definition")
        if kept is None:
            raise ExperimentError(f"{self.name} was not started by nbtune: its folder does not say what its space was")
        return Space.from_spec(space_from_json(kept, display_only=True))

    @property
    def error(self) -> str | None:
        """Why the experiment as a whole failed, was lost or is unread, or None; a trial has its own."""
        return self._store.metadata.get("error")

    @property
    def traceback(self) -> str | None:
        """The whole text of an error that is not a trial's but of the experiment, its driver or nbtune; or None."""
        return self._store.metadata.get("traceback")
