"""Checks before the start: the user's search algorithms, schedulers, stop conditions, and functions of the space."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ray import tune
from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from nbtune.errors import SpecError
from nbtune.launch.prepare import prepare_cell

CELL = "lr: uniform(0, 1)\nreport(loss=lr)"
LOCK = threading.Lock()


def refused(cell: str = CELL, namespace: dict[str, Any] | None = None, **options: Any) -> str:
    with pytest.raises(SpecError) as caught:
        prepare_cell(cell, options, namespace or {})
    return caught.value.render("line")


def define(trial: Any) -> None:
    trial.suggest_float("x", 0, 1)


@pytest.mark.parametrize("option", ["search", "scheduler"])
def test_an_object_with_another_metric_than_the_experiment_is_refused_with_both(option: str) -> None:
    kinds = {"search": OptunaSearch, "scheduler": ASHAScheduler}
    value = kinds[option](metric="acc", mode="max")
    text = refused(**{option: value}, metric="loss", mode="min")
    name = type(value).__name__
    assert f"--{option}: {name} was created with metric='acc', but --metric is 'loss'" in text
    assert f"--{option}: {name} was created with mode='max', but --mode is 'min'" in text
    assert "or give --metric acc" in text
    same = {option: kinds[option](metric="loss", mode="min")}
    assert prepare_cell(CELL, {**same, "metric": "loss", "mode": "min"}, {}).spec.metric == "loss"


def test_what_wraps_another_object_has_its_metric() -> None:
    limited = ConcurrencyLimiter(OptunaSearch(metric="acc", mode="max"), max_concurrent=2)
    assert "created with metric='acc'" in refused(search=limited, metric="loss", mode="max")


@pytest.mark.parametrize("option", [{"search": OptunaSearch()}, {"scheduler": MedianStoppingRule()}])
def test_an_object_of_ray_tune_without_a_metric_needs_one(option: dict[str, Any]) -> None:
    assert f"--metric: required by {type(*option.values()).__name__}" in refused(**option)


def test_a_search_algorithm_with_a_space_of_its_own() -> None:
    search = OptunaSearch(define, metric="loss", mode="min")
    assert "it would not sample lr" in refused(search=search)
    assert "so it needs metric=… and mode=… there" in refused(search=OptunaSearch(define), metric="loss", mode="min")


def unpicklable(trial_id: str, result: Any, lock: Any = LOCK) -> bool:
    return bool(lock)


unpicklable.__module__ = "__main__"


class Search(OptunaSearch):
    def __init__(self) -> None:
        super().__init__(metric="loss", mode="min")
        self.lock = LOCK


class Odd:
    """Can be pickled, but not unpickled."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


@pytest.mark.parametrize(
    ("cell", "options", "message"),
    [
        (CELL, {"search": Search()}, "--search: the search algorithm Search cannot be sent to the driver"),
        (CELL, {"stop": unpicklable}, "--stop: the stop condition unpicklable cannot be sent to the driver"),
        ("lr: choice([1, lock])\nreport(loss=1)", {}, "line 2: lr: <unlocked _thread.lock"),
        ("lr: choice([1, odd])\nreport(loss=1)", {}, "invalid literal for int() with base 10: 'no number'"),
        ("lr: sample_from(lambda: lock)\nreport(loss=1)", {}, "line 2: lr: <lambda> (<lambda>) cannot be sent"),
    ],
)
def test_what_cannot_be_sent_to_the_driver_is_refused(cell: str, options: dict[str, Any], message: str) -> None:
    text = refused(cell, {"lock": LOCK, "odd": Odd()}, **options)
    assert message in text
    assert "which is a process of its own: " in text


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("lambda config: 1 / 0", "ZeroDivisionError: division by zero"),
        ("lambda config: config['nope']", "KeyError: 'nope'"),
        ("lambda spec: spec.config.nope", "AttributeError: the configuration has no attribute 'nope'"),
        ("lambda config: config['depth'].nope", "AttributeError: 'int' object has no attribute 'nope'"),
        ("lambda: nope", "NameError: name 'nope' is not defined"),
    ],
)
@pytest.mark.parametrize("more", ["", "require(depth < 5)\n"])
def test_a_faulty_sample_from_is_refused_with_its_line(function: str, reason: str, more: str) -> None:
    text = refused(f"depth: randint(1, 4)\nwide: sample_from({function})\n{more}report(loss=1)")
    assert text.startswith("line 3: wide: cannot be sampled: sample_from(<lambda>) raises"), text
    assert reason in text


def test_the_check_does_not_use_up_what_a_sample_from_draws_from() -> None:
    drawn: list[int] = []

    def draw(config: Any) -> int:
        drawn.append(1)
        return len(drawn)

    draw.__module__ = "__main__"
    prepare_cell("n: sample_from(draw)\nreport(loss=n)", {}, {"draw": draw})
    assert not drawn


def test_a_sample_from_with_each_way_to_take_parameters() -> None:
    for function in (
        "lambda: 1",
        "lambda config: config['depth']",
        "lambda spec: spec.config.depth",
        "lambda s: [tune.uniform(0, 1)]",
    ):
        cell = f"depth: randint(1, 4)\nwide: sample_from({function})\nreport(loss=1)"
        assert prepare_cell(cell, {}, {"tune": tune}).space.names == ("depth", "wide")


@pytest.mark.parametrize("domain", ["choice([HUGE, 3])", "choice([[HUGE], 3])", "CONSTANT", "DEEP"])
def test_a_value_that_nothing_can_write_is_refused(domain: str) -> None:
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    namespace = {"HUGE": 10**5000, "CONSTANT": 10**5000, "DEEP": deep}
    space = f"a: {domain}" if domain.startswith("choice") else f"a: choice([{domain}])"
    text = refused(f"{space}\nreport(loss=1)", namespace)
    assert "line 2: a: has " in text
    assert "Give a smaller value, or text from which the trial makes it" in text
