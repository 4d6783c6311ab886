"""nbtune.results.store: from events to tables, in whatever chunks the events arrive."""

import base64
import math
import threading
import types
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import (
    AttemptFailed,
    CheckpointSaved,
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialReconfigured,
    TrialReported,
    TrialStarted,
)
from nbtune.engine.protocol.typed_values import to_typed_json
from nbtune.results.store import Store
from nbtune.results.trial import Trial
from tests.unit.feed import feed


def start(metric=None, mode=None, **metadata):
    return ExperimentUpdated(time=100.0, metadata={"status": "running", "metric": metric, "mode": mode, **metadata})


def added(trial, /, **config):
    return TrialAdded(trial, 101.0, ray_id=f"id{trial}", folder=f"trial_{trial}", config=config)


def started(trial, time=102.0):
    return TrialStarted(trial, time)


def reported(trial, iteration=1, /, **metrics):
    return TrialReported(trial, 103.0, iteration, iteration * 0.5, metrics=metrics)


def ended(trial, status="finished", reason="done"):
    return TrialEnded(trial, 104.0, status=status, reason=reason)


def failed(trial, final):
    return AttemptFailed(trial, 104.0, error="ValueError: no", traceback="…", final=final)


def store_of(*events, metric=None, mode=None, **metadata):
    return feed(Store(), start(metric, mode, **metadata), *events)


# -- states ----------------------------------------------------------------------------------------


def test_the_events_of_a_trial():
    store = store_of(added(0, lr=0.1))
    assert (store.status, store.trials[0].status, store.counts["pending"]) == ("running", "pending", 1)
    feed(store, started(0))
    assert (store.trials[0].status, store.trials[0].started) == ("running", 102.0)
    feed(store, reported(0, 1, loss=0.5), reported(0, 2, accuracy=0.25))
    state = store.trials[0]
    assert (state.iterations, state.time_s, state.metrics) == (2, 1.0, {"loss": 0.5, "accuracy": 0.25})
    feed(store, CheckpointSaved(0, path="t/a"), CheckpointSaved(0, path="t/b"), ended(0))
    assert (state.status, state.reason, state.ended) == ("finished", "done", 104.0)
    assert [saved.path for saved in state.checkpoints] == ["t/a", "t/b"]
    assert +store.counts == {"finished": 1}
    assert (state.ray_id, state.folder, state.config) == ("id0", "trial_0", {"lr": 0.1})


def test_texts_that_are_not_valid_unicode_are_kept():
    store = store_of(added(0, path="a\udcff", lr=0.1), started(0), reported(0, 1, file="b\udcff"))
    feed(store, added(1, **{"c\udcff": 1}))
    assert store.frame()["path"].tolist()[0] == "a\udcff"
    assert store.frame()["file"].tolist()[0] == store.history()["file"][0] == "b\udcff"
    assert store.frame()["c\udcff"].tolist()[1] == 1


def test_a_retry_that_succeeds():
    store = store_of(added(0), started(0), reported(0, 1, loss=3), failed(0, False))
    state = store.trials[0]
    assert (state.status, state.failures, state.error, state.traceback) == ("pending", 1, "ValueError: no", "…")
    feed(store, started(0, 200.0), reported(0, 2, loss=2), ended(0))
    assert (state.status, state.failures, state.error, state.traceback) == ("finished", 1, None, None)
    assert state.started == 102.0
    assert len(store.history()) == 2
    assert +store.counts == {"finished": 1}


def test_a_failed_trial_keeps_its_error():
    store = store_of(added(0), started(0), failed(0, True), ended(0, "failed", "error"))
    assert store.trials[0].error == "ValueError: no"
    assert store.frame()["error"][0] == "ValueError: no"
    assert +store.counts == {"failed": 1}


def test_the_latest_metadata_is_valid():
    store = store_of(metric="loss", mode="min")
    assert store.metric == "loss"
    feed(store, ExperimentUpdated(time=130.0, metadata={"status": "finished"}))
    assert (store.status, store.metadata["mode"], store.elapsed()) == ("finished", "min", 30.0)


def test_fixed_metadata_does_not_change():
    store = feed(Store({"path": "/moved"}, fixed=("path",)), start(path="/old", name="a"))
    assert (store.metadata["path"], store.metadata["name"]) == ("/moved", "a")


