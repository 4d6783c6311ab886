"""The curves as messages for the browser: only new points, and no more of them than a screen can show."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

import numpy as np

from nbtune.results.columns import groups
from nbtune.results.store import Store
from nbtune.views.base.decimate import decimate

__all__ = ["Points", "Update"]

_ALL = 24_000  # points of all curves together: what plotly draws anew within some 20 ms
_FINE = 1_500  # points of one that is looked at: two for each pixel of its width
_COARSE = 6  # the least of one that is not: both ends and the extremes


@dataclass
class Update:
    """What the browser is to be told.

    Attributes:
        segments: (trial, count, replace) for each piece; see widgets/README.md.
        iteration: all pieces one after another, int32, shape (n,).
        time_s: the same, float64.
        value: the same, float64.
    """

    segments: list[tuple[int, int, bool]] = field(default_factory=list)
    iteration: np.ndarray = field(default_factory=lambda: np.array([], np.int32))
    time_s: np.ndarray = field(default_factory=lambda: np.array([], float))
    value: np.ndarray = field(default_factory=lambda: np.array([], float))

    def buffers(self) -> list[bytes]:
        """Return the three columns as bytes, in their order."""
        return [column.tobytes() for column in (self.iteration, self.time_s, self.value)]


class _Curve:
    """One trial's points, all of them; and how many the browser has."""

    def __init__(self) -> None:
        self._columns: list[np.ndarray] = [np.empty(64, np.int32), np.empty(64), np.empty(64)]
        self.length = 0
        self.told = 0  # points in the browser
        self.fresh = 0  # the last so many are not told
        self.void = False  # what the browser has is no longer true

    def columns(self) -> list[np.ndarray]:
        return [column[: self.length] for column in self._columns]

    def add(self, *more: np.ndarray) -> None:
        iteration = self._columns[0]
        if self.length and more[0][0] <= iteration[self.length - 1]:
            # Tried again from a checkpoint: what came after it is made again.
            self.length = int(np.searchsorted(iteration[: self.length], more[0][0]))
            self.void = True
        count = len(more[0])
        if self.length + count > len(iteration):
            size = max(2 * len(iteration), self.length + count)
            self._columns = [np.resize(column, size) for column in self._columns]
        for column, values in zip(self._columns, more, strict=True):
            column[self.length : self.length + count] = values
        self.length += count
        self.fresh += count


class Points:
    """The curves of one metric, told in pieces.

    A curve that is looked at is told finely, the others coarsely: thinned by MinMax, which keeps the
    extremes. What comes in is appended as it is; when a curve has grown to twice what it should have, it
    is thinned again and replaced, so that over a whole run each point travels about twice.

    Args:
        store: the experiment's state.
        metric: the metric.
    """

    def __init__(self, store: Store, metric: str) -> None:
        self._store, self.metric = store, metric
        self._known = 0
        self._fine: Set[int] = frozenset()
        self._curves: dict[int, _Curve] = {}

    def update(self, fine: Set[int] = frozenset(), *, everything: bool = False) -> tuple[Update, bool]:
        """Return what is new, and whether it takes the place of everything told before.

        Args:
            fine: the trials that are looked at: running, best, selected.
            everything: begin again: the browser knows nothing.
        """
        self._known, columns = self._store.reports.points(self.metric, self._known)
        touched = set(self._fine ^ fine) & self._curves.keys()
        self._fine = frozenset(fine)
        for trial, at in groups(columns[0]):
            for part in _rising(columns[1][at], at):
                self._curves.setdefault(trial, _Curve()).add(*(column[part] for column in columns[1:]))
            touched.add(trial)
        coarse = max(_COARSE, min(_FINE, _ALL // max(1, len(self._curves))))
        # Curves that were told when there were few of them have more points than is their share now.
        reset = everything or sum(curve.told for curve in self._curves.values()) > 2 * _ALL + _FINE * len(fine)
        pieces: list[tuple[int, bool, list[np.ndarray]]] = []
        for trial in sorted(self._curves if reset else touched):
            curve = self._curves[trial]
            most = _FINE if trial in fine else coarse
            # One that was told coarsely and is looked at now has more to show.
            thin = 2 * (curve.told + curve.fresh) < min(curve.length, most)
            if reset or curve.void or thin or curve.told + curve.fresh > 2 * most:
                kept = decimate(None, curve.columns()[2], most)
                pieces.append((trial, True, [column[kept] for column in curve.columns()]))
                curve.told = len(kept)
            elif curve.fresh:
                pieces.append((trial, False, [column[-curve.fresh :] for column in curve.columns()]))
                curve.told += curve.fresh
            curve.fresh, curve.void = 0, False
        if not pieces:
            return Update(), reset
        iteration, time_s, value = (np.concatenate(parts) for parts in zip(*(p[2] for p in pieces), strict=True))
        segments = [(trial, len(parts[0]), replace) for trial, replace, parts in pieces]
        return Update(segments, iteration, time_s, value), reset


def _rising(iteration: np.ndarray, at: np.ndarray) -> list[np.ndarray]:
    """Split one trial's positions where its iterations go back: a retry makes the later ones again."""
    return np.split(at, np.flatnonzero(np.diff(iteration) <= 0) + 1)
