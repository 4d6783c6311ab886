"""The dashboard: what a running cell shows. Puts the widgets together and keeps them up to date."""

from __future__ import annotations

import pprint
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ipywidgets

from nbtune.errors import ExperimentError, NbtuneError
from nbtune.results.state import TrialState
from nbtune.results.store import ENDED, Store, flat
from nbtune.views.base.assets import plotly_js, plotly_version
from nbtune.views.base.channel import answer_to
from nbtune.views.live.commands import Orders, Steerable
from nbtune.views.live.points import Points
from nbtune.views.live.rows import Rows
from nbtune.views.live.state import head_state
from nbtune.views.live.widgets import Curves, Head, Parallel, Trials
from nbtune.views.live.workers import workers_of
from nbtune.views.text import number, status_of

__all__ = ["Dashboard", "Watched"]

_PAUSE = 0.05  # seconds between two tellings: what follows one another faster looks the same
_SHARE = 9  # times as long as telling takes is waited before the next
_TICK = 2.0  # seconds after which the browser hears from the kernel even if nothing happens
_SILENCE = 3.0  # seconds after which the browser seems not to be able to ask for plotly.js
_LOG_LINES = 200  # of a trial's log, in its row's detail; its workers share them
_LEAST_LINES = 5  # of each worker's
_ERRORS = 20  # of the browser's, that are kept
_FINEST = 20  # running or selected trials that are told finely
_LABEL = 160  # characters of a curve's label


class Watched(Steerable, Protocol):
    """The experiment, as far as the dashboard needs it."""

    @property
    def over(self) -> bool: ...
    def listen(self, listener: Callable[[], None]) -> Callable[[], None]: ...
    def select(self, trials: Sequence[int]) -> None: ...


