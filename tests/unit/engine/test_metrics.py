"""The user's metrics on their way from `report` to the event, and as Tune sees them."""

import math
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import ray.tune.result
import torch
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.utils.util import flatten_dict

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import CPU, SECONDS, WAITED, TrialAdded, TrialReported, WorkerReported
from nbtune.engine.protocol.metrics import Report, Share, flat, reported
from nbtune.engine.protocol.result import (
    REPORT,
    TUNE_ENTRIES,
    add_metric,
    as_reported,
    has_metrics,
    metric_names,
    tune_metrics,
    tune_name,
    tune_result,
)
from nbtune.engine.train.distributed import aggregated
from nbtune.engine.tune.stopping import Stopping
from nbtune.engine.tune.user_part import Failures
from nbtune.results.columns import headings
from nbtune.results.store import Store
from nbtune.spec.options.condition import parse_condition

OVERWRITTEN = {"date", "pid", "hostname", "node_ip", "config", "time_total_s", "trial_id", "iterations_since_restore"}
ACTED_ON = {"done", "training_iteration", "time_this_iter_s", "timestamp", "should_checkpoint", "__duplicate__"}
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    sorted(value for value in vars(ray.tune.result).values() if isinstance(value, str))
)


def test_names_become_text_values_plain_and_dictionaries_remain():
    assert reported({1: np.float32(0.5), "a": {"b": np.arange(2), 2: {}}}) == {"1": 0.5, "a": {"b": [0, 1], "2": {}}}
    assert dict(flat({"a": {"b": 1, "c": {}}, "": 2})) == {"a/b": 1, "a/c": {}, "": 2}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (np.array([0.5]), 0.5),
        (np.array([[2]]), 2),
        (np.array(3), 3),
        (np.float32(0.5), 0.5),
        (torch.tensor([0.5], requires_grad=True), 0.5),
        (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
        (Decimal("1.50"), 1.5),
        (Fraction(1, 2), 0.5),
    ],
)
def test_what_is_a_number_but_for_its_type_is_a_number(value, number):
    found = reported({"x": value})["x"]
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize("value", [None, "0.5", 1j, [0.5, 0.6], math.nan, {}, np.arange(2), Decimal("NaN")])
def test_schedulers_do_not_get_other_values(value):
    result = tune_metrics(reported({"x": value, "y": 1}))
    assert not has_metrics(result, ["x"])
    assert has_metrics(result, ["y"])
    assert not has_metrics(result, ["y", "absent"])
    assert has_metrics(result, [])
    assert not any(isinstance(item, complex) for item in flatten_dict(result).values())


@pytest.mark.parametrize(
    ("metrics", "name"),
    [({"a/b": 1, "a": {"b": 2}}, "a/b"), ({1: 1, "1": 2}, "1"), ({"a": {True: 1, "True": 2}}, "a/True")],
)
def test_duplicate_names_are_an_error(metrics, name):
    with pytest.raises(ValueError, match=f"two metrics of this report have the name '{name}'"):
        reported(metrics)


def test_a_report_can_be_pickled():
    report = Report({"done": 1}, (Share({"pid": 2}, {SECONDS: 0.5}),), 3)
    assert pickle.loads(pickle.dumps(report)) == report


@given(st.dictionaries(NAMES, st.integers() | st.text()))
def test_tune_sees_every_metric_but_not_as_its_own_entry(metrics):
    seen = tune_metrics(metrics)
    own = {name: f"own {name}" for name in OVERWRITTEN | ACTED_ON}
    assert not (OVERWRITTEN | ACTED_ON) & seen.keys()
    assert all(seen[tune_name(name)] == value for name, value in metrics.items())
    result = {**seen, **own}
    shown = as_reported(result)
    assert all(shown[name] == value for name, value in metrics.items()), "a stop function sees what was reported"
    assert all(as_reported(result, [name])[name] == value for name, value in metrics.items())
    assert {name: result[name] for name in own} == own


def test_the_names_of_tunes_entries_are_known():
    assert OVERWRITTEN | ACTED_ON | {REPORT} <= TUNE_ENTRIES
    assert tune_name("config/lr") == "nbtune/config/lr"
    assert tune_name("nbtune/done") == "nbtune/nbtune/done"
    for name in ("acc", "val/done", "timesteps_total", "episodes_total", "mean_loss", "", "/"):
        assert tune_name(name) == name


