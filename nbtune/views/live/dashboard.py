"""The dashboard: the widgets below a running cell, and the thread that sends them what has changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ipywidgets

from nbtune.errors import ExperimentError, NbtuneError
from nbtune.results.state import TrialState
from nbtune.results.store import ENDED, Store
from nbtune.shown import shown
from nbtune.views.base.channel import BaseWidget, ErrorLog, answer_to
from nbtune.views.base.polling import VISIBLE_TIMEOUT
from nbtune.views.live.commands import CommandHandlers, ControllableExperiment
from nbtune.views.live.detail import detail_of
from nbtune.views.live.front import FrontPoints, one_line
from nbtune.views.live.marks import curve_marks
from nbtune.views.live.points import CurvePoints
from nbtune.views.live.rows import TableRows
from nbtune.views.live.state import header_state
from nbtune.views.live.widgets import Curves, Header, Parallel, Pareto, Trials
from nbtune.views.text import status_of

__all__ = ["Dashboard", "ObservableExperiment"]

_MIN_PAUSE = 0.05  # seconds between two updates: faster ones cannot be seen
_PAUSE_RATIO = 9  # the pause is this many times as long as the update: the kernel's time is the user's
_ALIVE_INTERVAL = 2.0  # seconds after which the browser gets a message even if nothing has changed
_PLOTLY_TIMEOUT = 3.0  # seconds without a message of the browser, after which plotly.js is sent unasked
_MAX_DETAILED = 20  # running and selected trials whose curves have all their detail, each


class ObservableExperiment(ControllableExperiment, Protocol):
    """The part of an experiment that the dashboard uses."""

    @property
    def over(self) -> bool: ...
    def listen(self, listener: Callable[[], None]) -> Callable[[], None]: ...
    def select(self, trials: Sequence[int]) -> None: ...
    def _repr_mimebundle_(self) -> dict[str, str]: ...


class Dashboard(ipywidgets.VBox):
    """The live view of an experiment: header, curves, table, parallel coordinates; with several objectives the front.

    It can be displayed several times. A thread of its own sends the browser what has changed, at most twenty times a
    second, until the experiment has ended.

    Attributes:
        has_picture: whether a cell has the static picture of the experiment as an output.

    Args:
        experiment: the experiment.
        store: its state.
    """

    has_picture = False

    def __init__(self, experiment: ObservableExperiment, store: Store) -> None:
        self._errors = ErrorLog()
        self._experiment, self._store = experiment, store
        self._lock = threading.RLock()
        self._changed = threading.Event()
        self._rows, self._points, self._sequence = TableRows(store), CurvePoints(store, ""), 0
        self._generation = store.generation
        self._statuses: dict[int, str] = {}  # trial -> the status that the curves have
        self._curves_version, self._curves_over = (
            0,
            False,
        )  # the store's version, and whether it was over, in the curves
        self._marks: dict[str, Any] = {}  # that the curves have
        self._running: set[int] = set()  # the trials that run, as far as the curves have them
        self._last_alive = 0.0  # when the browser last got a message for certain
        commands = CommandHandlers(
            experiment,
            store,
            lambda answer: self._header.send(answer),
            lambda answer: self._trials.send(answer),
            self._errors,
        )
        send_table = {"ready": lambda _: self._send_table(everything=True)}
        self._header = Header(
            {**commands.header, "ready": self._ready_header},
            self._errors,
            state=header_state(store),
        )
        self._front_points, self._front_visible_until = FrontPoints(store), 0.0
        metric = store.objectives[0].metric if store.objectives else ""
        self._curves = Curves({"ready": self._ready_curves}, self._errors, metric=metric)
        self._trials = Trials({**send_table, **commands.trials, "detail": self._send_detail}, self._errors)
        self._parallel = Parallel(send_table, self._errors)
        show_front = {"ready": lambda _: self._send_front(everything=True), "visible": self._show_front}
        self._pareto = Pareto(show_front, self._errors)
        self._links = [
            ipywidgets.jslink((self._trials, "selection"), (other, "selection"))
            for other in (self._curves, self._parallel, self._pareto)
        ]
        self._trials.observe(lambda change: self._experiment.select(change.new), "selection")
        self._curves.observe(lambda _: self._send_curves(everything=True), "metric")
        self._tabs = ipywidgets.Tab(
            [self._curves, self._trials, self._parallel], titles=["Curves", "Trials", "Parallel"]
        )
        self._tabs.add_class("nbt-tabs")
        super().__init__([self._header, self._tabs])
        self._browser_is_ready = False  # whether the browser has sent any message
        self._send_updates(everything=True)
        if not experiment.over:
            self.follow()

    def __repr__(self) -> str:
        return shown(f"Dashboard({self._store.metadata.get('name', 'experiment')})")

    @property
    def errors(self) -> list[str]:
        """The latest errors of the browser and of the dashboard's threads, the latest last."""
        return self._errors.messages

    def select(self, trials: Sequence[int]) -> None:
        """Select trials in all parts of the dashboard.

        Args:
            trials: their numbers.
        """
        for widget in (self._trials, self._curves, self._parallel, self._pareto):
            widget.selection = sorted(trials)

    def follow(self) -> None:
        """Send the browser what changes from now on until the experiment has ended; call it again after a resume."""
        stop_listening = self._experiment.listen(self._changed.set)
        thread = threading.Thread(target=self._follow, args=(stop_listening,), name="nbtune-view", daemon=True)
        self._follower = thread
        thread.start()

    def _follow(self, stop_listening: Callable[[], None]) -> None:
        """Send updates until the experiment has ended, or another thread has taken over."""
        over = False
        began = time.monotonic()
        plotly_sent = BaseWidget.plotly_sent
        while not over:
            waited = time.monotonic() > began + _PLOTLY_TIMEOUT
            if not plotly_sent and (not BaseWidget.plotly_sent or (not self._browser_is_ready and waited)):
                # The first dashboard of a kernel needs plotly.js in any case. A later one may be on a reloaded page,
                # whose request waits for a busy kernel.
                plotly_sent = True
                self._curves.send_plotly()
            self._changed.wait(_ALIVE_INTERVAL)
            # Read before the update, so that the last changes are sent; a quick resume must not end this thread.
            over = self._experiment.over or self._follower is not threading.current_thread()
            self._changed.clear()
            update_began = time.monotonic()
            try:
                self._send_updates()
            except Exception as error:  # on this thread nobody would see it
                self._errors.add("kernel", f"{type(error).__name__}: {error}")
            time.sleep(max(_MIN_PAUSE, _PAUSE_RATIO * (time.monotonic() - update_began)))
        stop_listening()

    def _send_updates(self, *, everything: bool = False) -> None:
        store = self._store
        if store.generation != self._generation and not store.cursor and store.status not in ENDED:
            return  # resumed, and the events are about to be read again: keep the last state on the screen
        self._send_header(everything=everything)
        self._send_curves(everything=everything)
        self._send_table(everything=everything)
        if len(store.objectives) > 1:
            if self._pareto not in self._tabs.children:  # they are known from the first event on
                self._tabs.children = [*self._tabs.children, self._pareto]
                self._tabs.set_title(len(self._tabs.children) - 1, "Pareto")
            if time.monotonic() < self._front_visible_until:
                self._send_front()

    def _show_front(self, _: dict[str, Any]) -> None:
        """Send the points as long as the browser says that they are visible: every two seconds."""
        self._front_visible_until = time.monotonic() + VISIBLE_TIMEOUT
        self._send_front()

    def _send_front(self, *, everything: bool = False) -> None:
        with self._lock:
            if (message := self._front_points.message(everything=everything)) is not None:
                self._pareto.send(message)

    def _send_header(self, *, everything: bool = False) -> None:
        with self._lock:
            state, sent = header_state(self._store), self._header.state
            alive = everything or time.monotonic() >= self._last_alive + _ALIVE_INTERVAL
            # The browser counts the seconds on by itself.
            if alive or any(state[key] != sent.get(key) for key in state if key not in {"elapsed", "remaining"}):
                self._header.state = state
            if alive:
                self._last_alive = time.monotonic()
                self._header.alive += 1
            self._curves.metrics = self._store.numeric_metrics()
            modes = {objective.metric: objective.mode for objective in self._store.objectives}
            self._curves.mode = modes.get(self._curves.metric)
            if not self._curves.metric and self._curves.metrics:
                self._curves.metric = self._curves.metrics[0]

    def _ready_header(self, _: dict[str, Any]) -> None:
        self._send_header(everything=True)
        if self.has_picture:
            self.send_picture(self._experiment._repr_mimebundle_())

    def send_picture(self, picture: dict[str, str]) -> None:
        """Send the browser the static picture of the experiment, for the notebook's file.

        Args:
            picture: MIME type -> content.
        """
        self._header.send({"type": "picture", "data": picture})

    def _ready_curves(self, _: dict[str, Any]) -> None:
        self._browser_is_ready = True
        self._send_curves(everything=True)

    def _send_table(self, *, everything: bool = False) -> None:
        with self._lock:
            message = self._rows.message(everything=everything)
            if message is not None:
                self._trials.send(message)
                self._parallel.send(message)

    def _send_curves(self, *, everything: bool = False) -> None:
        with self._lock:
            store, metric = self._store, self._curves.metric
            if metric != self._points.metric or store.generation != self._generation:
                self._generation = store.generation
                self._points, everything = CurvePoints(store, metric), True
            changed, best = self._new_statuses(everything=everything), self._best_of(metric)
            detailed = {
                *sorted(self._running)[:_MAX_DETAILED],
                *self._curves.selection[:_MAX_DETAILED],
                *best[:_MAX_DETAILED],
            }
            update, reset = self._points.update(detailed, everything=everything)
            if reset:
                changed = self._new_statuses(everything=True)
            marks = curve_marks(store, metric)
            if not (reset or update.segments or changed or marks != self._marks):
                return
            new = {key: found if reset or found != self._marks.get(key) else None for key, found in marks.items()}
            self._marks = marks
            self._sequence += 1
            self._curves.send(
                {
                    "type": "update",
                    "reset": reset,
                    "seq": self._sequence,
                    "metric": metric,
                    "best": best,
                    "trials": [[s.number, self._statuses[s.number], one_line(s)] for s in changed],
                    "segments": update.segments,
                    **new,
                },
                update.buffers(),
            )

    def _best_of(self, metric: str) -> list[int]:
        """Return the numbers of the trials that the curves of a metric mark: the best one, or the best repeats."""
        own = [objective.metric for objective in self._store.objectives]
        best = self._store.best_trials(own.index(metric) if len(own) > 1 and metric in own else 0) if own else []
        return [state.number for state in best]

    def _new_statuses(self, *, everything: bool) -> list[TrialState]:
        """Return the trials whose status, as it is shown, is not the one that the curves have; all if everything."""
        store, version, over = self._store, self._store.version, self._store.status in ENDED
        if everything:
            self._statuses.clear()
            self._running.clear()
        is_shown_alike = over == self._curves_over and not everything
        recent = store.changes.since(self._curves_version) if is_shown_alike else store.states()
        before, now = self._statuses, {state.number: status_of(store, state) for state in recent}
        changed = [state for state in recent if before.get(state.number) != now[state.number]]
        self._statuses.update(now)
        self._running.difference_update(now)
        self._running.update(state.number for state in recent if state.status == "running")
        self._curves_version, self._curves_over = version, over
        return changed

    # -- requests of the browser ------------------------------------------------------------------

    def _send_detail(self, message: dict[str, Any]) -> None:
        try:
            answer = self._detail_of(message["trial"], message.get("rank"))
        except Exception as error:  # the browser waits for an answer in any case
            reason = str(error) if isinstance(error, NbtuneError) else f"{type(error).__name__}: {error}"
            if not isinstance(error, NbtuneError):
                self._errors.add("detail", reason)
            answer = {"type": "refused", "command": "detail", "trial": message.get("trial"), "message": reason}
        self._trials.send(answer_to(message, answer))

    def _detail_of(self, number: int, rank: int | None) -> dict[str, Any]:
        """Return what the detail of a trial shows.

        Raises:
            ExperimentError: there is no such trial.
        """
        trial = self._experiment.trials.get(number)
        if trial is None:
            raise ExperimentError(f"there is no trial {number}")
        return detail_of(self._store, trial, rank)
