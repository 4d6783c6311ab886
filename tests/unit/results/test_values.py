"""nbtune.results.values: the value of a trial by each scope, compared with Ray's own."""

from __future__ import annotations

import math
from types import SimpleNamespace

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import given
from ray.tune.experiment import Trial as RayTrial

from nbtune.engine.protocol.events import (
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialReconfigured,
    TrialReported,
    TrialStarted,
)
from nbtune.engine.protocol.typed_values import to_typed_json
from nbtune.results.store import Store
from nbtune.results.study import to_study
from nbtune.results.trial import Trial
from nbtune.spec.options.options import SCOPES
from nbtune.views.live.rows import TableRows
from nbtune.views.live.state import header_state
from nbtune.views.still.still import still
from nbtune.views.text import best_line, summary
from tests.unit.feed import feed

SCOPE = st.sampled_from(list(SCOPES))
MODE = st.sampled_from(["min", "max"])
NUMBER = st.floats(-1e6, 1e6) | st.integers(-9, 9) | st.sampled_from([math.nan, math.inf, -math.inf, None, "x", True])


def store_of(*reports, scope="all", mode="max", **metadata):
    """Return the state of trials from the values that each has reported."""
    start = ExperimentUpdated(metadata={"status": "running", "metric": "x", "mode": mode, "scope": scope, **metadata})
    events = [start]
    for number, values in enumerate(reports):
        events.append(TrialAdded(number, ray_id=f"id{number}", config=to_typed_json({"a": number}), folder="t"))
        events += [
            TrialReported(number, iteration=k, time_s=1.0 * k, metrics={"x": v}) for k, v in enumerate(values, 1)
        ]
    return feed(Store(), *events)


def ray_value(values, scope, mode):
    """Return the value that Ray's `ExperimentAnalysis.get_best_trial` compares a trial by."""
    trial = RayTrial("nothing", stub=True)
    for iteration, value in enumerate(values, 1):
        trial.update_last_result({"x": value, "training_iteration": iteration, "timestamp": 0, "done": False})
    found = trial.metric_analysis.get("x", {}).get(mode if scope == "all" else scope)
    return None if found is None or not math.isfinite(found) else found


STEP = st.tuples(st.integers(0, 3), st.floats(-9, 9) | st.sampled_from(["failed", "again", math.nan]))


@given(st.lists(st.lists(STEP, max_size=4), max_size=12), SCOPE, MODE)
def test_the_best_trial_after_each_change_is_that_of_all_events_at_once(batches, scope, mode):
    start = ExperimentUpdated(metadata={"status": "running", "metric": "x", "mode": mode, "scope": scope})
    added = [TrialAdded(number, ray_id=str(number), config={}, folder="t") for number in range(4)]
    events, store, made = [start, *added], feed(Store(), start, *added), [0] * 4
    for batch in batches:
        version, new = store.version, []
        for number, value in batch:
            if value == "failed":
                new.append(TrialEnded(number, status="failed", reason="error"))
            elif value == "again":  # a retry without a checkpoint: its reports do not count any more
                made[number] = 0
                new.append(TrialStarted(number))
            else:
                made[number] += 1
                new.append(TrialReported(number, iteration=made[number], time_s=1.0, metrics={"x": value}))
        events += new
        feed(store, *new)
        assert [state.number for state in store.changes.since(version)] == sorted({event.trial for event in new})
        expected, best = feed(Store(), *events).best(), store.best()
        assert (best and best.number) == (expected and expected.number)


@given(st.lists(st.floats(-1e6, 1e6) | st.integers(-9, 9), max_size=25), SCOPE, MODE)
def test_the_value_is_that_of_ray(values, scope, mode):
    found, expected = store_of(values, scope=scope, mode=mode).trials[0].value, ray_value(values, scope, mode)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-6))


@given(st.lists(st.lists(NUMBER, max_size=12), max_size=6), SCOPE, MODE)
def test_only_finite_numbers_are_values(reports, scope, mode):
    store = store_of(*reports, scope=scope, mode=mode)
    for state, values in zip(store.states(), reports, strict=True):
        numbers = [value for value in values if type(value) in (int, float)]
        finite = [value for value in numbers if math.isfinite(value)]
        assert (state.values[0].has_number if state.values else False) == bool(finite)
        assert state.value is None or math.isfinite(state.value)
        expected = {
            "all": (max if mode == "max" else min)(finite, default=None),
            "last": numbers[-1] if numbers and math.isfinite(numbers[-1]) else None,
        }
        if scope in expected:
            assert state.value == expected[scope]
        if scope == "all" and finite:
            assert state.single.iteration == next(
                i for i, v in enumerate(values, 1) if type(v) is not bool and v == state.value
            )
    ranked = [state.value for state in store.ranked()]
    present = [value for value in ranked if value is not None]
    assert ranked == [*sorted(present, reverse=mode == "max"), *[None] * (len(ranked) - len(present))]
    best = store.best()
    assert (best and best.value) == (present[0] if present else None)