def test_a_lost_experiment():
    store = store_of(added(0), started(0), reported(0, loss=1))
    before = store.version
    store.set_metadata(status="lost", error="the cluster is gone")
    assert (store.status, store.metadata["error"], store.elapsed()) == ("lost", "the cluster is gone", 3.0)
    assert store.version > before


def test_without_events():
    store = Store()
    assert (store.status, store.metric, store.best(), store.elapsed()) == ("pending", None, None, 0.0)
    assert list(store.frame().columns) == ["status", "iterations", "time_s", "checkpoint", "error"]
    assert store.frame().index.name == "trial"
    assert len(store.frame()) == 0
    assert list(store.history().columns) == ["trial", "iteration", "time_s"]
    assert len(store.history()) == 0


def test_known_events_are_skipped():
    store = store_of(added(0), reported(0, 1, loss=3), metric="loss", mode="min")
    for first in (0, 1, 2):
        events = [start("loss", "min"), added(0), reported(0, 1, loss=3), reported(0, 2, loss=2)]
        for chunk in decode(encode(first, events[first:])):
            store.apply(chunk)
    assert store.history()["loss"].tolist() == [3, 2]
    assert store.cursor == 4


def test_missing_events_are_told_and_the_next_ones_shown():
    store = store_of(added(0))
    for first, warning in ((5, "events 2 to 4 of its log"), (7, "events 2 to 4, 6 of its log")):
        (chunk,) = decode(encode(first, [added(first)]))
        store.apply(chunk)
        assert store.metadata["warning"].startswith(warning)
    assert (store.cursor, list(store.trials)) == (8, [0, 5, 7])
    store.apply(*decode(encode(9, [])))
    assert store.missing[-1] == (8, 9)
    assert "events 2 to 4, 6, 8 of its log" in store.metadata["warning"]
    store.set_metadata(status="lost")
    assert "events 2 to 4, 6, from 8 on of its log" in store.metadata["warning"]


def test_a_configuration_comes_back_equal_and_of_its_types():
    config = {"f": {1, 2}, "weights": {0: 1.0, 1: 5.0}, "x": np.float32(0.5)}
    event = TrialAdded(0, ray_id="a", folder="b", config=to_typed_json(config))
    back = store_of(event).trials[0].config
    assert back == config
    assert type(back["x"]) is np.float32


def test_an_object_that_cannot_be_unpickled_is_shown_as_text():
    value = {**to_typed_json(object()), "text": "relu", "pickled": base64.b64encode(b"cnowhere\nNothing\n.").decode()}
    event = TrialAdded(0, ray_id="a", folder="b", config={"f": value})
    assert repr(store_of(event).trials[0].config) == "{'f': relu}"


def test_a_value_that_is_a_dictionary_is_one_parameter():
    metadata = {"space": {"weights": {"kind": "choice"}, "model/depth": {"kind": "randint"}}}
    config = {"weights": {"a": 1.0, "b": 5.0}, "model": {"depth": 3}, "extra": {"y": 1}}
    store = store_of(
        ExperimentUpdated(metadata=metadata), TrialAdded(0, ray_id="a", folder="b", config=to_typed_json(config))
    )
    assert store.trials[0].config == config
    parameters = {"weights": {"a": 1.0, "b": 5.0}, "model/depth": 3, "extra/y": 1}
    assert store.trials[0].parameters == parameters
    frame = store.frame()
    assert {name: frame[name][0] for name in parameters} == parameters
    assert "weights/a" not in frame


def test_each_report_has_the_parameters_that_it_was_made_with():
    def changed(trial, **config):
        return TrialReconfigured(trial, config=to_typed_json(config))

    events = [added(0, lr=0.1, depth=3), added(1, lr=0.2, depth=3), reported(0, 1, x=1.0), reported(1, 1, x=1.0)]
    events += [changed(1, lr=0.5, depth=3), reported(0, 2, x=2.0), reported(1, 2, x=2.0)]
    events += [changed(0, lr=0.7, depth=3), changed(1, lr=0.9, depth=3), reported(1, 3, x=3.0)]
    for store in (store_of(*events), feed(Store(), start(), *events, cuts=range(1, len(events) + 1))):
        history = store.history()
        assert history["lr"].tolist() == [0.1, 0.2, 0.1, 0.5, 0.9]
        assert "depth" not in history, "it was not changed"
        assert store.trials[0].config == {"lr": 0.1, "depth": 3}, "no report was made with 0.7"
        assert store.frame()["lr"].tolist() == [0.1, 0.9]
    store.apply(decode(encode(store.cursor, [changed(1, lr=1.0, depth=None)]))[0])
    assert store.history()["depth"].tolist() == [3] * 5


