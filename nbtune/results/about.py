"""An experiment as a whole: its name, its status, and what it was started with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtune.errors import ExperimentError
from nbtune.results.data import dataset_infos
from nbtune.results.failures import failure_frame
from nbtune.results.progress import time_left
from nbtune.results.store import ENDED, Store
from nbtune.spec.options.datasets import DatasetInfo
from nbtune.spec.plan.eta import TimeLeft
from nbtune.spec.plan.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

    from nbtune.engine.storage.storage import Storage
    from nbtune.space import Space

__all__ = ["About"]


class About:
    """The attributes of an experiment as a whole."""

    _store: Store
    _plan: Plan | None
    _where: Storage | None

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._store.metadata.get("name", "experiment"))

    @property
    def path(self) -> str:
        """Its folder in storage; `nbtune.load` opens it."""
        return str(self._store.metadata.get("path", ""))

    @property
    def where(self) -> Storage | None:
        """Its folder in storage, with its filesystem; None if it has none."""
        if self._where is None and self.path:
            from nbtune.engine.storage.storage import Storage

            self._where = Storage(self.path)
        return self._where

    @property
    def status(self) -> str:
        """Return "pending", "running", "finished", "stopped", "failed", "lost", "running elsewhere" or "unread".

        It is "lost" if its driver or its cluster is gone, "running elsewhere" if its driver is on another cluster, and
        "unread" if nbtune has failed to read its events; `error` has the reason.
        """
        return self._store.status

    @property
    def plan(self) -> Plan | None:
        """The plan before it was started or resumed: how many trials, how many at once, and what limits that."""
        return self._store.metadata.get("plan", self._plan)

    @property
    def time_left(self) -> TimeLeft | None:
        """The estimated remaining time in seconds, with its spread, from the durations of the trials so far.

        None while no trial is over, and when the experiment is over.
        """
        return time_left(self._store) if self.status not in ENDED else None

    @property
    def datasets(self) -> dict[str, DatasetInfo]:
        """The data sets that the option `datasets` has named: name -> its schema and size, as far as they are known."""
        return dataset_infos(self._store.metadata)

    @property
    def failures(self) -> pd.DataFrame:
        """One row for each cause for which trials have failed, the most frequent one first.

        Exceptions of one type from one line of the user's code are one cause. Columns: `cause`, "exception", "out of
        memory", "process died", "node lost" or "time-out"; `exception`, its name, or how the process has ended;
        `count`; `trials`, their ids; `file`, `line` and `text`, the line of the user's code that has raised it or has
        called the library that has; `error` and `traceback` of the first trial; `advice`, what can be done. Trials of
        which a retry has succeeded do not count.
        """
        return failure_frame(self._store.states())

    @property
    def source(self) -> str:
        """The text of its cell or function."""
        return str(self._store.metadata.get("source", ""))

    @property
    def notebook(self) -> str:
        """The id of the notebook in which it was started; empty if that is unknown."""
        return str(self._store.metadata.get("notebook", ""))

    @property
    def space(self) -> Space:
        """Its search space. Classes and functions in it are represented by their names, and expressions that call
        functions of the notebook are shown, but cannot be sampled.

        Raises:
            ExperimentError: it was not started by nbtune, so its space is not stored.
        """
        from nbtune.space import Space
        from nbtune.spec.space.json import space_from_json

        definition = self._store.metadata.get("definition")
        if definition is None:
            raise ExperimentError(f"{self.name} was not started by nbtune: its folder has no search space")
        return Space.from_spec(space_from_json(definition, display_only=True))

    @property
    def error(self) -> str | None:
        """Why the experiment as a whole failed, was lost or is unread, in one line; else None."""
        return self._store.metadata.get("error")

    @property
    def traceback(self) -> str | None:
        """The full text of an error of the experiment, its driver or nbtune, but not of a trial; None without one."""
        return self._store.metadata.get("traceback")
