"""The workers of distributed trials: from events to tables, and their output."""

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtune.engine.protocol.events import (
    CPU,
    SECONDS,
    WAITED,
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialReported,
    TrialStarted,
    WorkerReported,
    WorkersStarted,
)
from nbtune.engine.storage.storage import Storage
from nbtune.engine.trial.output import Output
from nbtune.errors import ExperimentError
from nbtune.results.logs import logs
from nbtune.results.store import Store
from nbtune.testing import replay
from tests.unit.feed import feed

COLUMNS = ["node", "pid", "gpus", "iteration", "seconds", "waited", "cpu", "straggler"]


def started(count, trial=0, iteration=0, node="10.0.0."):
    workers = [
        {"rank": rank, "node": f"{node}{rank}", "node_id": "ab12", "pid": 100 + rank, "gpus": [str(rank)]}
        for rank in range(count)
    ]
    return WorkersStarted(trial, 1.0, iteration, workers=workers)


def worked(rank, iteration, trial=0, /, **metrics):
    took = {name: metrics.pop(name) for name in (SECONDS, WAITED, CPU) if name in metrics}
    return WorkerReported(trial, 2.0, iteration, iteration * 0.5, metrics=metrics, rank=rank, took=took)


def report(iteration, seconds, trial=0, /, **metrics):
    """A report: the trial's own event, then one for each worker."""
    shares = [
        worked(rank, iteration, trial, seconds=one, waited=max(seconds) - one, cpu=one / 2, loss=rank + iteration / 10)
        for rank, one in enumerate(seconds)
    ]
    return [TrialReported(trial, 2.0, iteration, iteration * 0.5, metrics={"loss": 1.0, **metrics}), *shares]


def test_the_table_of_workers():
    store = feed(Store(), started(2), *report(1, [0.5, 0.25]), *report(2, [0.75, 0.25]))
    frame = store.workers.frame(0)
    assert list(frame.columns) == [*COLUMNS, "loss"]
    assert (frame.index.name, frame.index.tolist()) == ("rank", [0, 1])
    assert frame["node"].tolist() == ["10.0.0.0", "10.0.0.1"]
    assert frame["pid"].tolist() == [100, 101]
    assert frame["gpus"].tolist() == [["0"], ["1"]]
    assert frame["iteration"].tolist() == [2, 2]
    assert frame["seconds"].tolist() == [0.625, 0.25]
    assert frame["waited"].tolist() == [0.0, 0.375]
    assert frame["cpu"].tolist() == [0.3125, 0.125]
    assert frame["loss"].tolist() == [0.2, 1.2]


def test_a_trial_that_is_not_distributed_has_the_columns_but_no_rows():
    store = feed(Store(), TrialReported(0, 1.0, 1, 0.5, metrics={"loss": 1.0}))
    assert list(store.workers.frame(0).columns) == COLUMNS
    assert store.workers.frame(0).empty
    assert list(store.workers.history(0).columns) == ["rank", "iteration", "time_s", "seconds", "waited", "cpu"]
    assert store.workers.history(0).empty
    assert store.workers.ranks(0) == []


def test_reports_of_workers_are_not_reports_of_the_trial():
    store = feed(Store({"metric": "loss", "mode": "min"}), started(2), *report(1, [0.5, 0.5]), *report(2, [0.5, 0.5]))
    assert store.metrics() == ["loss"]
    assert store.history()["loss"].tolist() == [1.0, 1.0]
    assert (store.trials[0].metrics, store.trials[0].iterations, store.trials[0].value) == ({"loss": 1.0}, 2, 1.0)
    assert store.reports.points("loss", 0)[1][3].tolist() == [1.0, 1.0]


def test_numbers_may_be_missing():
    store = feed(Store(), started(2), worked(0, 1), worked(1, 1, loss=math.nan, seconds=1.0))
    frame = store.workers.frame(0)
    assert frame["iteration"].tolist() == [1, 1]
    assert frame[["waited", "cpu"]].isna().all(axis=None)
    assert frame["seconds"].isna().tolist() == [True, False]
    assert frame["loss"].isna().all()
    assert not frame["straggler"].any()


