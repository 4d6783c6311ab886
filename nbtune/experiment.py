"""The handle on an experiment: its state and results at any time, and its controls."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nbtune.controls import Controls
from nbtune.engine.source import Source, SourceLostError, StartError
from nbtune.errors import ExperimentError, did_you_mean
from nbtune.spec.left import TimeLeft
from nbtune.spec.plan import Plan
from nbtune.store import ENDED, Store
from nbtune.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from nbtune.engine.storage import Storage
    from nbtune.space import Space
    from nbtune.views.dashboard import Dashboard

__all__ = ["Experiment"]

_READ_TIMEOUT = 5.0  # seconds that one read waits for news
_PAUSE = 0.05  # seconds between reads: at most 20 a second, whatever comes in


class Experiment(Controls):
    """An experiment, running or over.

    Made by `nbtune.tune`, ``%%tune``, `nbtune.load` and `nbtune.testing.replay`; not by hand.

    Args:
        source: where its events come from.
        plan: what was planned before it started, or None.
        where: its folder in storage; None where its events say it.
        on_end: called once when it is over.
        facts: what is known of it before its first event.
        fixed: which of these its events do not change.
        resume: starts it again from its storage, see `nbtune.resume.go_on`; None where it cannot be.
    """

    def __init__(
        self,
        source: Source,
        *,
        plan: Plan | None = None,
        where: Storage | None = None,
        on_end: Callable[[], None] = lambda: None,
        facts: Mapping[str, Any] | None = None,
        fixed: tuple[str, ...] = (),
        resume: Callable[..., tuple[Source, Callable[[], None]]] | None = None,
    ) -> None:
        self._plan = plan
        self._source, self._where, self._on_end, self._go_on = source, where, on_end, resume
        self._store = Store(facts, fixed)
        self._listeners: list[Callable[[], None]] = []
        self._selection: list[int] = []
        self._dashboard: Dashboard | None = None
        self._over = threading.Event()
        self._arrived = threading.Event()
        self._start_reading()

    def _start_reading(self) -> None:
        self._over.clear()
        threading.Thread(target=self._follow, name="nbtune-reader", daemon=True).start()

    # -- what it is -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name that it was given."""
        return str(self._store.facts.get("name", "experiment"))

    @property
    def path(self) -> str:
        """Its folder in storage; `nbtune.load` opens it."""
        return str(self._store.facts.get("path", ""))

    @property
    def where(self) -> Storage | None:
        """Its folder in storage, with what opens it; None where it has none."""
        if self._where is None and self.path:
            from nbtune.engine.storage import Storage

            self._where = Storage(self.path)
        return self._where

    @property
    def status(self) -> str:
        """Return "pending", "running", "finished", "stopped", "failed" or "lost"."""
        return self._store.status

    @property
    def plan(self) -> Plan | None:
        """What was planned before it started, or went on: how many trials, how many at once, limited by what."""
        found = self._store.facts.get("plan")
        return Plan.from_json(found) if found is not None else self._plan

    @property
    def time_left(self) -> TimeLeft | None:
        """The seconds that it may have left, with their spread: from how long its trials have taken so far.

        None while none of them is over, and when it is.
        """
        from nbtune.views.state import time_left

        return time_left(self._store) if self.status not in ENDED else None

    @property
    def source(self) -> str:
        """The text of the cell or function that it runs."""
        return str(self._store.facts.get("source", ""))

    @property
    def space(self) -> Space:
        """The search space that it was started with. Classes and functions in it are there by their names only.

        Raises:
            ExperimentError: it is one of Ray Tune's, which keeps no space.
        """
        from nbtune.space import Space
        from nbtune.spec.space_json import space_from_json

        kept = self._store.facts.get("definition")
        if kept is None:
            raise ExperimentError(f"{self.name} was not started by nbtune: its folder does not say what its space was")
        return Space.of(space_from_json(kept))

    @property
    def error(self) -> str | None:
        """Why the experiment as a whole failed or was lost, or None; a trial has its own."""
        return self._store.facts.get("error")

    @property
    def trials(self) -> dict[int, Trial]:
        """Every trial by its id."""
        return {state.number: Trial(self, state) for state in self._store.states()}

    @property
    def best(self) -> Trial | None:
        """The trial whose last value of the metric is best, or None where there is none.

        It is judged by the last value, as Ray Tune judges (ResultGrid.get_best_result) and as `df`
        shows; failed trials, NaN and infinity do not count.
        """
        state = self._store.best()
        return Trial(self, state) if state else None

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
        return self._store.history()

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
            from nbtune.views.dashboard import Dashboard

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
        from nbtune.engine.stored import result_grid

        facts = self._store.facts
        if self.where is None:
            raise ExperimentError(f"{self.name} is not in storage: there are no results of Ray Tune's")
        return result_grid(self.where, facts.get("metric"), facts.get("mode"))

    def to_optuna(self) -> Any:
        """Return an `optuna.Study` with every trial, so that all of optuna's tools work on it.

        Finished trials are complete, those that were stopped early are pruned, with all their
        reports as intermediate values.

        Raises:
            ExperimentError: the experiment has no metric.
        """
        from nbtune.analysis import to_study

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
        from nbtune.analysis import plot

        return plot(self._store, kind, options)

    @property
    def over(self) -> bool:
        """Whether it has come to its end, and all its events are here."""
        return self._over.is_set()

    # -- waiting ----------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> Experiment:
        """Wait until it is over; return itself. Interrupting stops the waiting, not the experiment.

        Args:
            timeout: seconds, or None for as long as it takes.

        Raises:
            TimeoutError: it is not over by then.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not self._over.is_set():
            rest = 0.2 if until is None else min(0.2, until - time.monotonic())
            if rest <= 0:
                raise TimeoutError(f"{self.name} is still {self.status} after {timeout:g} s")
            self._over.wait(rest)  # short, so that an interrupt comes through at once
        return self

    def arrive(self, timeout: float = 30) -> None:
        """Wait until the first events are here, or nothing more will come.

        Args:
            timeout: seconds to wait, at most.
        """
        self._arrived.wait(timeout)

    def __await__(self) -> Generator[Any, None, Experiment]:
        return asyncio.get_running_loop().run_in_executor(None, self.wait).__await__()

    def _begin_again(self, **how: Any) -> None:
        if self._go_on is None or self.where is None:
            raise ExperimentError(f"{self.name} cannot be resumed: it has no storage of its own")
        self.wait()  # the reader has still to let go of what was before
        self._source, self._on_end = self._go_on(self.where, **how)
        self._store.reset()
        self._arrived.clear()
        self._start_reading()
        if self._dashboard is not None:
            self._dashboard.follow()
        self._tell()

    # -- following --------------------------------------------------------------------------------

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each change, on the reader's thread; return what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _follow(self) -> None:
        """Read events into the store until the experiment is over: the reader's thread."""
        while self.status not in ENDED:
            try:
                chunks = self._source.read(self._store.cursor, _READ_TIMEOUT)
                for chunk in chunks:
                    self._store.apply(chunk)
            except StartError as error:
                self._store.declare("failed", error=str(error))
            except SourceLostError as error:
                self._store.declare("lost", error=f"the driver is gone: {error}")
            except Exception as error:  # nobody looks at this thread: the state must say it
                self._store.declare("lost", error=f"{type(error).__name__}: {error}")
            self._arrived.set()
            if self.status not in ENDED:
                self._tell()
                time.sleep(_PAUSE)
        try:
            if self.status != "lost":
                self._source.close()
        finally:
            self._over.set()
            self._tell()
            self._on_end()

    def _tell(self) -> None:
        for listener in list(self._listeners):
            try:
                listener()
            except Exception:  # a view's fault must not stop the others, nor the reading
                self._listeners.remove(listener)

    # -- display ----------------------------------------------------------------------------------

    def __repr__(self) -> str:
        from nbtune.views.text import summary

        return summary(self._store)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from nbtune.views.still import still

        return still(self._store)

    def __getattr__(self, name: str) -> Any:
        # Called only for what is not there.
        public = [known for known in dir(type(self)) if not known.startswith("_")]
        raise AttributeError(f"an experiment has no {name!r}{did_you_mean(name, public)}")