def test_a_changed_parameter_beside_a_metric_of_its_name():
    events = [added(0, lr=0.1), reported(0, 1, lr=7.0)]
    store = store_of(*events, TrialReconfigured(0, config={"lr": 0.2}), reported(0, 2, lr=8.0))
    assert store.history()["lr"].tolist() == [7.0, 8.0]
    assert store.history()["config/lr"].tolist() == [0.1, 0.2]


# -- best ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "best"), [("min", 2), ("max", 1)])
def test_best_is_by_the_scope(mode, best):
    events = [reported(0, 1, x=-9.0), reported(0, 2, x=1.0), reported(1, 1, x=2.0), reported(2, 1, x=0.5)]
    assert store_of(*events, metric="x", mode=mode, scope="last").best().number == best
    assert store_of(*events, metric="x", mode=mode).best().number == {"min": 0, "max": 1}[mode]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "9", None, True, [9], 10**400])
def test_only_finite_numbers_can_be_best(mode, value):
    store = store_of(reported(0, x=value), reported(1, x=0.5), metric="x", mode=mode)
    assert store.best().number == 1
    assert store_of(reported(0, x=value), metric="x", mode=mode).best() is None


def test_failed_trials_are_never_best_and_the_earlier_of_equals_is():
    store = store_of(reported(2, x=1), reported(1, x=1), reported(0, x=5), metric="x", mode="max")
    feed(store, failed(0, True))
    assert store.best().number == 1


def test_without_a_metric_there_is_no_best():
    assert store_of(reported(0, x=1)).best() is None


# -- tables ----------------------------------------------------------------------------------------

COLUMNS = [
    ([1, 2, 3], "int64"),
    ([1, None, 3], "Int64"),
    ([2**62 + 1, None, 3], "Int64"),
    ([0.5, 1.5, math.nan], "float64"),
    ([0.5, None, 1.5], "float64"),
    ([1, 0.5, 2], "float64"),
    ([True, False, True], "bool"),
    ([True, None, False], "boolean"),
    ([1, True, 2], "object"),
    ([1, "a", 2.5], "object"),
    ([2**70, 1, 2], "object"),
    ([2**70, 0.5, None], "object"),
    ([[1, 2], [3], None], "object"),
]


@pytest.mark.parametrize(("values", "dtype"), COLUMNS)
@pytest.mark.parametrize("cuts", [(), (1,), (1, 2, 3)])
def test_types_of_columns(values, dtype, cuts):
    """None means that the metric is not reported."""
    events = [reported(n, 1, other=0, **({} if value is None else {"x": value})) for n, value in enumerate(values)]
    store = feed(Store(), start(), *events, cuts=cuts)
    for frame in (store.history(), store.frame()):
        assert str(frame["x"].dtype) == dtype
        missing = [n for n, value in enumerate(values) if value is None]
        assert frame["x"].isna()[missing].all()
        for n, value in enumerate(values):
            if value is not None:
                assert frame["x"][n] == value or math.isnan(value)


@pytest.mark.parametrize("values", [["a", "b", "c"], ["a", None, "c"]])
def test_text_columns(values):
    events = [reported(n, 1, other=0, **({} if value is None else {"x": value})) for n, value in enumerate(values)]
    for frame in (store_of(*events).history(), store_of(*events).frame()):
        assert [None if pd.isna(value) else value for value in frame["x"]] == values
        assert frame["x"].dtype == pd.Series(values).dtype


def test_parameters_are_columns():
    store = store_of(added(0, lr=0.5, net={"hidden": 3, "act": "relu"}), added(1, lr=1, net={"hidden": 4}, empty={}))
    frame = store.frame()
    assert list(frame.columns) == [
        "status", "lr", "net/hidden", "net/act", "empty", "iterations", "time_s", "checkpoint", "error",
    ]  # fmt: skip
    assert frame["net/hidden"].dtype == np.int64
    assert frame["lr"].tolist() == [0.5, 1.0]
    assert frame["net/act"][1] is None or pd.isna(frame["net/act"][1])


