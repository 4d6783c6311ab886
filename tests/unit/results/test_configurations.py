"""nbtune.results.configurations: configurations that are trained several times, compared by the mean of their trials."""

from __future__ import annotations

import math
import statistics
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from nbtune.engine.protocol.events import ExperimentUpdated, TrialAdded, TrialEnded, TrialReported, TrialStarted
from nbtune.engine.protocol.typed_values import to_typed_json
from nbtune.launch.warm_start import _of_store
from nbtune.results.analysis import plot
from nbtune.results.store import Store
from nbtune.results.study import to_study
from nbtune.results.trial import Trial
from nbtune.spec.options.objectives import Objective
from nbtune.spec.options.options import Spec
from nbtune.views.live.rows import TableRows
from nbtune.views.live.state import header_state
from nbtune.views.still.still import still
from nbtune.views.text import best_line, summary
from tests.unit.feed import feed

TIMES = 3


def start(times: int = TIMES, mode: str = "max", **metadata: Any) -> ExperimentUpdated:
    known = {"status": "running", "name": "demo", "metric": "x", "mode": mode, "repeat": times, **metadata}
    return ExperimentUpdated(metadata=known)  # type: ignore[typeddict-item]


def added(number: int, configuration: int, repeat: int) -> TrialAdded:
    config = to_typed_json({"a": configuration})
    place = {"configuration": configuration, "repeat": repeat}
    return TrialAdded(number, ray_id=f"id{number}", config=config, folder=f"t{number}", **place)


def ended(number: int, value: Any, status: str = "finished", reason: str = "done") -> list[Any]:
    reports = [] if value is None else [TrialReported(number, iteration=1, time_s=1.0, metrics={"x": value})]
    return [*reports, TrialEnded(number, status=status, reason=reason)]


def store_of(*configurations: list[Any], mode: str = "max", times: int = TIMES) -> Store:
    """Return the state of configurations from the values of their trials: "failed", None without a report, or "open"."""
    store, number = feed(Store(), start(times, mode)), 0
    for configuration, values in enumerate(configurations):
        for repeat, value in enumerate(values):
            feed(store, added(number, configuration, repeat))
            if value == "failed":
                feed(store, *ended(number, 100.0 if mode == "max" else -100.0, "failed", "error"))
            elif value != "open":
                feed(store, *ended(number, value))
            number += 1
    return store


VALUE = st.floats(-9, 9) | st.integers(-9, 9) | st.sampled_from([math.nan, math.inf, None, "failed", "open"])


@settings(max_examples=40)
@given(st.lists(st.lists(VALUE, min_size=1, max_size=TIMES), max_size=5), st.sampled_from(["min", "max"]))
def test_the_best_configuration_has_the_best_mean_of_those_that_are_complete(values: Any, mode: str) -> None:
    store, sign = store_of(*values, mode=mode), 1 if mode == "min" else -1
    places = []
    for number, repeats in enumerate(values):
        counted = [value for value in repeats if isinstance(value, (int, float)) and math.isfinite(value)]
        complete = len(repeats) == TIMES and "open" not in repeats
        if counted:
            places.append((not complete, sign * statistics.fmean(counted), number))
        row = store.configuration_frame().loc[number]
        assert (row["values"], row["complete"], row["a"]) == (len(counted), complete, number)
        assert row["x_mean"] == pytest.approx(statistics.fmean(counted) if counted else math.nan, nan_ok=True)
        deviation = statistics.stdev(counted) if len(counted) > 1 else math.nan
        assert row["x_std"] == pytest.approx(deviation, nan_ok=True, abs=1e-9)
        assert [store.state(trial).configuration for trial in row["trials"]] == [number] * len(repeats)
    best = store.best_configuration()
    if not places:
        assert best is None
        assert store.best() is None
        assert store.best_trials() == []
        return
    incomplete, mean, _ = min(places)
    assert (best.is_complete, best.mean) == (not incomplete, pytest.approx(sign * mean))
    trials = {state.number: state.value for state in store.best_trials()}
    typical = store.best()
    assert typical.number in trials
    assert abs(typical.value - best.mean) <= min(abs(value - best.mean) for value in trials.values())
    ranked = [state for state in store.ranked() if state.status != "failed" and state.value is not None]
    assert ranked[0].configuration == best.number


