"""Decimation of curves: tsdownsample's MinMax, for any values of a metric."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tsdownsample import MinMaxDownsampler

__all__ = ["decimate"]


def decimate(x: npt.ArrayLike | None, y: npt.ArrayLike, points: int) -> npt.NDArray[np.int64]:
    """Return the indexes, ascending, of at most `points` points with which a curve looks the same.

    The first and the last point are kept, and the lowest and the highest finite value. Values that are not finite are
    skipped; if all are, the indexes are spread evenly.

    Args:
        x: ascending numbers, shape (n,), or None for the indexes.
        y: numbers, shape (n,).
        points: the maximum number of points, at least 4; a curve with no more is returned unchanged.
    """
    values = np.asarray(y, dtype=np.float64)
    last, points = len(values) - 1, max(points, 4)
    if len(values) <= points:
        return np.arange(len(values), dtype=np.int64)
    finite = np.flatnonzero(np.isfinite(values)).astype(np.int64)  # infinity would be the extreme of its bin
    if not len(finite):
        return np.linspace(0, last, points).round().astype(np.int64)
    positions = finite if x is None else np.asarray(x, dtype=np.float64)[finite]
    return np.union1d(finite[_extremes(positions, values[finite], points - 2)], np.array([0, last]))


def _extremes(
    positions: npt.NDArray[np.float64] | npt.NDArray[np.int64], values: npt.NDArray[np.float64], points: int
) -> npt.NDArray[np.int64]:
    """Return the indexes of the lowest and the highest value in each of `points / 2` bins of equal width."""
    if points < 4:  # tsdownsample panics with one bin
        return np.array([values.argmin(), values.argmax()])
    with np.errstate(all="ignore"):
        span = positions[-1] - positions[0]
        smallest = max(1e-12 * np.abs(positions[[0, -1]]).max(), 1e-300)
        if not (np.isfinite(span) and span > smallest and np.all(np.diff(positions) >= 0)):  # and with these
            positions = np.arange(len(values))
    downsampler = MinMaxDownsampler()
    return np.asarray(downsampler.downsample(positions, values, n_out=points // 2 * 2), dtype=np.int64)
