"""A curve of many points as the few that it looks the same with: tsdownsample's MinMax, made safe for any metric."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tsdownsample import MinMaxDownsampler

__all__ = ["decimate"]


def decimate(x: npt.ArrayLike | None, y: npt.ArrayLike, points: int) -> npt.NDArray[np.int64]:
    """Return the positions, ascending, of at most `points` points that stand for a curve.

    The first and the last point are kept, and so are the lowest and the highest finite value. Values that are
    not finite are passed over, and where no value is finite the positions are spread evenly.

    Args:
        x: ascending numbers, or None for the positions themselves.
        y: numbers, as many.
        points: how many points there may be, at least 4; a curve of no more is kept whole.
    """
    values = np.asarray(y, dtype=np.float64)
    last, points = len(values) - 1, max(points, 4)
    if len(values) <= points:
        return np.arange(len(values), dtype=np.int64)
    finite = np.flatnonzero(np.isfinite(values)).astype(np.int64)  # infinity would be the extreme of its bin
    if not len(finite):
        return np.linspace(0, last, points).round().astype(np.int64)
    places = finite if x is None else np.asarray(x, dtype=np.float64)[finite]
    return np.union1d(finite[_extremes(places, values[finite], points - 2)], np.array([0, last]))


def _extremes(
    places: npt.NDArray[np.float64] | npt.NDArray[np.int64], values: npt.NDArray[np.float64], points: int
) -> npt.NDArray[np.int64]:
    """Return the positions of the lowest and the highest value of each of `points / 2` bins of equal width."""
    if points < 4:  # one bin, which Rust panics at
        return np.array([values.argmin(), values.argmax()])
    with np.errstate(all="ignore"):
        span = places[-1] - places[0]
        if not (np.isfinite(span) and span > 0 and np.all(np.diff(places) >= 0)):  # and at these
            places = np.arange(len(values))
    downsampler = MinMaxDownsampler()  # type: ignore[no-untyped-call]
    return np.asarray(downsampler.downsample(places, values, n_out=points // 2 * 2), dtype=np.int64)