SPACE = {
    "lr": {"kind": "loguniform", "lower": 1e-4, "upper": 1e-1},
    "n": {"kind": "randn"},
    "size": {"kind": "choice", "values": [8, 16]},
    "act": {"kind": "choice", "values": ["relu", 3]},
    "gamma": {"kind": "derived", "of": {"kind": "uniform", "lower": 0, "upper": 1}},
    "fixed": {"kind": "constant", "text": "3"},
    "drawn": {"kind": "sample_from"},
}


@pytest.mark.parametrize("events", [[], [added(0, lr=0.1)], [added(0, lr=0.1), started(0), reported(0, 1, other=1)]])
def test_what_the_code_reports_has_columns_before_the_first_report(events):
    store = feed(Store(), start("accuracy", "max", metrics=["loss", "accuracy"], space=SPACE), *events)
    frame, history = store.frame(), store.history()
    for table in (frame, history):
        assert table["accuracy"].dtype == table["loss"].dtype == "float64"
        assert math.isnan(table["accuracy"].max())
        assert len(table.sort_values("accuracy")) == len(table)
        assert len(table.nsmallest(3, "loss")) in {0, len(table)}
        assert table.groupby("accuracy")["loss"].mean().empty
        assert table["loss"].describe()[["count", "min", "50%", "max"]]["count"] == 0
    assert len(history.pivot(index="iteration", columns="trial", values="accuracy")) == len(history)
    assert set(SPACE) <= set(frame.columns)
    if not events:
        numbers = {name for name in SPACE if frame[name].dtype == "float64"}
        assert numbers == {"lr", "n", "size", "gamma"}
        assert frame["iterations"].dtype == "int64"
        assert np.log10(frame["lr"]).empty


def test_expected_metrics_keep_their_columns_when_others_are_reported():
    store = feed(Store(), start("b", "max", metrics=["a", "b", "part"]), added(0), reported(0, 1, b=2))
    assert store.history().columns.tolist() == ["trial", "iteration", "time_s", "a", "b", "part"]
    assert store.frame()["b"].dtype == "int64"
    feed(store, reported(0, 2, **{"a": 1, "part/x": 2.5}))  # a dictionary, whose items are metrics
    assert store.history().columns.tolist() == ["trial", "iteration", "time_s", "a", "b", "part/x"]
    assert store.frame().columns.tolist() == [
        "status",
        "a",
        "b",
        "part/x",
        "b_best",
        "best_iteration",
        "iterations",
        "time_s",
        "checkpoint",
        "error",
    ]
    assert store.metrics() == ["b", "a", "part/x"], "views show what was reported"


def test_an_expected_metric_renames_a_parameter_of_its_name_from_the_start():
    store = feed(Store(), start("loss", "min", space={"loss": {"kind": "uniform"}}), added(0, loss=0.5))
    assert store.frame()["config/loss"].tolist() == [0.5]
    assert store.frame()["loss"].isna().all()


def test_workers_have_the_expected_columns_before_their_first_report():
    store = feed(Store(), start("accuracy", "max", metrics=["loss"]), added(0), started(0))
    trial = Trial(types.SimpleNamespace(_store=store), 0)
    assert trial.workers[["iteration", "seconds", "accuracy", "loss"]].empty
    assert trial.worker_history[["rank", "accuracy", "loss"]].empty


def test_a_parameter_named_like_a_metric():
    frame = store_of(added(0, loss=5, lr=1), reported(0, loss=0.5)).frame()
    assert (frame["config/loss"][0], frame["loss"][0], frame["lr"][0]) == (5, 0.5, 1)


@pytest.mark.parametrize("name", ["status", "iterations", "time_s", "checkpoint", "error"])
def test_metrics_named_like_a_fixed_column_are_renamed(name):
    frame = store_of(added(0, **{name: 5}), reported(0, 3, **{name: 0.5})).frame()
    assert (frame[f"config/{name}"][0], frame[f"metrics/{name}"][0]) == (5, 0.5)
    assert frame.columns.is_unique


@pytest.mark.parametrize("name", ["trial", "iteration", "time_s"])
def test_metrics_named_like_a_column_of_the_history_are_renamed(name):
    history = store_of(reported(0, 3, **{name: "mine"})).history()
    assert history[f"metrics/{name}"].tolist() == ["mine"]
    assert history[["trial", "iteration"]].values.tolist() == [[0, 3]]


def test_tables_are_copies():
    store = store_of(added(0), reported(0, loss=1))
    history, frame = store.history(), store.frame()
    history["loss"] = frame["loss"] = 5
    assert store.history()["loss"].tolist() == store.frame()["loss"].tolist() == [1]