def test_tune_sums_steps_if_they_are_numbers():
    assert tune_metrics({"timesteps_this_iter": 5})["timesteps_this_iter"] == 5
    assert tune_metrics({"timesteps_this_iter": "five"}) == {"nbtune/timesteps_this_iter": "five"}
    assert tune_metrics({"episodes_this_iter": True}) == {"nbtune/episodes_this_iter": True}


def test_an_entry_of_tune_is_the_metric_if_none_is_reported():
    result = {"time_total_s": 2.0, "config": {"lr": 0.5}, "acc": 1}
    add_metric(result, "time_total_s")
    add_metric(result, "config/lr")
    add_metric(result, "pid")
    add_metric(result, "acc")
    assert flatten_dict(result) == {
        "time_total_s": 2.0, "config/lr": 0.5, "acc": 1, "nbtune/time_total_s": 2.0, "nbtune/config/lr": 0.5,
    }  # fmt: skip
    reported_one = {"time_total_s": 2.0, "nbtune/time_total_s": -1, "nbtune/config": {"lr": -2}, "config": {"lr": 0.5}}
    before = dict(reported_one)
    add_metric(reported_one, "time_total_s")
    add_metric(reported_one, "config/lr")
    assert reported_one == before


def test_the_result_of_a_report_in_the_log():
    result = tune_result({"training_iteration": 500, "acc": 1}, 3, 2.5)
    assert (result["training_iteration"], result["time_total_s"], result["acc"]) == (3, 2.5, 1)
    assert (result["nbtune/training_iteration"], result["nbtune/time_total_s"]) == (500, 2.5)


def test_a_result_without_such_names_is_not_copied():
    result = {"acc": 1, "done": False}
    assert as_reported(result, ["acc", "done"]) is result, "HyperBandForBOHB tells TuneBOHB something by it"


def test_the_metrics_of_a_scheduler_or_search_algorithm():
    assert [metric_names(metric) for metric in (None, "a", ["a", "b"])] == [[], ["a"], ["a", "b"]]


RESULT = {
    **tune_metrics({"acc": 0.5, "done": 7, "training_iteration": 500, "val": {"acc": 3}}),
    "training_iteration": 2,
}


@pytest.mark.parametrize(
    ("conditions", "stops"),
    [
        ({"iterations": 2}, True),
        ({"iterations": 3}, False),
        ({"training_iteration": 500}, True),
        ({"training_iteration": 501}, False),
        ({"done": 7}, True),
        ({"done": 8}, False),
        ({"val/acc": 3}, True),
        ({"acc": 0.6, "nothing": 1}, False),
        (parse_condition("val/acc == 3 and done == 7 and training_iteration == 500 and iterations == 2"), True),
        (parse_condition("acc > 0.5 or nothing < 3"), False),
        (lambda trial_id, result: result["done"] == 7 and result["val"]["acc"] == 3 and result["acc"] == 0.5, True),
    ],
)
def test_stop_conditions_see_reported_metrics(conditions, stops):
    assert Stopping(conditions, (), None, Failures())("ab", dict(RESULT)) is stops


def test_a_trial_is_on_a_plateau_if_its_last_values_differ_little():
    text = "plateau(val/loss, 3, std=0.1) or plateau(other, 2, grace=4)"
    stopping = Stopping(parse_condition(text), (), None, Failures())
    values = [3, 2, math.nan, 1, math.inf, "x", 1.5, 1.49, 10**400, 1, True, 1.0]
    ends = [stopping("a", tune_metrics({"val": {"loss": value}})) for value in values]
    assert ends == [False] * 11 + [True], "the last three numbers; those that are not finite are no plateau"
    assert [stopping("b", tune_metrics({"val": {"loss": 1}, "other": 1})) for _ in range(3)] == [False, False, True]
    assert [stopping("c", tune_metrics({"other": 1})) for _ in range(4)] == [False, False, False, True]
    assert [stopping("d", tune_metrics(one)) for one in ({"other": 1}, {"x": 1}, {"x": 1}, {"x": 1})] == [False] * 4
    assert stopping.reached == {
        "a": "plateau(val/loss, 3, std=0.1)",
        "b": "plateau(val/loss, 3, std=0.1)",
        "c": "plateau(other, 2, grace=4)",
    }