def test_workers_before_their_first_report_have_the_iteration_of_their_start():
    frame = feed(Store(), started(1, iteration=7)).workers.frame(0)
    assert frame["iteration"].tolist() == [7]
    assert list(frame.columns) == COLUMNS
    assert frame["seconds"].isna().all()


def test_metrics_named_like_a_column_are_renamed():
    store = feed(Store(), started(1), worked(0, 1, node=1, rank=2))
    assert store.workers.frame(0)["metrics/node"].tolist() == [1]
    assert store.workers.history(0)["metrics/rank"].tolist() == [2]
    assert store.workers.history(0)["node"].tolist() == [1]


def test_measurements_are_medians_of_the_last_ten_reports():
    events = [event for number in range(1, 15) for event in report(number, [float(number), 1.0])]
    assert feed(Store(), started(2), *events).workers.frame(0)["seconds"].tolist() == [9.5, 1.0]


# -- stragglers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "slow"),
    [
        ([1.0, 1.0, 1.0, 1.3], [3]),
        ([1.0, 1.0, 1.0, 1.19], []),
        ([0.1, 0.1, 0.1, 0.14], []),  # a third more, but only 40 ms
        ([0.1, 0.1, 0.1, 0.16], [3]),
        ([1.0, 1.4], []),
        ([1.0, 1.6], [1]),
        ([1.0, 1.0, 3.0, 2.0, 1.0], [2, 3]),
        ([5.0], []),
        ([0.0, 0.0], []),
    ],
)
def test_stragglers(seconds, slow):
    store = feed(Store(), started(len(seconds)), *[e for number in range(1, 4) for e in report(number, seconds)])
    frame = store.workers.frame(0)
    assert frame.index[frame["straggler"]].tolist() == slow


def test_there_are_no_stragglers_after_two_reports():
    events = [event for number in range(1, 3) for event in report(number, [1.0, 1.0, 9.0])]
    store = feed(Store(), started(3), *events)
    assert not store.workers.frame(0)["straggler"].any()
    feed(store, *report(3, [1.0, 1.0, 9.0]))
    assert store.workers.frame(0)["straggler"].tolist() == [False, False, True]


# -- failures --------------------------------------------------------------------------------------


def test_after_a_failure_there_are_new_workers_and_repeated_reports_occur_once():
    before = [event for number in range(1, 5) for event in report(number, [1.0, 1.0, 9.0])]
    store = feed(Store(), started(3), *before, started(2, iteration=2, node="b"))
    frame = store.workers.frame(0)
    assert frame["node"].tolist() == ["b0", "b1"]
    assert frame["iteration"].tolist() == [2, 2]
    assert frame["seconds"].isna().all()
    assert len(store.workers.history(0)) == 12  # until they are repeated
    feed(store, *report(3, [2.0, 4.0]))
    frame = store.workers.frame(0)
    assert frame["iteration"].tolist() == [3, 3]
    assert frame["seconds"].tolist() == [2.0, 4.0]
    history = store.workers.history(0)
    # The third worker's reports 3 and 4 are replaced with those of the others, although it has repeated none.
    rows = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1)]
    assert list(zip(history["iteration"], history["rank"], strict=True)) == rows
    assert history["seconds"].tolist() == [1.0, 1.0, 9.0, 1.0, 1.0, 9.0, 2.0, 4.0]
    assert store.workers.ranks(0) == [0, 1, 2]


LIVES = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 4), st.integers(0, 2)),  # workers, reports, repeated reports
    min_size=1,
    max_size=4,
)