STEP = st.tuples(st.integers(0, 5), st.floats(-9, 9) | st.sampled_from(["failed", "finished", math.nan]))


@settings(max_examples=30)
@given(st.lists(st.lists(STEP, max_size=4), max_size=10))
def test_the_best_after_each_change_is_that_of_all_events_at_once(batches: Any) -> None:
    events: list[Any] = [start(2), *(added(number, number // 2, number % 2) for number in range(6))]
    store, made = feed(Store(), *events), [0] * 6
    for batch in batches:
        new: list[Any] = []
        for number, value in batch:
            if isinstance(value, str):
                new.append(TrialEnded(number, status=value, reason="error" if value == "failed" else "done"))
            else:
                made[number] += 1
                new.append(TrialReported(number, iteration=made[number], time_s=1.0, metrics={"x": value}))
        events += new
        feed(store, *new)
        whole = feed(Store(), *events)
        assert (store.best() and store.best().number) == (whole.best() and whole.best().number)
        assert [state.number for state in store.ranked()] == [state.number for state in whole.ranked()]


def test_a_single_lucky_value_does_not_beat_complete_repeats() -> None:
    store = store_of([0.7, 0.8, 0.9], [0.99], [0.5, 0.5, 0.5])
    assert store.best_configuration().number == 0
    feed(store, added(7, 1, 1), added(8, 1, 2), *ended(7, 0.97), *ended(8, 0.98))
    assert store.best_configuration().number == 1


def test_a_trial_that_was_ended_with_the_experiment_is_not_over() -> None:
    store = store_of([0.7, 0.8, 0.9], [0.99, 0.99, "open"])
    feed(store, *ended(5, 0.99, "stopped", "experiment"))
    assert not store.configuration_frame()["complete"][1]
    assert store.best_configuration().number == 0


def test_every_view_has_the_mean_and_says_so() -> None:
    store = store_of([0.7, 0.8, 0.9], [0.95, "failed", 0.75], [0.1, 0.9, "open"])
    line = "best x 0.85, mean of 2 of 3 repeats of configuration 1: a=1"
    assert best_line(store) == line
    assert line in summary(store)
    header = header_state(store)["best"]
    assert (header["value"], header["note"]) == ("0.85", "mean of 2 of 3 repeats of configuration 1")
    assert header["iteration"] is None
    message = TableRows(store).message(everything=True)
    labels = [column["label"] for column in message["columns"]]
    assert labels[:6] == ["x", "best x", "best at", "mean x", "configuration", "repeat"]
    assert [row[5:8] for row in message["rows"]][3:6] == [[pytest.approx(0.85), 1, repeat] for repeat in range(3)]
    assert message["best"] == [3, 5]
    picture = still(store)
    assert "★ best x 0.85" in picture["image/svg+xml"]
    assert "mean of 2 of 3 repeats of configuration 1" in picture["image/svg+xml"]
    table = [row.split() for row in picture["text/plain"].split("\n\n")[1].splitlines()]
    assert table[0][:3] == ["trial", "status", "configuration"]
    assert [row[1] for row in table[1:] if row[0] == "★"] == ["3", "5"]
    assert [row[0] for row in table[3:6]] == ["0", "1", "2"]
    frame = store.frame()
    assert frame["configuration"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert frame["repeat"].tolist() == [0, 1, 2] * 3


def test_a_row_changes_with_the_mean_of_its_configuration() -> None:
    store = store_of([0.7, "open"])
    rows = TableRows(store)
    rows.message()
    feed(store, *ended(1, 0.9))
    assert [row[0] for row in rows.message()["rows"]] == [0, 1]


def test_a_trial_tells_its_configuration_and_the_mean() -> None:
    trial = Trial(SimpleNamespace(_store=store_of([0.7, 0.8, 0.9])), 1)
    assert (trial.configuration, trial.repeat, trial.value, trial.mean) == (0, 1, 0.8, pytest.approx(0.8))
    assert repr(trial).startswith("Trial 1 (finished; repeat 1 of configuration 0)")


def test_without_repeats_each_trial_is_a_configuration() -> None:
    store = feed(Store(), start(1), TrialAdded(0, ray_id="a", config=to_typed_json({"a": 1}), folder="t"), *ended(0, 5))
    frame = store.configuration_frame()
    assert frame.columns.tolist() == ["a", "x_mean", "x_std", "values", "complete", "trials"]
    assert frame.loc[0, ["x_mean", "values", "complete", "trials"]].tolist() == [5.0, 1, True, (0,)]
    assert "configuration" not in store.frame()
    assert "configuration" not in [column["key"] for column in TableRows(store).message()["columns"]]
    assert best_line(store) == "best x 5 (trial 0: a=1)"


def test_another_experiment_learns_the_means() -> None:
    store = store_of([0.7, 0.8, "failed"], [0.1, None, 0.3])
    spec = Spec(metric="x", mode="max")
    assert spec.objectives == (Objective("x", "max"),)
    assert list(_of_store(store, spec)) == [({"a": 0}, [pytest.approx(0.75)]), ({"a": 1}, [pytest.approx(0.2)])]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(VALUE, min_size=1, max_size=TIMES), min_size=1, max_size=5), st.sampled_from(["max", "min"]))
def test_a_study_has_one_trial_for_each_configuration_and_the_same_best_one(values: list[Any], mode: str) -> None:
    store = store_of(*values, mode=mode)
    study = to_study(store)
    assert [trial.user_attrs["configuration"] for trial in study.trials] == list(range(len(values)))
    assert [len(trial.user_attrs["trials"]) for trial in study.trials] == list(map(len, values))
    assert [trial.params.get("a", 0) for trial in study.trials] == list(range(len(values)))
    for trial, known in zip(study.trials, store.repeated(), strict=True):
        is_valued = trial.state.name in {"COMPLETE", "PRUNED"}
        assert is_valued == (known.is_complete and known.mean is not None)
        assert trial.value == (known.mean if is_valued else None)
        assert trial.user_attrs["trial"] in trial.user_attrs["trials"]
    best = store.best_configuration()
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert bool(complete) == (best is not None and best.is_complete)
    if complete:
        assert best is not None
        assert study.best_value == best.mean
    shown = [trial for trial in to_study(store, for_figures=True).trials if trial.state.name == "COMPLETE"]
    assert len(shown) == sum(known.mean is not None for known in store.repeated())


def test_the_curve_of_a_configuration_is_the_mean_as_far_as_all_of_its_trials_are() -> None:
    store = feed(Store(), start())
    for number, steps in enumerate((3, 2, 0)):
        feed(store, added(number, 0, number), TrialStarted(number, 1.0))
        for step in range(1, steps + 1):
            feed(store, TrialReported(number, iteration=step, time_s=1.0, metrics={"x": 10.0 * number + step}))
    (trial,) = to_study(store).trials
    assert (trial.state.name, trial.intermediate_values) == ("RUNNING", {1: 6.0, 2: 7.0})
    assert trial.user_attrs["x"] == statistics.mean([3.0, 12.0])
    for number in range(3):
        feed(store, TrialEnded(number, status="finished", reason="done"))
    figure = plot(store, "curves", {})
    assert [list(trace.y) for trace in figure.data] == [[6.0, 7.0]]
    assert "means of 3 repeats" in plot(store, "history", {}).layout.title.text
