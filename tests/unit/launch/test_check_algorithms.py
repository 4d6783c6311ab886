"""Checks before the start: search algorithms and schedulers, their packages, arguments, partners and domains."""

from __future__ import annotations

import random
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import HyperBandForBOHB
from ray.tune.search import ConcurrencyLimiter, Repeater
from ray.tune.search.optuna import OptunaSearch

from nbtune.errors import SpecError
from nbtune.launch.prepare import prepare_cell

CELL = "lr: uniform(0, 1)\nreport(loss=lr, checkpoint={})"


def prepare(cell: str = CELL, **options: Any) -> Any:
    return prepare_cell(cell, {"metric": "loss", "mode": "min", **options}, {})


def refused(cell: str = CELL, **options: Any) -> str:
    with pytest.raises(SpecError) as caught:
        prepare(cell, **options)
    return caught.value.render("line")


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("optuna(samplr='gp')", "--search: optuna has no argument 'samplr' (did you mean 'sampler'?)"),
        ("optuna(sampler='gpp')", "--search: optuna: sampler: expected tpe, cmaes, gp"),
        ("optuna(sampler=5)", "--search: optuna: sampler: expected tpe, cmaes, gp"),
        ("optuna(sampler='random', n_startup_trials=5)", "optuna has no argument 'n_startup_trials'"),
        ("optuna(sampler='tpe', n_startup_trials='five')", "optuna does not accept its arguments"),
        ("optuna(metric='loss')", "optuna: metric is given by nbtune, not as an argument"),
        ("random(samples=5)", "random has no argument 'samples'; it takes none"),
        ("grid(points=[])", "grid has no argument 'points'"),
        (("optuna", {"sampler": object()}), "--search: optuna: sampler: expected tpe, cmaes"),
    ],
)
def test_wrong_arguments_of_a_search_algorithm(search: Any, message: str) -> None:
    assert message in refused(search=search)


@pytest.mark.parametrize(
    "search", ["optuna(sampler='nsga2', population_size=10)", "optuna(n_startup_trials=3)", "optuna(study_name='x')"]
)
def test_right_arguments_of_a_search_algorithm(search: str) -> None:
    random.seed(7)
    np.random.seed(7)
    assert str(prepare(search=search, seed=1).spec.search) == search
    after = random.random(), np.random.random()
    random.seed(7)
    np.random.seed(7)
    assert after == (random.random(), np.random.random()), "the notebook's random numbers"


@pytest.mark.parametrize(
    ("module", "search", "command"),
    [
        ("bayes_opt", "bayesopt", 'pip install "nbtune[bayesopt]"'),
        ("hebo", "hebo", 'pip install "nbtune[hebo]"'),
        ("hpbandster", "bohb", 'pip install "nbtune[bohb]"'),
        ("cmaes", "optuna(sampler='cmaes')", 'pip install "nbtune[cmaes]"'),
    ],
)
def test_a_missing_library_is_said_with_the_command(module: str, search: str, command: str) -> None:
    if find_spec(module):
        pytest.skip("it is installed")
    text = refused(search=search)
    assert "which is not installed. Install it: " in text
    assert command in text


def test_each_half_of_bohb_needs_the_other() -> None:
    alone = "--search: random cannot be used by bohb, which works with --search bohb only"
    assert alone in refused(scheduler="bohb")
    assert "optuna cannot be used by HyperBandForBOHB, which works with --search bohb" in refused(
        scheduler=HyperBandForBOHB(), search="optuna"
    )
    assert "--scheduler: asha cannot be used by bohb, which works with --scheduler bohb only" in refused(
        search="bohb", scheduler="asha"
    )
    assert "--scheduler" not in refused(search="bohb") if not find_spec("hpbandster") else prepare(search="bohb")


