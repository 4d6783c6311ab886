"""Several objectives: the Pareto front is Optuna's, and every view has it."""

from __future__ import annotations

import math
from types import SimpleNamespace

import hypothesis.strategies as st
import numpy as np
import optuna
import pytest
from hypothesis import given

from nbtune.engine.protocol.events import ExperimentUpdated, TrialAdded, TrialEnded, TrialReported, TrialStarted
from nbtune.engine.protocol.typed_values import to_typed_json
from nbtune.errors import ExperimentError
from nbtune.results.analysis import PLOTS, plot
from nbtune.results.front import on_front
from nbtune.results.no_best import why_no_best
from nbtune.results.store import Store
from nbtune.results.study import to_study
from nbtune.results.trial import Trial
from nbtune.spec.options.options import SCOPES
from nbtune.views.live.front import FrontPoints
from nbtune.views.live.rows import TableRows
from nbtune.views.live.state import header_state
from nbtune.views.still.still import still
from nbtune.views.text import best_line, summary
from tests.unit.feed import feed

NUMBER = st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from([math.nan, math.inf, -math.inf, None, "x"])
MODES = st.lists(st.sampled_from(["min", "max"]), min_size=1, max_size=3)


def store_of(*reports, modes=("max", "min"), scope="last", over=True, ends=(), **metadata):
    """Return the state of trials from the values that each has reported: lists of one value for each objective.

    The trials have ended with the statuses `ends`, or finished.
    """
    names = [f"m{position}" for position in range(len(modes))]
    objectives = {"objectives": [list(pair) for pair in zip(names, modes, strict=True)]}
    if len(modes) == 1:
        objectives = {"metric": names[0], "mode": modes[0]}
    start = {"status": "running", "name": "demo", "scope": scope, "trials": len(reports), **objectives, **metadata}
    events = [ExperimentUpdated(metadata=start)]
    for number, rows in enumerate(reports):
        events.append(TrialAdded(number, ray_id=f"id{number}", config=to_typed_json({"a": number}), folder="t"))
        events.append(TrialStarted(number))
        for iteration, values in enumerate(rows, 1):
            metrics = {name: value for name, value in zip(names, values, strict=True) if value is not None}
            events.append(TrialReported(number, iteration=iteration, time_s=1.0 * iteration, metrics=metrics))
        status = ends[number] if number < len(ends) else "finished"
        if status != "running":
            events.append(TrialEnded(number, status=status, reason="done" if status == "finished" else "error"))
    return feed(Store(), *events, *([ExperimentUpdated(metadata={"status": "finished"})] if over else []))


@given(st.data(), MODES, st.sampled_from(list(SCOPES)))
def test_the_front_is_that_of_optuna(data, modes, scope):
    row = st.tuples(*[NUMBER] * len(modes))
    reports = data.draw(st.lists(st.lists(row, max_size=3), max_size=7))
    ends = data.draw(st.lists(st.sampled_from(["finished", "failed"]), min_size=len(reports), max_size=len(reports)))
    store = store_of(*reports, modes=modes, scope=scope, ends=ends)
    expected = [trial.user_attrs["trial"] for trial in to_study(store).best_trials] if reports else []
    assert [state.number for state in store.front()] == expected
    for state in store.front():
        assert all(value.value is not None for value in state.values)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), max_size=40))
def test_what_no_point_dominates_is_on_the_front(points):
    losses = np.array(points, float).reshape(len(points), 3)
    expected = [not any((other <= one).all() and (other < one).any() for other in losses) for one in losses]
    assert on_front(losses).tolist() == expected


def test_each_objective_has_the_value_of_the_scope():
    reports = [[(1.0, 9.0), (3.0, 4.0), (2.0, 5.0)], [(2.5, 1.0), (math.nan, 2.0)]]
    last = store_of(*reports)
    assert [[value.value for value in state.values] for state in last.states()] == [[2.0, 5.0], [None, 2.0]]
    best = store_of(*reports, scope="all")
    assert [[value.value for value in state.values] for state in best.states()] == [[3.0, 4.0], [2.5, 1.0]]
    trial = Trial(SimpleNamespace(_store=best), 0)
    assert (trial.values, trial.value, trial.value_iteration) == ({"m0": 3.0, "m1": 4.0}, None, None)
    assert best.frame()[["m0_best", "m1_best", "pareto"]].to_numpy().tolist() == [[3.0, 4.0, True], [2.5, 1.0, True]]
    assert "m0_best" not in last.frame()
    assert last.frame()["pareto"].tolist() == [True, False]
    assert last.frame()["pareto"].dtype == bool
    assert store_of(modes=("min", "max")).frame()["pareto"].dtype == bool


REPORTS = ([(0.5, 10.0)], [(0.9, 30.0)], [(0.4, 20.0)], [(0.9, 40.0)], [(0.7, None)])
"""Trials 0 and 1 are on the front; the last one has no value of the second objective."""