def test_the_experiment_is_on_a_plateau_if_its_best_values_are_close_to_each_other():
    text = "experiment_plateau(loss, 3, std=0.1, patience=2) or iterations > 99"
    stopping = Stopping(parse_condition(text), {"loss"}, None, Failures())
    values = [9, 1.0, math.nan, 5, 1.1, -math.inf, "x", 1.05]  # the third number below 2, and then once more
    assert [
        stopping(trial, tune_metrics({"loss": value})) for trial, value in zip("abcabcab", values, strict=True)
    ] == [False] * 8
    assert not stopping.is_due()
    assert stopping("c", tune_metrics({"loss": 7}))
    assert stopping.reached == {"c": "experiment_plateau(loss, 3, std=0.1, patience=2)"}
    assert stopping.is_due()
    for mode, expected in (("", True), (", mode=min", False)):  # the largest of a metric that is no objective
        stopping = Stopping(parse_condition(f"experiment_plateau(acc, 2{mode})"), {"loss"}, None, Failures())
        assert [stopping("a", tune_metrics({"acc": value})) for value in (1, 5, 5)] == [False, False, expected]


def test_the_bound_that_a_trial_has_reached_is_known():
    stopping = Stopping({"acc": 0.9, "loss": 0.5, "n": 3}, {"loss"}, None, Failures())
    assert not stopping("a", {"acc": 0.8, "loss": 0.6})
    assert stopping("a", {"acc": 0.9, "loss": 0.5})
    assert stopping.reached == {"a": "acc >= 0.9 and loss <= 0.5"}


def test_the_end_of_a_trial_without_reports():
    assert Stopping({"iterations": 1}, (), None, Failures())("ab", {"done": True}) is False


def test_measurements_do_not_collide_with_metrics_of_the_same_names():
    metrics = {"seconds": "mine", "@seconds": 1, "took:cpu": 2}
    took = {SECONDS: 0.5, WAITED: 0.25, CPU: 0.125}
    events = [TrialReported(0), WorkerReported(0, metrics=metrics, rank=0, took=took), WorkerReported(0, rank=1)]
    (chunk,) = decode(encode(0, events))
    assert {name: list(values) for name, (_, values) in chunk.took.items()} == {n: [v] for n, v in took.items()}
    assert {name: list(values) for name, _, values in chunk.metrics_of(WorkerReported)} == {
        n: [v] for n, v in metrics.items()
    }
    assert not chunk.until(1).took
    assert not chunk.since(2).took
    assert [rows.tolist() for rows, _ in chunk.since(1).took.values()] == [[0]] * 3


def test_names_that_were_once_nbtunes_own_are_aggregated_as_others():
    assert aggregated([{"@x": 1}, {"@x": 3}], "mean") == {"@x": 2.0}


def test_a_renamed_column_does_not_take_the_name_of_another():
    assert headings(["trial", "a", "metrics/trial"], "metrics", {"trial"}) == {
        "trial": "metrics/metrics/trial", "a": "a", "metrics/trial": "metrics/trial",
    }  # fmt: skip
    store = Store({"space": {"lr": {"kind": "uniform", "text": "uniform(0, 1)"}}})
    added = TrialAdded(0, ray_id="ab", config={"lr": 0.5}, folder="t")
    metrics = {"trial": 1, "metrics/trial": 2, "status": 3, "metrics/status": 4, "lr": 5, "config/lr": 6}
    (chunk,) = decode(encode(0, [added, TrialReported(0, iteration=1, metrics=metrics)]))
    store.apply(chunk)
    history, frame = store.history().iloc[0], store.frame().iloc[0]
    assert (history["trial"], history["metrics/trial"], history["metrics/metrics/trial"]) == (0, 2, 1)
    assert (frame["metrics/status"], frame["metrics/metrics/status"]) == (4, 3)
    assert (frame["metrics/trial"], frame["metrics/metrics/trial"]) == (2, 1), "as in the history"
    assert (frame["lr"], frame["config/lr"], frame["config/config/lr"]) == (5, 6, 0.5)


@pytest.mark.parametrize("kind", ["int", "in a list", "lists", "dictionaries"])
def test_a_value_that_nothing_can_write_is_an_error_of_the_report(kind):
    deep_list: list = []
    deep_dict: dict = {}
    for _ in range(20_000):
        deep_list, deep_dict = [deep_list], {"a": deep_dict}
    value = {"int": 10**5000, "in a list": [1, (2, {"x": -(10**5000)})], "lists": deep_list, "dictionaries": deep_dict}
    with pytest.raises(ValueError, match=r"the metric 'acc' has .*\. Report a float, text or something smaller"):
        reported({"loss": 1, "acc": value[kind]})
