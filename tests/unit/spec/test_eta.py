"""nbtune.spec.plan.eta: the time that an experiment has left."""

import math
import random

import pytest

from nbtune.results.state import TrialState
from nbtune.spec.plan.eta import TimeLeft, estimate, time_left


def over(number, took, status="finished"):
    return TrialState(number, status=status, started=100.0, ended=100.0 + took)


def test_it_is_what_is_still_to_come_on_the_places_that_there_are():
    left = estimate([10.0] * 100, [], [0.0] * 8, 2)
    assert left.likely == pytest.approx(40, rel=0.02)
    assert left.low <= left.likely <= left.high
    assert left.high - left.low < 4


def test_what_running_trials_have_had_counts():
    assert estimate([10.0] * 100, [9.0], [], 1).likely == pytest.approx(1, abs=0.3)
    assert estimate([10.0] * 100, [4.0, 4.0], [0.0] * 2, 2).likely == pytest.approx(16, rel=0.05)


def test_one_trial_says_little_and_many_say_more():
    first, later = estimate([10.0], [], [0.0] * 10, 1), estimate([10.0] * 30, [], [0.0] * 10, 1)
    assert first.high - first.low > 5 * (later.high - later.low)


def test_durations_that_differ_make_the_spread():
    drawn = random.Random(1)
    took = [drawn.uniform(2, 30) for _ in range(40)]
    left = estimate(took, [], [0.0] * 40, 4)
    assert left.low < 16 * 10 < left.high * 1.1
    assert left.high - left.low > 5


def test_a_running_trial_that_takes_longer_than_all_others_is_waited_for():
    left = estimate([10.0] * 9, [60.0], [], 1)
    assert 0 <= left.low < left.likely < left.high <= 15


def test_thousands_that_wait_are_summed_up():
    left = estimate([1.0, 3.0] * 50, [1.0] * 8, [0.0] * 10_000, 8)
    assert left.likely == pytest.approx(2 * 10_000 / 8, rel=0.1)
    assert left.low < left.likely < left.high


def test_the_truth_is_mostly_between_low_and_high():
    drawn, hits = random.Random(2), 0
    for _ in range(100):
        took = [drawn.lognormvariate(2, 0.4) for _ in range(8)]
        truth = [0.0, 0.0]
        for _ in range(20):
            truth[truth.index(min(truth))] += drawn.lognormvariate(2, 0.4)
        left = estimate(took, [], [0.0] * 20, 2)
        hits += left.low <= max(truth) <= left.high
    assert hits >= 60  # it is to be 80; this is not the place to measure it


def test_the_same_state_gives_the_same_answer():
    assert estimate([3.0, 5.0], [1.0], [0.0] * 9, 2) == estimate([3.0, 5.0], [1.0], [0.0] * 9, 2)


def test_nothing_is_said_before_the_first_end_and_after_the_last():
    running = TrialState(0, status="running", started=100.0)
    assert time_left([running], 4, 2, 150.0) is None
    assert time_left([over(0, 5)], 1, 2, 150.0) is None


def test_trials_of_every_kind_are_counted():
    trials = [
        over(0, 10),
        over(1, 10, "stopped"),
        over(2, 10, "failed"),
        TrialState(3, status="running", started=196.0),
        TrialState(4, status="paused", time_s=9.0),
        TrialState(5, status="paused"),
        TrialState(6),
    ]
    left = time_left(trials, 8, 1, 200.0)
    assert left.low < 6 + 1 + 3 * 10 < left.high  # 3 to 7 of which two are new and one has said nothing
    assert math.isfinite(left.high)


def test_a_time_budget_ends_it_earlier():
    left = time_left([over(0, 10)], 100, 1, 150.0, budget=60.0)
    assert left == TimeLeft(60.0, 60.0, 60.0)
    assert str(left) == "about 1:00 left"
    assert time_left([over(0, 10)], 100, 1, 150.0, budget=-3.0) == TimeLeft(0.0, 0.0, 0.0)


def test_it_is_told_in_few_words():
    assert str(TimeLeft(30.4, 40.0, 55.0)) == "about 0:40 left (0:30 to 0:55)"