@given(st.lists(NUMBER, min_size=1, max_size=8), st.lists(NUMBER, max_size=8), st.data(), SCOPE)
def test_reports_that_a_retry_repeats_do_not_count(first, second, data, scope):
    restart = data.draw(st.integers(0, len(first)))
    store = store_of(first, scope=scope)
    repeated = [TrialReported(0, iteration=restart + k, metrics={"x": v}) for k, v in enumerate(second, 1)]
    feed(store, *repeated)
    same = store_of([*first[: restart if second else None], *second], scope=scope).trials[0]
    state = store.trials[0]
    assert state.single._replace(row=0) == same.single._replace(row=0)


def changed(number, value):
    return TrialReconfigured(number, config=to_typed_json({"a": value}))


def test_the_parameters_of_the_value_are_those_that_it_was_reached_with():
    store = store_of([1.0, 5.0])
    feed(store, changed(0, 7), TrialReported(0, iteration=3, metrics={"x": 2.0}), changed(0, 8))
    state = store.trials[0]
    assert (state.value, state.single.iteration, state.config) == (5.0, 2, {"a": 7})
    assert store.value_configuration(state).nested == {"a": 0}
    assert best_line(store) == "best x 5 at iteration 2 (trial 0: a=0)"
    assert to_study(store).trials[0].value is None, "it still runs"
    feed(store, TrialReported(0, iteration=4, metrics={"x": 6.0}))
    assert store.trials[0].config == store.value_configuration(store.trials[0]).nested == {"a": 8}
    assert store.history()["a"].tolist() == [0, 0, 7, 8]


REPORTS = ([0.1, 0.9, 0.3], [0.5, 0.5, 0.5], [0.2, 0.3, 0.6])
BEST = {"all": (0, 0.9), "last": (2, 0.6), "avg": (1, 0.5), "last-5-avg": (1, 0.5), "last-10-avg": (1, 0.5)}


@pytest.mark.parametrize("scope", SCOPES)
def test_every_view_has_the_same_best_trial(scope):
    number, value = BEST[scope]
    store = store_of(*REPORTS, scope=scope, name="demo", trials=3)
    feed(store, ExperimentUpdated(metadata={"status": "finished"}))
    label = "best x" if scope == "all" else f"best {scope} x"
    at = " at iteration 2" if scope == "all" else ""
    assert f"{label} {value:g}{at} (trial {number}: a={number})" in summary(store)
    header = header_state(store)["best"]
    assert header["label"] == label
    assert (header["value"], header["trial"], header["iteration"]) == (
        f"{value:g}", number, 2 if scope == "all" else None,
    )  # fmt: skip
    message = TableRows(store).message(everything=True)
    assert message["best"] == [number]
    labels = [column["label"] for column in message["columns"]]
    shown = {"all": ["best x", "best at"], "last": []}.get(scope, [f"{scope} x"])
    assert labels[: 1 + len(shown)] == ["x", *shown]
    if shown:
        assert message["rows"][number][3] == pytest.approx(value)
    picture = still(store)
    assert f"★ {label} {value:g}" in picture["image/svg+xml"]
    first = picture["text/plain"].split("\n\n")[1].splitlines()[1].split()
    assert first[:2] == ["★", str(number)]
    frame = store.frame()
    column = {"all": "x_best", "last": "x"}.get(scope, f"x_{scope.replace('-', '_')}")
    assert frame[column].idxmax() == number
    assert ("best_iteration" in frame) == (scope == "all")


@pytest.mark.parametrize("scope", SCOPES)
def test_the_text_of_a_trial_has_its_value(scope):
    text = repr(Trial(SimpleNamespace(_store=store_of(*REPORTS, scope=scope)), 0))
    value = {"all": ", best x 0.9 at iteration 2", "last": ""}.get(scope, f", {scope} x 0.43333")
    assert text.startswith(f"Trial 0 (pending): {{'a': 0}} -> x=0.3{value}")


def test_finished_trials_of_a_study_have_the_value_of_the_scope():
    for scope, (number, value) in BEST.items():
        store = store_of(*REPORTS, scope=scope, name="demo")
        for trial in range(3):
            feed(store, TrialStarted(trial), TrialEnded(trial, status="finished", reason="done"))
        study = to_study(store)
        assert (study.best_trial.number, study.best_value) == (number, pytest.approx(value))


def test_a_metric_or_parameter_with_the_name_of_the_column_keeps_it():
    start = ExperimentUpdated(metadata={"metric": "x", "mode": "max"})
    added = TrialAdded(0, ray_id="a", config=to_typed_json({"best_iteration": 3}), folder="t")
    store = feed(Store(), start, added, TrialReported(0, iteration=1, metrics={"x": 1.0, "x_best": "mine"}))
    row = store.frame().loc[0]
    assert (row["x_best"], row["best_iteration"], row["trial/x_best"], row["trial/best_iteration"]) == (
        "mine",
        3,
        1.0,
        1,
    )


def test_the_columns_exist_before_the_first_report():
    frame = feed(Store(), ExperimentUpdated(metadata={"metric": "x", "mode": "max"})).frame()
    assert frame["x_best"].dtype == "float64"
    assert frame["best_iteration"].dtype == pd.Int64Dtype()
