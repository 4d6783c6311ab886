"""The curves as messages."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtune.engine.protocol.events import TrialReported
from nbtune.results.store import Store
from nbtune.views.live.points import CurvePoints
from tests.unit.feed import feed


def reported(trial, step, **metrics):
    return TrialReported(trial, 0.0, step, 0.5 * step, metrics=metrics)


class Browser:
    """Does what the browser does with the messages."""

    def __init__(self):
        self.curves = {}
        self.received = 0

    def take(self, update, reset):
        if reset:
            self.curves.clear()
        iteration, time_s, value = (
            np.frombuffer(b, t) for b, t in zip(update.buffers(), ["i4", "f8", "f8"], strict=True)
        )
        self.received += len(value)
        start = 0
        for trial, count, replace in update.segments:
            part = slice(start, start + count)
            new = list(zip(iteration[part].tolist(), time_s[part].tolist(), value[part].tolist(), strict=True))
            self.curves[trial] = new if replace else self.curves.get(trial, []) + new
            start += count
        assert start == len(value)


def test_only_new_points_are_sent():
    store, browser = Store(), Browser()
    points = CurvePoints(store, "loss")
    for step in range(1, 101):
        feed(store, reported(0, step, loss=1 / step), reported(1, step, other=1))
        browser.take(*points.update())
    assert browser.received == 100
    assert browser.curves == {0: [(step, 0.5 * step, 1 / step) for step in range(1, 101)]}
    update, reset = points.update()
    assert not update.segments
    assert not reset


def test_a_long_curve_is_decimated_and_each_point_is_sent_about_twice():
    store, browser = Store(), Browser()
    points = CurvePoints(store, "loss")
    values = np.random.default_rng(0).normal(size=20_000)
    values[777], values[12_345] = 50.0, -50.0
    for start in range(0, len(values), 100):
        feed(store, *(reported(0, i + 1, loss=float(values[i])) for i in range(start, start + 100)))
        browser.take(*points.update({0}))
    curve = browser.curves[0]
    assert len(curve) <= 3000
    assert browser.received < 2.5 * len(values)
    shown = [value for _, _, value in curve]
    assert max(shown) == 50.0
    assert min(shown) == -50.0
    assert curve[-1][0] == 20_000
    assert [i for i, _, _ in curve] == sorted({i for i, _, _ in curve})


def test_many_trials_share_the_points():
    store, browser = Store(), Browser()
    feed(store, *(reported(t, i + 1, loss=float(i)) for t in range(500) for i in range(200)))
    points = CurvePoints(store, "loss")
    browser.take(*points.update({3}))
    assert len(browser.curves[3]) == 200
    assert len(browser.curves[4]) <= 48
    assert sum(map(len, browser.curves.values())) < 25_000
    browser.take(*points.update({3, 4}))  # it is looked at now
    assert len(browser.curves[4]) == 200
    browser.take(*points.update({3}))  # and no longer
    assert len(browser.curves[4]) <= 48


def test_reports_of_a_retry_replace_earlier_ones():
    store, browser = Store(), Browser()
    points = CurvePoints(store, "loss")
    feed(store, *(reported(0, i, loss=float(i)) for i in (1, 2, 3, 4)))
    browser.take(*points.update())
    feed(store, reported(0, 3, loss=30.0))
    browser.take(*points.update())
    assert [(i, v) for i, _, v in browser.curves[0]] == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_nan_is_a_gap_and_a_later_metric_is_included():
    store, browser = Store(), Browser()
    feed(store, reported(0, 1, loss=math.nan), reported(0, 2, loss="x"), reported(0, 3, loss=1), reported(0, 4, b=2.5))
    browser.take(*CurvePoints(store, "loss").update())
    assert np.isnan([v for _, _, v in browser.curves[0][:2]]).all()
    assert browser.curves[0][2][2] == 1.0
    other = Browser()
    other.take(*CurvePoints(store, "b").update())
    assert other.curves == {0: [(4, 2.0, 2.5)]}


@settings(max_examples=60)
@given(st.data())
def test_the_order_of_reports_and_updates_does_not_matter(data):
    lives = data.draw(st.lists(st.integers(0, 20), min_size=1, max_size=4))
    events = [reported(t, i + 1, loss=float(t * 100 + i)) for t, count in enumerate(lives) for i in range(count)]
    events = data.draw(st.permutations(events))
    store, browser = Store(), Browser()
    points = CurvePoints(store, "loss")
    start = 0
    latest = {}
    while start < len(events):
        count = data.draw(st.integers(1, 10))
        feed(store, *events[start : start + count])
        start += count
        browser.take(*points.update(data.draw(st.sets(st.integers(0, 3)))))
    for event in events:  # in whatever order: the latest of each goes back to its iteration
        curve = latest.setdefault(event.trial, [])
        while curve and curve[-1][0] >= event.iteration:
            curve.pop()
        curve.append((event.iteration, event.time_s, event.metrics["loss"]))
    assert browser.curves == latest