def test_reading_in_between_changes_nothing():
    store = store_of(reported(0, 1, x=2**60 + 1), reported(0, 2, x=0.5))
    store.history()
    feed(store, reported(0, 3, x="a"))
    assert store.history()["x"].tolist() == [2**60 + 1, 0.5, "a"]


NAMES = st.lists(
    st.sampled_from(
        [
            "error",
            "status",
            "iterations",
            "time_s",
            "trial",
            "checkpoint",
            "x",
            "y",
            "y_best",
            "best_iteration",
            "pareto",
            "metrics/error",
            "config/error",
            "metrics/metrics/error",
            "trial/pareto",
            "metrics/trial",
        ]
    ),
    unique=True,
)


@given(metrics=NAMES, parameters=NAMES, objective=st.sampled_from(["y", "error", None]))
@settings(max_examples=300)
def test_each_metric_and_parameter_has_a_column_whatever_its_name(metrics, parameters, objective):
    """Every value here is a different number, so that it tells what a column shows."""
    taken = {"trial", "status", "iterations", "time_s", "checkpoint", "error"}
    values = {("metrics", name): 100.0 + number for number, name in enumerate(metrics)}
    values |= {("config", name): 200.0 + number for number, name in enumerate(parameters)}
    own = {
        kind: {name: value for (one, name), value in values.items() if one == kind} for kind in ("metrics", "config")
    }
    store = store_of(
        added(7, **own["config"]),
        started(7),
        reported(7, 3, **own["metrics"]),
        failed(7, True),
        ended(7, "failed", "error"),
        metric=objective,
        mode=objective and "max",
    )
    frame = store.frame()
    assert frame.columns.is_unique
    flat = frame.reset_index()
    row = flat.iloc[0]
    assert (row["trial"], row["status"], row["iterations"], row["error"]) == (7, "failed", 3, "ValueError: no")
    shown = {}
    for (kind, name), value in values.items():
        columns = [column for column in frame if isinstance(row[column], float) and row[column] == value]
        is_copied = kind == "metrics" and name == objective  # as its best value
        assert len(columns) == 1 + is_copied, (kind, name, columns)
        shown[kind, name] = columns[0]
        assert columns[0].endswith(name)
    for name in metrics:
        assert (shown["metrics", name] == name) == (name not in taken)
        assert name not in taken or shown["metrics", name].startswith("metrics/")
    for name in parameters:
        if shown["config", name] == name:
            assert name not in taken
        else:
            assert name in taken or name in frame, "a metric has it"
            assert shown["config", name].startswith("config/")


# -- any order, any pieces -------------------------------------------------------------------------

METRICS = st.dictionaries(
    st.sampled_from(["loss", "acc", "note"]),
    st.one_of(st.floats(), st.integers(-9, 9), st.booleans(), st.sampled_from(["a", "b"]), st.just(2**70)),
    max_size=3,
)


@st.composite
def lives(draw):
    """Return the events of some trials, each trial's in its own order."""
    trials = []
    for number in range(draw(st.integers(1, 4))):
        events = [added(number, lr=draw(st.sampled_from([0.1, 1])), units=number)]
        iteration = 0
        for _ in range(draw(st.integers(0, 2))):
            events.append(started(number, 102.0 + iteration))
            for metrics in draw(st.lists(METRICS, max_size=3)):
                iteration += 1
                events.append(reported(number, iteration, **metrics))
            if draw(st.booleans()):
                events.append(failed(number, draw(st.booleans())))
        if draw(st.booleans()):
            events.append(ended(number, draw(st.sampled_from(["finished", "stopped"]))))
        trials.append(events)
    return trials


def interleaved(data, trials):
    order = data.draw(st.permutations([number for number, events in enumerate(trials) for _ in events]))
    waiting = [iter(events) for events in trials]
    return [next(waiting[number]) for number in order]


