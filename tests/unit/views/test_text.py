"""nbtune.views.text: an experiment in words."""

import math

import pytest

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import (
    AttemptFailed,
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialPaused,
    TrialReported,
    TrialStarted,
)
from nbtune.results.store import Store
from nbtune.views.text import best_line, count_line, number, summary


def store_of(*events, metric="acc", mode="max", **metadata):
    first = {"status": "running", "name": "digits", "metric": metric, "mode": mode, "trials": 5, **metadata}
    store = Store()
    for chunk in decode(encode(0, [ExperimentUpdated(time=100.0, metadata=first), *events])):
        store.apply(chunk)
    return store


def trial(number, acc, status="finished", **config):
    events = [
        TrialAdded(number, 100.0, ray_id="a", folder="b", config=config),
        TrialStarted(number, 100.0),
        TrialReported(number, 101.0, 1, 1.0, metrics={"acc": acc}),
    ]
    if status == "failed":
        events.append(AttemptFailed(number, 102.0, error="E: <b>no</b>", traceback="t", final=True))
    if status != "running":
        events.append(TrialEnded(number, 172.0, status=status, reason="done"))
    return events


OVER = ExperimentUpdated(time=172.0, metadata={"status": "finished", "path": "/kept/here"})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.1235"), (1e-9, "1e-09"), (math.nan, "nan"), (3, "3"), ("sgd", "sgd"), (None, "None"), (int, "int")],
)
def test_numbers_are_short(value, text):
    assert number(value) == text


def test_counts():
    assert count_line(store_of()) == "no trial running yet"
    store = store_of(*trial(0, 1), *trial(1, 1, "stopped"), *trial(2, 1, "running"), *trial(3, 1, "failed"))
    assert count_line(store) == "1 running, 1 finished, 1 stopped early, 1 failed"


def test_paused_and_unfinished_trials_are_counted():
    paused = [*trial(0, 1, "running"), TrialPaused(0, 103.0, reason="user")]
    store = store_of(*paused, *trial(1, 1, "running"), *trial(2, 1))
    assert count_line(store) == "1 running, 1 paused, 1 finished"
    ended = ExperimentUpdated(time=172.0, metadata={"status": "stopped"})
    store = store_of(*paused, *trial(1, 1, "running"), *trial(2, 1), ended)
    assert count_line(store) == "1 finished, 2 unfinished"


def test_the_best():
    store = store_of(*trial(0, 0.5, lr=0.1), *trial(1, 0.98765, lr=0.25, opt="sgd"))
    assert best_line(store) == "best acc 0.9877 (trial 1: lr=0.25, opt=sgd)"
    assert best_line(store_of(*trial(0, math.nan))) == ""
    assert best_line(store_of(*trial(0, 1), metric=None, mode=None)) == ""


def test_a_summary_of_a_running_experiment():
    lines = summary(store_of(*trial(0, 0.5), *trial(1, 0.75, "running"))).splitlines()
    assert lines[0].startswith("digits: running, 1 of 5 trials in ")
    assert lines[1] == "best acc 0.75 (trial 1: )"
    assert len(lines) == 2


def test_a_summary_of_a_finished_experiment():
    assert summary(store_of(*trial(0, 0.5, lr=1), OVER)).splitlines() == [
        "digits: finished, 1 of 5 trials in 1:12 (1 finished)",
        "best acc 0.5 (trial 0: lr=1)",
        "stored in /kept/here",
    ]


def test_failures_are_counted_and_the_first_is_shown():
    text = summary(store_of(*trial(3, 1, "failed"), *trial(4, 1, "failed"), error="the end"))
    assert text.splitlines()[1:] == [
        "the end",
        "2 trials failed: 2 × E; see .failures",
        "trial 3 failed: E: <b>no</b>",
    ]


def test_the_summary_tells_which_code_runs():
    assert "it runs its stored code; changed since" in summary(
        store_of(*trial(0, 0.5), code="it runs its stored code; changed since in the notebook: train")
    )
