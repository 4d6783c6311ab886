"""nbtune.spec.plan.eta: the time that an experiment has left."""

import math
import random

import pytest

from nbtune.results.state import TrialState
from nbtune.spec.plan.eta import TimeLeft, estimate, time_left


def ended_trial(number, duration, status="finished"):
    return TrialState(number, status=status, started=100.0, ended=100.0 + duration)


def test_the_eta_is_the_remaining_work_divided_by_the_slots():
    left = estimate([10.0] * 100, [], [0.0] * 8, 2)
    assert left.likely == pytest.approx(40, rel=0.02)
    assert left.low <= left.likely <= left.high
    assert left.high - left.low < 4


def test_the_elapsed_time_of_running_trials_is_deducted():
    assert estimate([10.0] * 100, [9.0], [], 1).likely == pytest.approx(1, abs=0.3)
    assert estimate([10.0] * 100, [4.0, 4.0], [0.0] * 2, 2).likely == pytest.approx(16, rel=0.05)


def test_the_interval_narrows_with_the_number_of_finished_trials():
    first, later = estimate([10.0], [], [0.0] * 10, 1), estimate([10.0] * 30, [], [0.0] * 10, 1)
    assert first.high - first.low > 5 * (later.high - later.low)


def test_the_interval_widens_with_the_variance_of_durations():
    rng = random.Random(1)
    durations = [rng.uniform(2, 30) for _ in range(40)]
    left = estimate(durations, [], [0.0] * 40, 4)
    assert left.low < 16 * 10 < left.high * 1.1
    assert left.high - left.low > 5


def test_a_running_trial_longer_than_all_finished_ones_adds_to_the_eta():
    left = estimate([10.0] * 9, [60.0], [], 1)
    assert 0 <= left.low < left.likely < left.high <= 15


def test_thousands_of_pending_trials_are_estimated():
    left = estimate([1.0, 3.0] * 50, [1.0] * 8, [0.0] * 10_000, 8)
    assert left.likely == pytest.approx(2 * 10_000 / 8, rel=0.1)
    assert left.low < left.likely < left.high


def test_the_interval_usually_contains_the_actual_time():
    rng, hits = random.Random(2), 0
    for _ in range(100):
        durations = [rng.lognormvariate(2, 0.4) for _ in range(8)]
        slots = [0.0, 0.0]
        for _ in range(20):
            slots[slots.index(min(slots))] += rng.lognormvariate(2, 0.4)
        left = estimate(durations, [], [0.0] * 20, 2)
        hits += left.low <= max(slots) <= left.high
    assert hits >= 60  # the interval is meant to contain 80%; the margin keeps the test stable


def test_the_estimate_is_deterministic():
    assert estimate([3.0, 5.0], [1.0], [0.0] * 9, 2) == estimate([3.0, 5.0], [1.0], [0.0] * 9, 2)


def test_there_is_no_estimate_before_the_first_or_after_the_last_trial_ends():
    running = TrialState(0, status="running", started=100.0)
    assert time_left([running], 4, 2, 150.0) is None
    assert time_left([ended_trial(0, 5)], 1, 2, 150.0) is None


def test_trials_of_every_kind_are_counted():
    trials = [
        ended_trial(0, 10),
        ended_trial(1, 10, "stopped"),
        ended_trial(2, 10, "failed"),
        TrialState(3, status="running", started=196.0),
        TrialState(4, status="paused", time_s=9.0),
        TrialState(5, status="paused"),
        TrialState(6),
    ]
    left = time_left(trials, 8, 1, 200.0)
    # Trials 3 to 7: two have not started, and the progress of one is unknown.
    assert left.low < 6 + 1 + 3 * 10 < left.high
    assert math.isfinite(left.high)


def test_a_time_budget_limits_the_estimate():
    left = time_left([ended_trial(0, 10)], 100, 1, 150.0, budget=60.0)
    assert left == TimeLeft(60.0, 60.0, 60.0)
    assert str(left) == "about 1:00 left"
    assert time_left([ended_trial(0, 10)], 100, 1, 150.0, budget=-3.0) == TimeLeft(0.0, 0.0, 0.0)


def test_the_text_of_an_estimate_is_short():
    assert str(TimeLeft(30.4, 40.0, 55.0)) == "about 0:40 left (0:30 to 0:55)"