@settings(max_examples=60)
@given(st.data(), lives(), st.sampled_from(["min", "max"]))
def test_neither_the_order_among_trials_nor_the_chunks_matter(data, trials, mode):
    first = feed(Store(), start("loss", mode), *[event for events in trials for event in events])
    events = interleaved(data, trials)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=5)))
    second = feed(Store(), start("loss", mode))
    feed(second, *events, cuts=cuts)
    pd.testing.assert_frame_equal(first.frame(), second.frame(), check_like=True)
    tables = [store.history() for store in (first, second)]
    for number in first.trials:
        one, two = (table[table["trial"] == number].reset_index(drop=True) for table in tables)
        pd.testing.assert_frame_equal(one, two, check_like=True)
    assert (first.best() and first.best().number) == (second.best() and second.best().number)
    assert +first.counts == +second.counts
    either = {"metrics": 0, "changed": 0, "row": 0}

    def known(state):
        return vars(state) | either | {"values": [value._replace(row=0) for value in state.values]}

    assert repr([known(first.trials[n]) for n in first.trials]) == repr([known(second.trials[n]) for n in first.trials])


def test_repeated_reports_of_a_retry_occur_once():
    rows = [
        (0, 1, 0.1),
        (1, 1, 0.5),
        (0, 2, 0.2),
        (0, 3, 0.3),
        (1, 2, 0.6),
        (0, 4, 0.4),
        (0, 3, 0.33),
        (0, 4, 0.44),
        (0, 5, 0.55),
    ]
    events = [TrialAdded(trial, ray_id=str(trial), folder="f", config={}) for trial in (0, 1)]
    events += [TrialReported(trial, 0.0, iteration, 1.0, metrics={"acc": acc}) for trial, iteration, acc in rows]
    store = Store()
    for chunk in decode(encode(0, events)):
        store.apply(chunk)
    history = store.history()
    assert history[history["trial"] == 0]["iteration"].tolist() == [1, 2, 3, 4, 5]
    assert history[history["trial"] == 0]["acc"].tolist() == [0.1, 0.2, 0.33, 0.44, 0.55]
    assert history[history["trial"] == 1]["acc"].tolist() == [0.5, 0.6]
    assert history.index.tolist() == list(range(7))


def test_points_before_and_after_the_history_was_read():
    store = feed(Store(), start("loss", "min"), reported(0, 1, loss=1), reported(1, 1, loss=2.5, b=True))
    feed(store, reported(0, 2, loss=3))
    store.history()
    feed(store, reported(1, 2, loss="x"), reported(0, 3, b=False))
    for since in range(6):
        known, (trial, iteration, _, value) = store.reports.points("loss", since)
        assert known == 5
        wanted = [(0, 1, 1.0), (1, 1, 2.5), (0, 2, 3.0), (1, 2, None)][min(since, 4) :]
        assert [(t, i, None if math.isnan(v) else v) for t, i, v in zip(trial, iteration, value, strict=True)] == wanted
    assert store.reports.points("nothing", 0)[0] == 5
    assert store.numeric_metrics() == ["loss"]
    assert [state.value for state in store.states()] == [1.0, 2.5]


def test_parameters_are_in_the_order_of_the_space():
    store = Store({"space": {"b": {}, "a/x": {}, "a/y": {}, "c": {}}})
    feed(store, added(0, c=1, a={"y": 2, "x": 3}, b=4, z=5))
    assert list(store.states()[0].config) == ["b", "a", "c", "z"]


def test_returned_mappings_are_copies():
    store = feed(Store(), start(name="a"), started(0))
    store.metadata["name"] = "other"
    store.counts["running"] += 5
    store.trials.clear()
    state = store.state(0)
    state.metrics["loss"], state.status = 1.0, "failed"
    assert (store.metadata["name"], store.counts["running"], list(store.trials)) == ("a", 1, [0])
    assert (store.state(0).metrics, store.state(0).status, store.state(1)) == ({}, "running", None)


def test_counts_are_consistent():
    """A reader must not find a trial in two states or in none while another thread writes."""
    store = store_of(*map(started, range(4)))
    entered, go_on = threading.Event(), threading.Event()

    class Slow(Counter):
        def __setitem__(self, status, count):
            super().__setitem__(status, count)
            if status == "running":  # in the middle of a change: out of one state, not yet in the other
                entered.set()
                go_on.wait(10)

    store._counts = Slow(store._counts)
    entered.clear()
    writer = threading.Thread(target=lambda: feed(store, ended(0)))
    writer.start()
    assert entered.wait(10)
    seen = []
    reader = threading.Thread(target=lambda: seen.append((sum(store.counts.values()), store.progress())))
    reader.start()
    reader.join(0.2)
    go_on.set()
    reader.join(10)
    writer.join(10)
    assert seen == [(4, (1, 4))]
