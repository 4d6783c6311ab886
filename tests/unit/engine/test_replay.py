"""nbtune.engine.protocol.replay: the state of an experiment according to its event log."""

import math

import pytest

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import (
    CheckpointSaved,
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialPaused,
    TrialQueued,
    TrialReconfigured,
    TrialReported,
    TrialStarted,
    WorkerReported,
    WorkersStarted,
)
from nbtune.engine.protocol.replay import SavedCheckpoint, past_of
from nbtune.results.store import Store

ADDED = {"ray_id": "ab_00000", "config": {"a": 1}, "folder": "trial_ab_00000", "by": "user"}


def past(*events):
    return past_of(decode(encode(0, list(events))))


def reported(iteration, **metrics):
    return TrialReported(0, iteration=iteration, time_s=0.5 * iteration, metrics=metrics)


def test_a_checkpoint_has_the_metrics_of_its_report():
    found = past(
        ExperimentUpdated(metadata={"status": "running", "trials": 4}),
        TrialAdded(0, **ADDED),
        TrialStarted(0),
        reported(1, acc=0.1),
        reported(2, acc=0.2, loss=3),
        CheckpointSaved(0, iteration=2, path="t/checkpoint_000001"),
        reported(3, acc=0.3),
    )
    assert found.metadata["trials"] == 4
    (trial,) = found.trials.values()
    assert (trial.ray_id, trial.folder, trial.config, trial.by) == ("ab_00000", "trial_ab_00000", {"a": 1}, "user")
    assert trial.checkpoints == [SavedCheckpoint("t/checkpoint_000001", 2, {"acc": 0.2, "loss": 3}, 1.0)]
    assert trial.last_metrics["acc"] == 0.3
    assert trial.iterations == 3
    assert trial.is_resumed(failed=False)


def test_a_copy_may_start_before_the_log_has_the_checkpoint_that_it_starts_from():
    copied = TrialReconfigured(0, config={"a": 2}, source=1, source_iteration=3, path="s/checkpoint_000003")
    source = TrialAdded(1, **{**ADDED, "ray_id": "ab_00001", "folder": "s"})
    late = CheckpointSaved(1, iteration=3, path="s/checkpoint_000003")
    own = CheckpointSaved(0, iteration=3, path="trial_ab_00000/checkpoint_000002")
    for events, start in (([copied, late], "s/checkpoint_000003"), ([copied, late, own], None), ([copied], None)):
        found = past(TrialAdded(0, **ADDED), source, *events).trials["ab_00000"]
        assert (found.start and found.start.path) == start


def test_the_last_report_with_numbers_for_some_metrics_is_known():
    (trial,) = past(
        TrialAdded(0, **ADDED),
        reported(1, acc=0.1, loss=1.0),
        reported(2, acc=0.2, loss=2.0),
        reported(3, acc=0.3, loss=math.nan),
        reported(4, loss=4, note="text"),
        reported(5, acc=None, note="text"),
    ).trials.values()
    assert trial.last_metrics == {"acc": None, "note": "text"}
    assert [(set(names), one.iteration, one.time_s) for names, one in trial.reports.items()] == [
        ({"acc", "loss"}, 2, 1.0),
        ({"acc"}, 3, 1.5),
        ({"loss"}, 4, 2.0),
        (set(), 5, 2.5),
    ]


def test_reports_of_workers_are_not_reports_of_the_trial():
    (trial,) = past(
        TrialAdded(0, **ADDED),
        WorkersStarted(0, workers=[]),
        reported(1, acc=0.1),
        WorkerReported(0, iteration=1, time_s=9.0, metrics={"acc": 0.9}, rank=0, took={"seconds": 1.0}),
        CheckpointSaved(0, iteration=1, path="t/x"),
    ).trials.values()
    assert trial.checkpoints == [SavedCheckpoint("t/x", 1, {"acc": 0.1}, 0.5)]
    assert (trial.last_metrics, trial.last_time_s) == ({"acc": 0.1}, 0.5)


def test_a_trial_starts_from_a_checkpoint_of_another_until_it_has_saved_its_own():
    events = [
        TrialAdded(0, **ADDED),
        TrialAdded(1, ray_id="ab_00001", folder="trial_ab_00001", config={}),
        reported(1, acc=0.1),
        CheckpointSaved(0, iteration=1, path="t/x"),
        TrialReconfigured(1, config={"a": 2}, source=0, source_iteration=1, path="t/x"),
    ]
    other = past(*events).trials["ab_00001"]
    assert other.config == {"a": 2}
    assert (other.start, other.checkpoints) == (SavedCheckpoint("t/x", 1, {"acc": 0.1}, 0.5), [])
    own = past(*events, CheckpointSaved(1, iteration=1, path="u/y")).trials["ab_00001"]
    assert (own.start, [saved.path for saved in own.checkpoints]) == (None, ["u/y"])
    assert past(TrialAdded(0, **ADDED), TrialReconfigured(0, config={}, path="t/gone")).trials["ab_00000"].start is None


@pytest.mark.parametrize(
    ("status", "reason", "is_resumed"),
    [
        ("finished", "done", (False, False)),
        ("stopped", "user", (False, False)),
        ("stopped", "scheduler", (False, False)),
        ("finished", "max_t", (False, False)),
        ("stopped", "experiment", (True, True)),
        ("failed", "error", (False, True)),
    ],
)
def test_which_trials_are_resumed(status, reason, is_resumed):
    found = past(TrialAdded(0, **ADDED), TrialEnded(0, status=status, reason=reason))
    trial = found.trials["ab_00000"]
    assert (trial.is_resumed(failed=False), trial.is_resumed(failed=True)) == is_resumed
    again = past(TrialAdded(0, **ADDED), TrialEnded(0, status=status, reason=reason), TrialQueued(0))
    assert again.trials["ab_00000"].is_resumed(failed=False)


def test_the_store_follows_a_pause_and_a_resumption():
    store = Store()
    events = [
        TrialAdded(0, 1.0, **ADDED),
        TrialStarted(0, 2.0),
        reported(1, acc=1),
        TrialPaused(0, 3.0, reason="user"),
    ]
    (chunk,) = decode(encode(0, events))
    store.apply(chunk)
    state = store.trials[0]
    assert (state.status, state.reason, store.counts["paused"]) == ("paused", "user", 1)
    more = [TrialQueued(0, 4.0), TrialStarted(0, 5.0)]
    (chunk,) = decode(encode(4, more))
    store.apply(chunk)
    assert (state.status, state.reason, state.started, store.counts["paused"]) == ("running", "", 5.0, 0)
    before = store.generation
    store.reset()
    assert (store.generation, store.cursor, store.trials, store.counts.total()) == (before + 1, 0, {}, 0)
    assert store.history().empty
