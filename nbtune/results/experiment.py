"""The handle of an experiment: its state and results at any time, and its commands."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.source import ElsewhereError, Source
from nbtune.engine.protocol.trust import OWN, Trust
from nbtune.errors import ExperimentError, WaitInterrupted, WaitTimeoutError, did_you_mean
from nbtune.results.controls import Controls
from nbtune.results.figures import Figures
from nbtune.results.listeners import Listeners
from nbtune.results.no_best import why_no_best
from nbtune.results.reader import Reader
from nbtune.results.store import ENDED, Store
from nbtune.results.trial import Trial
from nbtune.shell import variable_of
from nbtune.spec.plan.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

    from nbtune.engine.storage.storage import Storage
    from nbtune.views.live.dashboard import Dashboard

__all__ = ["Experiment"]

_LAST_EVENTS = 5.0  # seconds in which the last events of an experiment are read after its driver has gone


class Experiment(Controls, Figures):
    """An experiment, running or over.

    Created by `nbtune.tune`, ``%%tune``, `nbtune.load` and `nbtune.testing.replay`.

    Args:
        source: the source of its events.
        plan: the plan before its start, or None.
        where: its folder in storage; None if its events have it.
        on_end: called once when it is over.
        metadata: entries that are known before its first event.
        fixed: the names of those that its events do not change.
        resume: resumes it from storage, as `nbtune.launch.resume.resume_experiment`; None if that is impossible.
        trust: which pickles of its folder are loaded: those that this user has signed, unless the user says otherwise.
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
        trust: Trust = OWN,
    ) -> None:
        self._plan, self._trust = plan, trust
        self._source, self._where, self._on_end, self._resume = source, where, on_end, resume
        self._store = Store(metadata, fixed, trust)
        self._listeners = Listeners()
        self._selection: list[int] = []
        self._dashboard: Dashboard | None = None
        self._resuming = threading.Lock()  # held by the call that resumes it
        self._reader = Reader(self._store, self._listeners)
        self._reader.start(source, self._on_over)

    # -- results -------------------------------------------------------------------------------

    @property
    def trials(self) -> dict[int, Trial]:
        """All trials by their ids."""
        return {state.number: Trial(self, state.number) for state in self._store.states()}

    @property
    def best(self) -> Trial:
        """The trial with the best `Trial.value`: by default the one that has reported the best value of the metric.

        The option `scope` says which of a trial's values counts. Failed trials, NaN and infinity do not count. Ray's
        `ResultGrid.get_best_result` has scope "last" unless told otherwise.

        With the option `repeat`, configurations are compared by `Trial.mean`, and this is the trial of the best one
        whose value is nearest it. One whose trials are not all over comes after all whose are. See `configurations`.

        Raises:
            ExperimentError: there is none so far. The message says why.
        """
        state = self._store.best()
        if state is None:
            raise ExperimentError(why_no_best(self._store, variable_of(self)))
        return Trial(self, state.number)

    @property
    def pareto(self) -> list[Trial]:
        """The trials that no other one beats in all objectives, by their ids, as `optuna.Study.best_trials`.

        A trial beats another one if its values (`Trial.values`) are at least as good in every objective, and better in
        one. Trials that have failed, or have no finite value of an objective, do not count. `df` has the same as the
        column "pareto". With one objective these are the trials with the best value.

        Raises:
            ExperimentError: the experiment has no metric.
        """
        if not self._store.objectives:
            raise ExperimentError(why_no_best(self._store, variable_of(self)))
        return [Trial(self, state.number) for state in self._store.front()]

    @property
    def df(self) -> pd.DataFrame:
        """One row for each trial, at any time.

        The index "trial" is the trial's id. Columns: `status`; each parameter under its own name; the last value of
        each metric; METRIC_best, the best value of the experiment's metric, and `best_iteration`, where it was reached
        (with another `scope` METRIC_avg, METRIC_last_5_avg…, none with "last"); `pareto`, with several objectives,
        whether it is on the front; `configuration` and `repeat`, with that option, which training of which it is;
        `iterations`, the number of reports; `time_s`, the seconds of training; `checkpoint`, the latest one's path;
        `error`, one line. A metric named as these or the index is ``metrics/NAME``, a parameter ``config/NAME``.
        """
        frame, where = self._store.frame(), self.where
        if where is not None and (saved := frame["checkpoint"].dropna()).size:
            frame.loc[saved.index, "checkpoint"] = [where.path_of(path) for path in saved]
        return frame

    @property
    def configurations(self) -> pd.DataFrame:
        """One row for each configuration, which the option `repeat` trains in several trials, at any time.

        The index is the configuration (without the option, the trial). Columns: each parameter; METRIC_mean, METRIC_std
        and `values`, the mean, sample standard deviation and number of `Trial.value` over the trials that have one and
        have not failed; `complete`, whether all are over; `trials`, their ids.
        """
        return self._store.configuration_frame()

    @property
    def history(self) -> pd.DataFrame:
        """One row for each report, in the order in which they came: trial, iteration, time_s, metrics.

        Reports that a retry from a checkpoint has repeated occur once, as they were the last time. Parameters that the
        scheduler has changed, as population based training does, have a column with the value of each report.
        """
        return self._store.history()

    @property
    def selected(self) -> pd.DataFrame:
        """The rows of `df` that are selected in the dashboard: in its curves, its table or by brushing.

        It can be set to ids of trials, or to a part of `df`: ``exp.selected = exp.df.query("lr < 0.01")``.

        Raises:
            ExperimentError: it is set to an id that no trial has.
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
        """Set the selection of trials.

        Args:
            trials: ids of trials.
        """
        self._selection = sorted(set(trials))

    @property
    def dashboard(self) -> Dashboard:
        """The live view that a ``%%tune`` cell shows. It may be displayed in several places."""
        if self._dashboard is None:
            from nbtune.views.live.dashboard import Dashboard

            self._dashboard = Dashboard(self, self._store)
        return self._dashboard

    @property
    def results(self) -> Any:
        """The `ray.tune.ResultGrid` of the experiment, read from its folder.

        Raises:
            ExperimentError: it still runs, or is not in storage. `df` and `history` are always available.
            UntrustedError: Ray Tune's files in the folder are not signed with your key.
        """
        if self.status not in ENDED:
            raise ExperimentError(
                f"{self.name} is {self.status}: results are available at its end; until then use df and history"
            )
        from nbtune.engine.client.stored import result_grid

        metadata = self._store.metadata
        if self.where is None:
            raise ExperimentError(f"{self.name} is not in storage, so it has no ResultGrid")
        return result_grid(self.where, metadata.get("metric"), metadata.get("mode"), self._trust)

    def schedule(self, trial: int | Trial | None = None) -> list[tuple[int, dict[str, Any]]]:
        """Return the parameters with which the present state of a trial was trained, as population based training does.

        Before it became a copy of another trial, these are the parameters of that trial. A new experiment replays them
        with ``scheduler=("pbt_replay", {"policy": exp.schedule()})``.

        Args:
            trial: the trial or its id; the best one if None.

        Returns:
            (iteration, parameters), ascending: the parameters that were in force after so many iterations, the first
            ones after 0.

        Raises:
            ExperimentError: there is no such trial.
        """
        number = self.best.id if trial is None else trial.id if isinstance(trial, Trial) else trial
        if number not in (known := self._store.trials):
            raise ExperimentError(f"{self.name} has no trial {number}; it has {len(known)}, numbered from 0")
        return self._store.lineage.schedule(number)

    @property
    def over(self) -> bool:
        """Whether it is over, and all its events have been read."""
        return self._reader.over.is_set()

    # -- waiting ----------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> Experiment:
        """Wait until it is over. In a notebook and in a terminal a line shows the progress meanwhile.

        Interrupting the kernel ends the waiting, not the experiment.

        Args:
            timeout: seconds, or None for no limit.

        Returns:
            This experiment.

        Raises:
            WaitTimeoutError: it is not over in time. It is a `TimeoutError`, too.
            WaitInterrupted: the user has interrupted the waiting. It is a `KeyboardInterrupt`.
        """
        from nbtune.views.waiting import WaitingLine

        with WaitingLine(self._store) as line:
            self._wait(timeout, line.update)
        return self

    def _wait(self, timeout: float | None = None, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait without a line; call `meanwhile` several times a second."""
        until = None if timeout is None else time.monotonic() + timeout
        try:
            while not self._reader.over.is_set():
                interval = 0.2 if until is None else min(0.2, until - time.monotonic())
                if interval <= 0:
                    raise WaitTimeoutError(f"{self.name} is still {self.status} after {timeout:g} s")
                meanwhile()
                self._reader.over.wait(interval)  # short, so that an interrupt takes effect at once
        except KeyboardInterrupt:
            variable = variable_of(self)
            stop = f"; {variable}.stop() stops it" if variable else ""
            raise WaitInterrupted(f"stopped waiting; {self.name} is still {self.status}{stop}") from None

    def _ends_soon(self) -> bool:
        """Tell whether it is over, after a moment in which the last events are read."""
        return self._reader.over.wait(_LAST_EVENTS)

    def wait_for_events(self, timeout: float = 30) -> None:
        """Wait until the first events have been read, or none will come.

        Args:
            timeout: seconds to wait.
        """
        self._reader.has_events.wait(timeout)

    def __await__(self) -> Generator[Any, None, Experiment]:
        return self._awaited().__await__()

    async def _awaited(self) -> Experiment:
        await asyncio.get_running_loop().run_in_executor(None, self._wait)
        return self

    def _restart(self, **how: Any) -> None:
        if self._resume is None or self.where is None:
            raise ExperimentError(f"{self.name} cannot be resumed: it has no storage of its own")
        if not self._resuming.acquire(blocking=False):
            raise ExperimentError(f"{self.name} is being resumed at this moment: try this again once it runs")
        try:
            if self.status not in ENDED:  # another call has resumed it
                raise ExperimentError(f"{self.name} was resumed a moment ago and is {self.status}: try this again")
            self._wait()  # the reader has yet to close the earlier source
            try:
                self._source, self._on_end = self._resume(self.where, trust=self._trust, **how)
            except ElsewhereError as error:
                self._store.set_metadata(status="running elsewhere", error=str(error))
                self._listeners.notify()
                raise ExperimentError(f"{self.name} cannot be resumed: {error}") from None
            self.stop_requested = False
            self._store.reset()
            self._reader.start(self._source, self._on_over)
        finally:
            self._resuming.release()
        if self._dashboard is not None:
            self._dashboard.follow()
        self._listeners.notify()

    def _on_over(self) -> None:
        """Call `on_end`. The reader refers to this method, which keeps the experiment alive while it runs."""
        self._on_end()

    # -- listeners --------------------------------------------------------------------------------

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function after each change, on the reader's thread.

        Args:
            listener: the function.

        Returns:
            A function that removes the listener.
        """
        return self._listeners.add(listener)

    # -- display ----------------------------------------------------------------------------------

    def __repr__(self) -> str:
        from nbtune.views.text import summary

        return summary(self._store)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from nbtune.views.still.still import still

        return still(self._store)

    def __getattr__(self, name: str) -> Any:
        # Called only for missing attributes.
        public = [known for known in dir(type(self)) if not known.startswith("_")]
        raise AttributeError(f"an experiment has no attribute {name!r}{did_you_mean(name, public)}")
