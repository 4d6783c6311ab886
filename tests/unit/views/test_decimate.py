"""nbtune.views.base.decimate: few points that stand for many."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtune.views.base.decimate import decimate

MOST = 120
ANY = st.floats(width=64, allow_nan=True, allow_infinity=True)
VALUES = st.lists(ANY, max_size=MOST)
POINTS = st.integers(4, 50)


def check(x, y, points):
    chosen = decimate(x, y, points)
    assert chosen.dtype == np.int64
    assert np.all(np.diff(chosen) > 0)
    if len(y) <= points:
        assert chosen.tolist() == list(range(len(y)))
        return chosen
    assert chosen[0] == 0
    assert chosen[-1] == len(y) - 1
    assert len(chosen) <= points
    finite = np.asarray(y, float)[np.isfinite(np.asarray(y, float))]
    if len(finite):
        kept = np.asarray(y, float)[chosen]
        assert finite.min() in kept
        assert finite.max() in kept
    return chosen


@given(VALUES, POINTS)
@settings(max_examples=300)
def test_ends_and_extremes_are_kept(values, points):
    check(None, values, points)


@given(VALUES, st.lists(st.floats(allow_nan=False), min_size=MOST, max_size=MOST), POINTS)
@settings(max_examples=300)
def test_any_ascending_positions(values, places, points):
    check(np.sort(places)[: len(values)], values, points)


@pytest.mark.parametrize("first", [0.0, 1.0, 1e300])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("points", [4, 6, 8, 10])
def test_positions_that_are_nearly_equal(first, count, points):
    """With these, tsdownsample panics or misses an extreme."""
    places = np.array([first] * (15 - count) + [np.nextafter(first, np.inf)] * count)
    check(places, [0.0] * 13 + [-1.0, 0.0], points)


@given(VALUES, st.lists(ANY, min_size=MOST, max_size=MOST), POINTS)
def test_unsorted_positions_are_accepted(values, places, points):
    check(places[: len(values)], values, points)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_no_extremes(bad):
    y = np.sin(np.linspace(0, 20, 1000))
    y[5:995:7] = bad
    chosen = check(None, y, 50)
    assert np.isfinite(y[chosen]).all()


def test_without_finite_values_the_indexes_are_spread():
    chosen = check(None, np.full(1000, np.nan), 11)
    assert len(chosen) == 11
    assert set(np.diff(chosen)) <= {99, 100}


def test_bins_are_of_equal_width_in_x():
    x = np.concatenate([np.linspace(0, 1, 900), np.linspace(1.01, 100, 100)])
    chosen = check(x, np.sin(np.arange(1000.0)), 102)
    assert (x[chosen] > 1).sum() > 60  # nine tenths of the points, but a hundredth of the width


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint64", "bool", "float16", "float32", "float64"])
def test_arrays_of_any_kind(dtype):
    y = (np.arange(2000) % 7).astype(dtype)[::2]
    y.flags.writeable = False
    x = np.arange(2000)[::2]
    x.flags.writeable = False
    assert len(check(x, y, 40)) > 30
    assert len(check(None, y, 40)) > 30


def test_constant_positions_are_ignored():
    check(np.ones(500), np.arange(500.0), 20)


def test_a_peak_of_one_point_is_kept():
    y = np.zeros(100_000)
    y[54_321] = 1.0
    assert 54_321 in decimate(None, y, 80)


def test_the_minimum_is_the_ends_and_the_extremes():
    y = np.array([0, 5, -5, 1, 2, 3.0])
    assert decimate(None, y, 4).tolist() == decimate(None, y, 1).tolist() == [0, 1, 2, 5]