def test_every_view_has_the_front():
    store = store_of(*REPORTS)
    assert store.best() is None
    assert [state.number for state in store.front()] == [0, 1]
    assert [state.number for state in store.ranked()] == [1, 0, 3, 4, 2]
    line = "Pareto front of m0 and m1: 2 trials; best m0 0.9 (trial 1), best m1 10 (trial 0)"
    assert best_line(store) == line
    assert line in summary(store)
    state = header_state(store)
    assert state["best"] == {
        "label": "Pareto front", "value": "2 trials", "trial": None, "iteration": None, "note": "",
        "params": [["best m0", "0.9 (trial 1)"], ["best m1", "10 (trial 0)"]],
    }  # fmt: skip
    assert state["hint"] == "trial 4: never reported 'm1'; it reported m0"
    table = TableRows(store).message(everything=True)
    assert table["objectives"] == [["m0", "max"], ["m1", "min"]]
    assert (table["best"], table["front"]) == ([], [0, 1])
    assert [column["key"] for column in table["columns"]][:3] == ["metric/m0", "metric/m1", "config/a"]
    points = FrontPoints(store).message()
    assert (points["reset"], points["front"]) == (True, [0, 1])
    assert points["objectives"] == [["m0", "max"], ["m1", "min"]]
    assert points["rows"][0] == [0, "finished", "a 0", 0.5, 10.0]
    assert points["rows"][4][3:] == [0.7, None]
    picture = still(store)
    svg = picture["image/svg+xml"]
    assert "★ Pareto front: 2 trials" in svg
    assert "4 of" not in svg
    first = picture["text/plain"].split("\n\n")[1].splitlines()[1].split()
    assert first[:2] == ["★", "1"]


def test_only_points_that_have_changed_are_sent():
    store = store_of(*REPORTS, over=False, ends=["finished", "finished", "finished", "finished", "running"])
    points = FrontPoints(store)
    assert len(points.message()["rows"]) == 5
    assert points.message() is None
    feed(store, TrialReported(4, iteration=2, time_s=2.0, metrics={"m0": 2, "m1": 1}))
    message = points.message()
    assert (message["reset"], message["rows"], message["front"]) == (False, [[4, "running", "a 4", 2.0, 1.0]], [4])
    feed(store, ExperimentUpdated(metadata={"status": "stopped"}))
    assert points.message()["rows"][4][1] == "unfinished"
    store.reset()
    assert points.message()["rows"] == []


@pytest.mark.parametrize("reports", [(), ([(1.0, 2.0)],), ([(None, 2.0)],), ([(1e308, -1e308)], [(-1e308, 1e308)])])
def test_the_picture_of_few_and_of_extreme_points(reports):
    svg = still(store_of(*reports))["image/svg+xml"]
    assert svg.count("</svg>") == 1
    assert ("stroke-linecap" in svg) == (len(reports) > 0 and reports[0][0][0] is not None)
    assert "nan" not in svg
    assert "inf" not in svg


def test_the_picture_of_a_thousand_points():
    generator = np.random.default_rng(0)
    ends = [["finished", "failed", "running"][number % 3] for number in range(3000)]
    svg = still(store_of(*([tuple(pair)] for pair in generator.normal(size=(3000, 2))), ends=ends))["image/svg+xml"]
    assert len(svg) < 60_000
    assert "of 3,000 trials" in svg


def test_there_is_no_best_trial_and_the_message_points_to_the_front():
    text = why_no_best(store_of(*REPORTS), "digits")
    assert text == (
        "demo has 2 objectives (m0, m1), so that no single trial is the best one; see digits.pareto, the trials that no"
        " other one beats in all of them"
    )


def test_the_study_has_every_direction_and_value():
    study = to_study(store_of(*REPORTS, ends=["finished", "finished", "failed", "stopped"]))
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["m0", "m1"]
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "FAIL", "PRUNED", "FAIL"]
    assert study.trials[1].values == [0.9, 30.0]


@pytest.mark.parametrize("kind", PLOTS)
def test_each_figure_of_several_objectives_is_drawn(kind):
    store = store_of(*REPORTS, ends=["finished", "finished", "stopped"])
    figure = plot(store, kind, {})
    assert figure.layout.title.text.startswith("demo: ")
    if kind == "pareto":
        assert [list(trace.x) for trace in figure.data] == [[0.4, 0.9], [0.5, 0.9]], "the others, and the front"
        assert figure.layout.title.text == "demo: Pareto-front Plot (■ 1 stopped early)"
        assert figure.layout.xaxis.title.text == "m0"
    if kind == "hypervolume":
        volumes = list(figure.data[0].y)
        assert volumes == sorted(volumes)
        expected = optuna.visualization.plot_hypervolume_history(to_study(store, for_figures=True), [0.35, 43.0])
        assert volumes == pytest.approx(list(expected.data[0].y)), "a tenth of the spread beyond the worst values"
    if kind == "history":
        assert list(figure.data[0].y) == [0.5, 0.9, 0.4, 0.9]
        assert list(plot(store, kind, {"metric": "m1"}).data[0].y) == [10.0, 30.0, 20.0, 40.0]
    if kind == "curves":
        other = plot(store, kind, {"metric": "m1"})
        assert (list(other.data[0].y), other.layout.yaxis.title.text) == ([10.0], "m1")


def test_mistakes_in_figures():
    store = store_of(*REPORTS)
    with pytest.raises(ExperimentError, match="'m2' is no objective; there are m0, m1"):
        plot(store, "history", {"metric": "m2"})
    with pytest.raises(ExperimentError, match="plot 'pareto' shows all objectives"):
        plot(store, "pareto", {"metric": "m0"})
    with pytest.raises(ExperimentError, match="plot 'hypervolume' needs several objectives; demo has m0"):
        plot(store_of([(1.0,)], modes=["max"]), "hypervolume", {})
    with pytest.raises(ExperimentError, match="at least one trial with a finite value of m0 and m1"):
        plot(store_of([(1.0, None)]), "pareto", {})