@pytest.mark.parametrize(
    ("cell", "search", "message"),
    [
        (
            "x: grid_search([1, 2])",
            "optuna",
            "is not searched by optuna: a grid_search is crossed by a random or grid search only; use choice([...]). It is searched by random, grid",
        ),
        (
            "x: uniform(0, 1)",
            "grid",
            "is not searched by grid: a grid needs a finite number of values; use grid_search([...]). It is searched by random, optuna, bayesopt",
        ),
        ("x: choice([0.0, uniform(0, 1)])", "optuna", "use two parameters"),
        ("x: grid_search([1, 2])", OptunaSearch(), "is not searched by OptunaSearch"),
        ("x: grid_search([1, 2])", ConcurrencyLimiter(OptunaSearch(), 2), "is not searched by ConcurrencyLimiter"),
    ],
    ids=["grid_search", "numbers", "inner", "object", "wrapped"],
)
def test_what_is_not_searched_is_said_with_the_algorithms_that_do(cell: str, search: Any, message: str) -> None:
    text = refused(f"{cell}\nreport(loss=1)", search=search)
    assert f"line 2: x: {cell[3:]} " in text
    assert message in text


def test_an_object_of_ray_tune_searches_what_depends_on_others() -> None:
    cell = "k: choice([1, (2,)])\nx: uniform(0, 1) if k == 1 else None\nreport(loss=1)"
    assert prepare(cell, search=ConcurrencyLimiter(OptunaSearch(), 2)).space.names == ("k", "x")


def optuna() -> Any:
    return OptunaSearch(metric="loss", mode="min")


def test_a_repeater_is_the_option_repeat() -> None:
    spec = prepare(search=Repeater(searcher := optuna(), repeat=3)).spec
    assert (spec.search, spec.repeat, spec.max_concurrent) == (searcher, 3, None)
    spec = prepare(search=ConcurrencyLimiter(Repeater(searcher, repeat=3), 4), max_concurrent=6).spec
    assert (spec.search, spec.repeat, spec.max_concurrent) == (searcher, 3, 4)
    inner = ConcurrencyLimiter(optuna(), 2, batch=True)
    spec = prepare(search=Repeater(inner, repeat=2)).spec
    assert (spec.search, spec.repeat, spec.max_concurrent) == (inner, 2, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheduler": "pbt"}, "--repeat: not possible with pbt, which changes the parameters of trials"),
        ({"scheduler": "pb2"}, "--repeat: not possible with pb2, which changes"),
        ({"scheduler": "resources(base='pbt')"}, "--repeat: not possible with resources, which changes"),
        (
            {"scheduler": ("pbt_replay", {"policy": [(0, {"lr": 0.1})]}), "samples": 1},
            "--repeat: not possible with pbt_replay, which trains a single trial",
        ),
        ({"metric": "loss,b", "mode": "min,max"}, "--repeat: compares configurations by the mean of one metric"),
        ({"search": Repeater(optuna(), repeat=2)}, "--repeat: the Repeater given as --search repeats each"),
        (
            {"search": ConcurrencyLimiter(Repeater(optuna(), repeat=2), 2, batch=True), "repeat": None},
            "--search: ConcurrencyLimiter(…, batch=True) around a Repeater is not supported",
        ),
        (
            {"search": Repeater(optuna(), repeat=0), "repeat": None},
            "--search: the repeat of the Repeater: expected an integer >= 1, got 0",
        ),
    ],
)
def test_what_cannot_be_repeated(options: dict[str, Any], message: str) -> None:
    text = refused("lr: uniform(0, 1)\nreport(loss=lr, b=1, checkpoint={})", **{"samples": 4, "repeat": 3, **options})
    assert message in text
    assert "samples" not in text.replace("--samples", "")


@pytest.mark.parametrize(
    ("scheduler", "is_said"),
    [("asha", True), ("median", True), ("hyperband", True), ("resources(base='asha')", True), ("fifo", False)],
)
def test_a_scheduler_that_stops_single_repeats_is_said(scheduler: str, is_said: bool) -> None:
    notes = [
        note for note in prepare(scheduler=scheduler, repeat=3).notes if "compares and stops single trials" in note
    ]
    assert len(notes) == is_said
    assert all("the mean of what its 3 trials have reached until they end" in note for note in notes)
