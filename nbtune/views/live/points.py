"""The points of the curves as messages: only new ones, and no more than a screen can show."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

import numpy as np

from nbtune.results.columns import groups
from nbtune.results.store import Store
from nbtune.views.base.decimate import decimate

__all__ = ["CurvePoints", "CurveUpdate"]

_MAX_POINTS = 24_000  # of all curves together: plotly draws them in about 20 ms
_DETAILED_POINTS = 1_500  # of a detailed curve: two per pixel of its width
_MIN_POINTS = 6  # of any other curve: both ends and the extremes


@dataclass
class CurveUpdate:
    """The new points of the curves.

    Attributes:
        segments: (trial, count, replace) of each segment; see widgets/README.md.
        iteration: the points of all segments in their order, int32, shape (n,).
        time_s: the same, float64.
        value: the same, float64.
    """

    segments: list[tuple[int, int, bool]] = field(default_factory=list)
    iteration: np.ndarray = field(default_factory=lambda: np.array([], np.int32))
    time_s: np.ndarray = field(default_factory=lambda: np.array([], float))
    value: np.ndarray = field(default_factory=lambda: np.array([], float))

    def buffers(self) -> list[bytes]:
        """Return the three columns as bytes, in the order of the attributes."""
        return [column.tobytes() for column in (self.iteration, self.time_s, self.value)]


class _Curve:
    """All points of one trial, and how many of them the browser has."""

    def __init__(self) -> None:
        self._columns: list[np.ndarray] = [np.empty(64, np.int32), np.empty(64), np.empty(64)]
        self.length = 0
        self.sent = 0  # points in the browser
        self.unsent = 0  # how many of the last points are not sent yet
        self.outdated = False  # whether the browser has points that are not valid any more

    def columns(self) -> list[np.ndarray]:
        return [column[: self.length] for column in self._columns]

    def add(self, *points: np.ndarray) -> None:
        iteration = self._columns[0]
        if self.length and points[0][0] <= iteration[self.length - 1]:
            # Restarted from a checkpoint: drop the reports after it.
            self.length = int(np.searchsorted(iteration[: self.length], points[0][0]))
            self.outdated = True
        count = len(points[0])
        if self.length + count > len(iteration):
            size = max(2 * len(iteration), self.length + count)
            self._columns = [np.resize(column, size) for column in self._columns]
        for column, values in zip(self._columns, points, strict=True):
            column[self.length : self.length + count] = values
        self.length += count
        self.unsent += count


class CurvePoints:
    """The curves of one metric; each update has only new points.

    Curves that the user looks at have more points than the others, which are decimated by MinMax. New points are
    appended; when a curve has twice as many points as it should, it is decimated again and replaced, so that over a
    whole run each point is sent about twice.

    Args:
        store: the experiment's state.
        metric: the metric.
    """

    def __init__(self, store: Store, metric: str) -> None:
        self._store, self.metric = store, metric
        self._cursor = 0
        self._detailed: Set[int] = frozenset()
        self._curves: dict[int, _Curve] = {}

    def update(self, detailed: Set[int] = frozenset(), *, everything: bool = False) -> tuple[CurveUpdate, bool]:
        """Return the new points, and whether they replace everything that was sent before.

        Args:
            detailed: the trials whose curves have more points: running, best, selected.
            everything: send all points.
        """
        self._cursor, columns = self._store.reports.points(self.metric, self._cursor)
        touched = set(self._detailed ^ detailed) & self._curves.keys()
        self._detailed = frozenset(detailed)
        for trial, positions in groups(columns[0]):
            for part in _split_restarts(columns[1][positions], positions):
                self._curves.setdefault(trial, _Curve()).add(*(column[part] for column in columns[1:]))
            touched.add(trial)
        other_points = max(_MIN_POINTS, min(_DETAILED_POINTS, _MAX_POINTS // max(1, len(self._curves))))
        # Curves that were sent when there were fewer of them may have more points than their share now.
        sent = sum(curve.sent for curve in self._curves.values())
        reset = everything or sent > 2 * _MAX_POINTS + _DETAILED_POINTS * len(detailed)
        pieces: list[tuple[int, bool, list[np.ndarray]]] = []
        for trial in sorted(self._curves if reset else touched):
            curve = self._curves[trial]
            maximum = _DETAILED_POINTS if trial in detailed else other_points
            # A curve that was decimated and is detailed now has more points to show.
            sparse = 2 * (curve.sent + curve.unsent) < min(curve.length, maximum)
            if reset or curve.outdated or sparse or curve.sent + curve.unsent > 2 * maximum:
                indexes = decimate(None, curve.columns()[2], maximum)
                pieces.append((trial, True, [column[indexes] for column in curve.columns()]))
                curve.sent = len(indexes)
            elif curve.unsent:
                pieces.append((trial, False, [column[-curve.unsent :] for column in curve.columns()]))
                curve.sent += curve.unsent
            curve.unsent, curve.outdated = 0, False
        if not pieces:
            return CurveUpdate(), reset
        iteration, time_s, value = (np.concatenate(parts) for parts in zip(*(p[2] for p in pieces), strict=True))
        segments = [(trial, len(parts[0]), replace) for trial, replace, parts in pieces]
        return CurveUpdate(segments, iteration, time_s, value), reset


def _split_restarts(iteration: np.ndarray, positions: np.ndarray) -> list[np.ndarray]:
    """Split the positions of one trial's reports where its iterations decrease: there it has restarted."""
    return np.split(positions, np.flatnonzero(np.diff(iteration) <= 0) + 1)