class Dashboard(ipywidgets.VBox):
    """The live view of an experiment: head, curves, table, parallel coordinates.

    It can be shown in several places. A thread of its own tells the browser what is new, at most twenty
    times a second, until the experiment is over.

    Args:
        experiment: the experiment.
        store: its state.

    Attributes:
        errors: what went wrong in the browser's half, the latest last.
    """

    _pushed = False  # whether plotly.js was sent to a page of this kernel

    def __init__(self, experiment: Watched, store: Store) -> None:
        self.errors: list[str] = []
        self._experiment, self._store = experiment, store
        self._lock = threading.RLock()
        self._news = threading.Event()
        self._rows, self._points, self._sequence = Rows(store), Points(store, store.metric or ""), 0
        self._generation = store.generation
        self._statuses: dict[int, str] = {}  # of the trials, as they were told to the curves
        self._pulse = 0.0  # when the browser last heard from the kernel for certain
        common = {"error": self._failed, "plotly": lambda _: self._send_plotly()}
        table = {**common, "ready": lambda _: self._tell_table(everything=True)}
        orders = Orders(
            experiment,
            store,
            lambda answer: self._head.send(answer),
            lambda answer: self._trials.send(answer),
            self._failed,
        )
        self._head = Head(
            {**common, **orders.head, "ready": lambda _: self._tell_head(everything=True)}, state=head_state(store)
        )
        self._curves = Curves({**common, "ready": self._ready_curves}, metric=store.metric or "")
        self._trials = Trials({**table, **orders.trials, "detail": self._detail})
        self._parallel = Parallel(table)
        self._links = [
            ipywidgets.jslink((self._trials, "selection"), (other, "selection"))
            for other in (self._curves, self._parallel)
        ]
        self._trials.observe(lambda change: self._experiment.select(change.new), "selection")
        self._curves.observe(lambda _: self._tell_curves(everything=True), "metric")
        self._tabs = ipywidgets.Tab(
            [self._curves, self._trials, self._parallel], titles=["Curves", "Trials", "Parallel"]
        )
        self._tabs.add_class("nbt-tabs")
        super().__init__([self._head, self._tabs])
        self._heard = False  # whether the browser's half has said anything yet
        self._tell(everything=True)
        if not experiment.over:
            self.follow()

    def __repr__(self) -> str:
        return f"the dashboard of {self._store.metadata.get('name', 'experiment')}"

    def select(self, trials: Sequence[int]) -> None:
        """Mark trials as selected, in every part of the view."""
        for widget in (self._trials, self._curves, self._parallel):
            widget.selection = sorted(trials)

    def follow(self) -> None:
        """Tell the browser what is new, from now until the experiment is over; again after it was resumed."""
        hush = self._experiment.listen(self._news.set)
        thread = threading.Thread(target=self._follow, args=(hush,), name="nbtune-view", daemon=True)
        self._follower = thread
        thread.start()

    def _follow(self, hush: Callable[[], None]) -> None:
        """Tell the browser what is new until the experiment is over, or another thread does."""
        over = False
        shown = time.monotonic()
        pushed = Dashboard._pushed
        while not over:
            if not pushed and (not Dashboard._pushed or (not self._heard and time.monotonic() > shown + _SILENCE)):
                # The first of a kernel needs plotly.js for certain. A later one may be on a page that was
                # loaded anew, and its question may be waiting for a busy kernel.
                pushed = Dashboard._pushed = True
                self._send_plotly()
            self._news.wait(_TICK)
            # Read first: what came before it is told below. One that is resumed quickly is not over again.
            over = self._experiment.over or self._follower is not threading.current_thread()
            self._news.clear()
            began = time.monotonic()
            try:
                self._tell()
            except Exception as error:  # nobody looks at this thread
                self._failed({"where": "kernel", "message": f"{type(error).__name__}: {error}"})
            # With thousands of trials telling takes its time; most of the kernel's is the user's.
            time.sleep(max(_PAUSE, _SHARE * (time.monotonic() - began)))
        hush()

    def _tell(self, *, everything: bool = False) -> None:
        store = self._store
        if store.generation != self._generation and not store.cursor and store.status not in ENDED:
            return  # resumed, and about to be told anew: until then what is known stays on the screen
        self._tell_head(everything=everything)
        self._tell_curves(everything=everything)
        self._tell_table(everything=everything)

    def _tell_head(self, *, everything: bool = False) -> None:
        with self._lock:
            state, known = head_state(self._store), self._head.state
            pulse = everything or time.monotonic() >= self._pulse + _TICK
            # The browser counts the seconds on by itself: they alone are no news.
            if pulse or any(state[key] != known.get(key) for key in state if key not in {"elapsed", "left"}):
                self._head.state = state
            if pulse:
                self._pulse = time.monotonic()
                self._head.alive += 1
            self._curves.metrics = self._store.numeric_metrics()
            self._curves.mode = self._store.metadata.get("mode")
            if not self._curves.metric and self._curves.metrics:
                self._curves.metric = self._curves.metrics[0]

    def _ready_curves(self, _: dict[str, Any]) -> None:
        self._heard = True
        self._tell_curves(everything=True)

    def _tell_table(self, *, everything: bool = False) -> None:
        with self._lock:
            message = self._rows.message(everything=everything)
            if message is not None:
                self._trials.send(message)
                self._parallel.send(message)

    def _tell_curves(self, *, everything: bool = False) -> None:
        with self._lock:
            store, metric = self._store, self._curves.metric
            if metric != self._points.metric or store.generation != self._generation:
                self._generation = store.generation
                self._points, everything = Points(store, metric), True
            states = store.states()
            best = store.best()
            running = {state.number for state in states if state.status == "running"}
            fine = {*sorted(running)[:_FINEST], *self._curves.selection[:_FINEST], *({best.number} if best else ())}
            update, reset = self._points.update(fine, everything=everything)
            if reset:
                self._statuses.clear()
            statuses = {state.number: status_of(store, state) for state in states}
            changed = [state for state in states if self._statuses.get(state.number) != statuses[state.number]]
            if not (reset or update.segments or changed):
                return
            self._statuses = statuses
            self._sequence += 1
            self._curves.send(
                {
                    "type": "update",
                    "reset": reset,
                    "seq": self._sequence,
                    "metric": metric,
                    "best": best.number if best else None,
                    "trials": [[s.number, statuses[s.number], _label(s)] for s in changed],
                    "segments": update.segments,
                },
                update.buffers(),
            )

    def _send_plotly(self) -> None:
        self._curves.send({"type": "plotly", "version": plotly_version()}, [plotly_js()])

    def _failed(self, message: dict[str, Any]) -> None:
        self.errors = [*self.errors, f"{message.get('where')}: {message.get('message')}"][-_ERRORS:]

    # -- what the browser asks for ------------------------------------------------------------------

    def _detail(self, message: dict[str, Any]) -> None:
        try:
            answer = self._detail_of(message["trial"], message.get("rank"))
        except Exception as error:  # whatever it is, the browser waits for an answer
            why = str(error) if isinstance(error, NbtuneError) else f"{type(error).__name__}: {error}"
            if not isinstance(error, NbtuneError):
                self._failed({"where": "detail", "message": why})
            answer = {"type": "refused", "order": "detail", "trial": message.get("trial"), "message": why}
        self._trials.send(answer_to(message, answer))

    def _detail_of(self, number: int, rank: int | None) -> dict[str, Any]:
        """Return what the detail of a trial shows.

        Raises:
            ExperimentError: there is no such trial.
        """
        trial = self._experiment.trials.get(number)
        if trial is None:
            raise ExperimentError(f"there is no trial {number}")
        workers = workers_of(self._store, trial.id)
        shares = len(workers["ranks"]) if workers and rank is None else 1
        try:
            log = trial.logs(max(_LOG_LINES // shares, _LEAST_LINES), rank)
        except NbtuneError as error:
            log = str(error)
        return {
            "type": "detail",
            "trial": trial.id,
            "config": pprint.pformat(trial.config, sort_dicts=False),
            "checkpoint": trial.checkpoint is not None,
            "traceback": trial.error,
            "rank": rank,
            "log": log,
            "workers": workers,
        }


def _label(state: TrialState) -> str:
    text = "  ".join(f"{name} {number(value)}" for name, value in flat(state.config))
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"
