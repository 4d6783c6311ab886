"""The handle on an experiment: its state and results at any time, and its controls."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.source import Source
from nbtune.errors import ExperimentError, did_you_mean
from nbtune.results.controls import Controls
from nbtune.results.listeners import Listeners
from nbtune.results.reader import Reader
from nbtune.results.store import ENDED, Store
from nbtune.results.trial import Trial
from nbtune.spec.plan.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

    from nbtune.engine.storage.storage import Storage
    from nbtune.views.live.dashboard import Dashboard

__all__ = ["Experiment"]


class Experiment(Controls):
    """An experiment, running or over.

    Made by `nbtune.tune`, ``%%tune``, `nbtune.load` and `nbtune.testing.replay`; not by hand.

    Args:
        source: where its events come from.
        plan: what was planned before it started, or None.
        where: its folder in storage; None where its events say it.
        on_end: called once when it is over.
        metadata: what is known of it before its first event.
        fixed: which of these its events do not change.
        resume: starts it again from its storage, see `nbtune.launch.resume.resume_experiment`; None where it cannot be.
    """

    def __init__(
        self,
        source: Source,
        *,
        plan: Plan | None = None,
        where: Storage | None = None,
        on_end: Callable[[], None] = lambda: None,
        metadata: Metadata | None = None,
        fixed: tuple[str, ...] = (),
        resume: Callable[..., tuple[Source, Callable[[], None]]] | None = None,
    ) -> None:
        self._plan = plan
        self._source, self._where, self._on_end, self._go_on = source, where, on_end, resume
        self._store = Store(metadata, fixed)
        self._listeners = Listeners()
        self._selection: list[int] = []
        self._dashboard: Dashboard | None = None
        self._resuming = threading.Lock()  # held by the one call that begins it again
        self._reader = Reader(self._store, self._listeners)
        self._reader.start(source, self._ended)

    # -- what it is -------------------------------------------------------------------------------

    @property
    def trials(self) -> dict[int, Trial]:
        """Every trial by its id."""
        return {state.number: Trial(self, state.number) for state in self._store.states()}

    @property
    def best(self) -> Trial | None:
        """The trial whose last value of the metric is best, or None where there is none.

        It is judged by the last value, as Ray Tune judges (ResultGrid.get_best_result) and as `df`
        shows; failed trials, NaN and infinity do not count.
        """
        state = self._store.best()
        return Trial(self, state.number) if state else None

    @property
    def df(self) -> pd.DataFrame:
        """One row for each trial, at any time.

        The index "trial" is the trial's id. Columns: `status`; each parameter under its own name; the
        last value of each metric; `iterations`, how many reports; `time_s`, seconds of training;
        `checkpoint`, the path of the latest; `error`, one line. A parameter whose name a metric also
        has becomes ``config/NAME``.
        """
        return self._store.frame()

    @property
    def history(self) -> pd.DataFrame:
        """One row for each report, in the order in which they came: trial, iteration, time_s, metrics.

        Reports that a retry from a checkpoint has made again are there once, as they were the last time.
        """
        return self._store.reports.history()

    @property
    def selected(self) -> pd.DataFrame:
        """The rows of `df` that are selected in the dashboard: in its curves, its table or by brushing.

        It can be set: to trials' ids, or to a part of `df`, ``exp.selected = exp.df.query("lr < 0.01")``.

        Raises:
            ExperimentError: one of the ids that it is set to is no trial's.
        """
        frame = self.df
        return frame[frame.index.isin(self._selection)]

    @selected.setter
    def selected(self, trials: Iterable[int]) -> None:
        import pandas as pd

        ids = [int(number) for number in (trials.index if isinstance(trials, pd.DataFrame) else trials)]
        known = self._store.trials
        if unknown := [number for number in ids if number not in known]:
            raise ExperimentError(
                f"{self.name} has no trial {unknown[0]}; it has {len(known)}, numbered from 0: see {self.name}.df.index"
            )
        self.select(ids)
        if self._dashboard is not None:
            self._dashboard.select(self._selection)

    def select(self, trials: Iterable[int]) -> None:
        """Take what was selected in a view."""
        self._selection = sorted(set(trials))

    @property
    def dashboard(self) -> Dashboard:
        """The live view: what a ``%%tune`` cell shows. Display it in as many places as you like."""
        if self._dashboard is None:
            from nbtune.views.live.dashboard import Dashboard

            self._dashboard = Dashboard(self, self._store)
        return self._dashboard

    @property
    def results(self) -> Any:
        """The experiment as Ray Tune's own `ray.tune.ResultGrid`, read from its folder.

        Raises:
            ExperimentError: it still runs; `df` and `history` are there all the time.
        """
        if self.status not in ENDED:
            raise ExperimentError(
                f"{self.name} is {self.status}: results come at its end; use df and history until then"
            )
        from nbtune.engine.client.stored import result_grid

        metadata = self._store.metadata
        if self.where is None:
            raise ExperimentError(f"{self.name} is not in storage: there are no results of Ray Tune's")
        return result_grid(self.where, metadata.get("metric"), metadata.get("mode"))

    def to_optuna(self) -> Any:
        """Return an `optuna.Study` with every trial, so that all of optuna's tools work on it.

        Finished trials are complete, those that were stopped early are pruned, with all their
        reports as intermediate values.

        Raises:
            ExperimentError: the experiment has no metric.
        """
        from nbtune.results.analysis import to_study

        return to_study(self._store)

    def plot(self, kind: str = "curves", **options: Any) -> Any:
        """Return a plotly figure, drawn by optuna.

        Args:
            kind: "curves" (the metric over iterations), "history" (over trials), "parallel", "slice",
                "contour", "rank", "importance", "timeline" or "edf".
            options: what optuna's function takes, ``params=["lr"]`` for instance.

        Raises:
            ExperimentError: there is no such kind, or nothing to draw yet.
        """
        from nbtune.results.analysis import plot

        return plot(self._store, kind, options)

    @property
    def over(self) -> bool:
        """Whether it has come to its end, and all its events are here."""
        return self._reader.over.is_set()

    # -- waiting ----------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> Experiment:
        """Wait until it is over; return itself. Interrupting stops the waiting, not the experiment.

        Args:
            timeout: seconds, or None for as long as it takes.

        Raises:
            TimeoutError: it is not over by then.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not self._reader.over.is_set():
            rest = 0.2 if until is None else min(0.2, until - time.monotonic())
            if rest <= 0:
                raise TimeoutError(f"{self.name} is still {self.status} after {timeout:g} s")
            self._reader.over.wait(rest)  # short, so that an interrupt comes through at once
        return self

    def arrive(self, timeout: float = 30) -> None:
        """Wait until the first events are here, or nothing more will come.

        Args:
            timeout: seconds to wait, at most.
        """
        self._reader.arrived.wait(timeout)

    def __await__(self) -> Generator[Any, None, Experiment]:
        return asyncio.get_running_loop().run_in_executor(None, self.wait).__await__()

    def _begin_again(self, **how: Any) -> None:
        if self._go_on is None or self.where is None:
            raise ExperimentError(f"{self.name} cannot be resumed: it has no storage of its own")
        if not self._resuming.acquire(blocking=False):
            raise ExperimentError(f"{self.name} is being resumed at this moment: try this again once it runs")
        try:
            if self.status not in ENDED:  # somebody else was quicker
                raise ExperimentError(f"{self.name} was resumed a moment ago and is {self.status}: try this again")
            self.wait()  # the reader has still to let go of what was before
            self._source, self._on_end = self._go_on(self.where, **how)
            self._store.reset()
            self._reader.start(self._source, self._ended)
        finally:
            self._resuming.release()
        if self._dashboard is not None:
            self._dashboard.follow()
        self._listeners.tell()

    def _ended(self) -> None:
        """Say that it is over. Its reader holds this method, and so the experiment while it runs: no variable need."""
        self._on_end()

    # -- following --------------------------------------------------------------------------------

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each change, on the reader's thread; return what ends that."""
        return self._listeners.add(listener)

    # -- display ----------------------------------------------------------------------------------

    def __repr__(self) -> str:
        from nbtune.views.text import summary

        return summary(self._store)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from nbtune.views.still.still import still

        return still(self._store)

    def __getattr__(self, name: str) -> Any:
        # Called only for what is not there.
        public = [known for known in dir(type(self)) if not known.startswith("_")]
        raise AttributeError(f"an experiment has no {name!r}{did_you_mean(name, public)}")
