"""A trial that is over without a number as the value of the metric says why, and so does the experiment."""

import math
from types import SimpleNamespace

import pytest

from nbtune.engine.protocol.events import (
    AttemptFailed,
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialQueued,
    TrialReported,
)
from nbtune.results.no_value import no_value_note
from nbtune.results.store import Store
from nbtune.results.trial import Trial
from nbtune.views.live.rows import TableRows
from nbtune.views.live.state import _hint
from tests.unit.feed import feed


def note_of(store):
    return no_value_note(store.state(0), store.objectives)


def store_of(*reports, metric="loss", status="finished", over=True):
    """Return the state of an experiment with one trial that has made these reports."""
    start = ExperimentUpdated(metadata={"status": "running", "metric": metric, "mode": "min", "trials": 1})
    added = TrialAdded(0, ray_id="ab", config={"lr": 0.5}, folder="t")
    events = [TrialReported(0, iteration=number, metrics=one) for number, one in enumerate(reports, 1)]
    end = [TrialEnded(0, status=status, reason="done"), ExperimentUpdated(metadata={"status": "finished"})]
    return feed(Store(), start, added, *events, *(end if over else []))


@pytest.mark.parametrize(
    ("reports", "note"),
    [
        ([{"loss": "a"}, {"loss": "abc"}], "loss was never a finite number in 2 reports; its last value was 'abc' (str)"),
        ([{"loss": None}], "loss was never a finite number; its last value was None (NoneType)"),
        ([{"loss": math.nan, "acc": 1.0}] * 3, "loss was never a finite number in 3 reports; its last value was nan (float)"),
        ([{"acc": 1.0}, {"step": 2}], "never reported 'loss'; it reported acc, step"),
        ([], "never reported 'loss': it made no report"),
        ([{"loss": 1.0}, {"loss": None}], ""),
    ],
)  # fmt: skip
def test_the_note_of_a_trial_and_the_warning_of_the_experiment(reports, note):
    store = store_of(*reports)
    assert note_of(store) == note
    assert Trial(SimpleNamespace(_store=store), 0).note == note
    assert _hint(store) == (f"trial 0: {note}" if note else "")
    message = TableRows(store).message(everything=True)
    assert (message["columns"][-1]["role"] == "error") is bool(note)
    assert not note or message["rows"][0][-1] == note


def test_a_trial_that_runs_or_has_failed_or_an_experiment_without_metric_has_no_note():
    assert note_of(store_of({"acc": 1.0}, over=False)) == ""
    assert note_of(store_of({"acc": 1.0}, metric=None)) == ""
    store = store_of({"acc": 1.0}, over=False)
    feed(
        store,
        AttemptFailed(0, error="ValueError", traceback="", final=True),
        TrialEnded(0, status="failed", reason="error"),
    )
    assert note_of(store) == ""


def test_a_trial_that_is_resumed_loses_its_note():
    store = store_of({"acc": 1.0}, status="stopped")
    assert note_of(store)
    feed(store, TrialQueued(0))
    assert note_of(store) == ""


def test_the_warning_counts_the_other_trials():
    store = store_of({"acc": 1.0})
    for number in (1, 2):
        feed(
            store,
            TrialAdded(number, ray_id=f"t{number}", config={}, folder="t"),
            TrialEnded(number, status="finished", reason="done"),
        )
    assert _hint(store) == "trial 0: never reported 'loss'; it reported acc, and 2 more without a value"
