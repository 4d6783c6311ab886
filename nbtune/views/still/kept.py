"""Keeps the static picture in the notebook's file up to date while an experiment runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["keep_picture"]

# Seconds between two updates: the interval doubles from the first to the second.
_FIRST_INTERVAL, _LAST_INTERVAL = 5.0, 120.0


class PicturedDashboard(Protocol):
    """The part of the dashboard that is used here."""

    def send_picture(self, picture: dict[str, str]) -> None: ...


class PicturedExperiment(Protocol):
    """The part of an experiment that is used here."""

    @property
    def over(self) -> bool: ...
    @property
    def dashboard(self) -> PicturedDashboard: ...
    def listen(self, listener: Callable[[], None]) -> Callable[[], None]: ...
    def _repr_mimebundle_(self) -> dict[str, str]: ...


def keep_picture(experiment: PicturedExperiment, update: Callable[[dict[str, str]], Any]) -> None:
    """Update the picture of an experiment from time to time, at its end, and again after it was resumed.

    `update` reaches the page on which the cell was run, in every frontend. On all other pages the dashboard's header
    puts the picture into the notebook; see ``widgets/src/picture.js``.

    Args:
        experiment: the experiment.
        update: replaces the output of the cell.
    """
    due, interval, over = time.monotonic() + _FIRST_INTERVAL, _FIRST_INTERVAL, False

    def refresh() -> None:
        nonlocal due, interval, over
        was_over, over = over, experiment.over
        if was_over and not over:  # it was resumed
            due, interval = 0.0, _FIRST_INTERVAL
        if over or time.monotonic() > due:
            interval = min(2 * interval, _LAST_INTERVAL)
            due = time.monotonic() + interval  # set first, so that a failing update is not retried at every change
            picture = experiment._repr_mimebundle_()
            experiment.dashboard.send_picture(picture)
            update(picture)

    experiment.listen(refresh)
    if experiment.over:  # it may have ended before `listen`
        refresh()