@settings(max_examples=60)
@given(st.data(), st.lists(LIVES, min_size=1, max_size=3))
def test_the_chunks_of_events_do_not_matter(data, lives):
    events = []
    for trial, attempts in enumerate(lives):
        iteration = 0
        for attempt, (count, reports, back) in enumerate(attempts):
            iteration = max(0, iteration - back)
            events.append(started(count, trial, iteration, node=f"{attempt}."))
            for _ in range(reports):
                iteration += 1
                events += report(iteration, [attempt + rank / 4 for rank in range(count)], trial)
    whole = feed(Store(), *events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=6)))
    pieces = feed(Store(), *events, cuts=cuts)
    for trial in range(len(lives)):
        pd.testing.assert_frame_equal(whole.workers.frame(trial), pieces.workers.frame(trial))
        history = whole.workers.history(trial)
        pd.testing.assert_frame_equal(history, pieces.workers.history(trial))
        assert not history.duplicated(["rank", "iteration"]).any()
        assert set(history["iteration"]) == set(whole.history().query("trial == @trial")["iteration"])


def test_reading_in_between_changes_nothing():
    store = feed(Store(), started(2), *report(1, [1.0, 2.0]))
    table = store.workers.history(0)
    table["rank"] = 9
    feed(store, *report(2, [1.0, 2.0]))
    assert store.workers.history(0)["rank"].tolist() == [0, 1, 0, 1]


# -- the trial's own -------------------------------------------------------------------------------


def distributed(count=2):
    added = TrialAdded(0, 0.5, ray_id="a", folder="trial_0", config={})
    metadata = {"status": "running", "name": "ddp", "metric": "loss", "mode": "min"}
    yield ExperimentUpdated(time=0.0, metadata=metadata)
    yield added
    yield TrialStarted(0, 1.0)
    yield started(count)
    for number in range(1, 4):
        yield from report(number, [1.0] * (count - 1) + [2.0])
    yield TrialEnded(0, 9.0, status="finished", reason="done")
    yield ExperimentUpdated(time=9.0, metadata={"status": "finished"})


def test_a_trial_has_its_workers():
    trial = replay(distributed(4)).trials[0]
    assert trial.workers["straggler"].tolist() == [False, False, False, True]
    assert trial.worker_history["rank"].tolist() == [0, 1, 2, 3] * 3
    assert trial.history["iteration"].tolist() == [1, 2, 3]
    assert trial.status == "finished"


# -- logs ------------------------------------------------------------------------------------------


@pytest.fixture
def where(tmp_path):
    storage = Storage(str(tmp_path))
    filesystem, root = storage.open()
    for folder, text in [("t", "trial\n"), ("t/rank_0", "a\nb"), ("t/rank_1", ""), ("t/rank_2", "c\nd\n")]:
        output = Output(filesystem, f"{root}/{folder}")
        if text:
            output.add(text.encode())
        output.end()
    return storage


def test_the_output_of_each_worker_follows_its_rank(where):
    assert logs(where, "t", [0, 1, 2]) == "trial\n--- rank 0 ---\na\nb\n--- rank 2 ---\nc\nd\n"
    assert logs(where, "t", [0, 1, 2], tail=1) == "trial\n--- rank 0 ---\nb\n--- rank 2 ---\nd\n"
    assert logs(where, "t", []) == "trial\n"
    assert logs(where, "nothing", [0, 1]) == ""


def test_the_output_of_one_worker(where):
    assert logs(where, "t", [0, 1, 2], rank=0) == "a\nb"
    assert logs(where, "t", [0, 1, 2], rank=2, tail=1) == "d\n"
    assert logs(where, "t", [0, 1, 2], rank=1) == ""


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ([0, 1, 2], "rank=7: the ranks of this trial are 0 to 2; leave rank out for all of them"),
        ([0], "rank=7: this trial's only worker has rank 0"),
        ([1, 3], "rank=7: the ranks of this trial are 1, 3; leave rank out for all of them"),
        ([], "rank=7: this trial has no known workers; leave rank out"),
    ],
)
def test_an_unknown_rank_is_an_error(where, ranks, message):
    with pytest.raises(ExperimentError) as caught:
        logs(where, "t", ranks, rank=7)
    assert str(caught.value) == message
