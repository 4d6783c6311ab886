"""Conditional and derived parameters, and constraints, in sweeps on a real Ray."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nbtune
from nbtune.spec.space.values import label, same

TEXT = """
optimizer: choice(["sgd", "adam"]) = "sgd"
momentum: choice([0.8, 0.9]) if optimizer == "sgd" else None = 0.9
scale: choice([1, 2])
size: choice([8, 16, 32])
require(size * scale <= 32)
"""


def train(config: dict[str, Any]) -> dict[str, Any]:
    return {"score": config["scale"] + (config["momentum"] or 0)}


def is_valid(frame: pd.DataFrame) -> bool:
    """Return whether all rows satisfy the conditions and the constraint of `TEXT`."""
    sgd = frame["optimizer"] == "sgd"
    return bool(
        frame["momentum"][sgd].isin([0.8, 0.9]).all()
        and frame["momentum"][~sgd].isna().all()
        and (frame["size"] * frame["scale"] <= 32).all()
    )


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_every_sample_satisfies_the_constraints(run: Any, search: str) -> None:
    space = nbtune.Space.from_cell(TEXT)
    experiment = run(train, space, samples=24, search=search, metric="score", mode="max", seed=3).wait()
    assert experiment.status == "finished"
    frame = experiment.df
    assert len(frame) == 24, "rejected samples must be replaced"
    assert is_valid(frame)
    assert set(frame["optimizer"]) == {"sgd", "adam"}
    assert experiment.space == space
    assert experiment.best.metrics["score"] == frame["score"].max()


def test_a_grid_has_each_point_once(run: Any) -> None:
    experiment = run(train, nbtune.Space.from_cell(TEXT), search="grid", samples=2).wait()
    frame = experiment.df
    points = frame[["optimizer", "momentum", "scale", "size"]].fillna(-1)
    # 5 of the 6 pairs of scale and size are allowed; sgd has two momenta, adam none.
    assert experiment.plan.trials == len(frame) == 2 * 5 * 3
    assert (points.value_counts() == 2).all()
    assert len(points.drop_duplicates()) == 15
    assert is_valid(frame)
    experiment.extend(1)
    experiment.wait()
    assert len(experiment.df) == 45
    assert (experiment.df[points.columns].fillna(-1).value_counts() == 3).all()


def test_a_grid_search_on_a_condition(run: Any) -> None:
    space = nbtune.Space.from_cell(
        'kind: grid_search(["a", "b"])\nn: grid_search([1, 2, 3]) if kind == "a" else 0\nx: uniform(0, n + 1)'
    )
    frame = run(lambda config: {"x": config["x"] / (config["n"] + 1)}, space).wait().df
    assert sorted(zip(frame["kind"], frame["n"], strict=True)) == [("a", 1), ("a", 2), ("a", 3), ("b", 0)]
    assert frame["x"].between(0, 1).all()


def test_a_cross_with_a_constraint_leaves_points_out(run: Any) -> None:
    space = nbtune.Space.from_cell("a: grid_search([1, 2, 3, 4])\nb: uniform(0, 1)\nrequire(a != 2)")
    experiment = run(lambda config: {"b": config["b"]}, space, samples=2).wait()
    assert sorted(experiment.df["a"]) == [1, 1, 3, 3, 4, 4]


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_a_seed_reproduces_derived_parameters(run: Any, search: str) -> None:
    space = nbtune.Space.from_cell("a: uniform(0, 1)\nb: uniform(0, a)\nc: uniform(b, 2) if b < 0.3 else None")
    frames = [
        run(
            lambda config: {"s": config["a"]},
            space,
            samples=8,
            seed=5,
            search=search,
            metric="s",
            mode="max",
            max_concurrent=1,
        )
        .wait()
        .df[["a", "b", "c"]]
        for _ in range(2)
    ]
    pd.testing.assert_frame_equal(*frames)
    assert frames[0]["a"].nunique() == frames[0]["b"].nunique() == 8
    assert (frames[0]["b"] <= frames[0]["a"]).all()


@pytest.mark.parametrize("search", ["random", "grid", "optuna"])
def test_points_to_evaluate_must_satisfy_the_constraints(run: Any, search: str) -> None:
    space = nbtune.Space.from_cell(TEXT)
    with pytest.raises(nbtune.SpecError, match=r"'size': 32.* does not fulfil require\(size \* scale <= 32\)"):
        run(train, space, samples=2, points=[{"size": 32, "scale": 2}])
    # Parameters that a point does not set are sampled so that the constraints are satisfied. Half of all samples violate them.
    points = [{"size": 32}] * 8
    given = {"search": search, "samples": 1 if search == "grid" else 9, "metric": "score", "mode": "max"}
    frame = run(train, space, points=points, **given).wait().df
    assert (frame["size"][:8] == 32).all()
    assert (frame["scale"][:8] == 1).all()
    assert is_valid(frame)


def test_an_added_point_must_satisfy_the_constraints(run: Any, until: Any) -> None:
    def slow(config: dict[str, Any]) -> None:
        for _ in range(1000):
            nbtune.report(score=1)
            time.sleep(0.05)

    experiment = run(slow, nbtune.Space.from_cell(TEXT), samples=1)
    until(lambda: len(experiment.history) > 0, "a report")
    with pytest.raises(
        nbtune.ExperimentError, match=r"cannot be tried: none of 1000 samples satisfies require\(size \* scale <= 32\)"
    ):
        experiment.add(size=32, scale=2)
    experiment.add(size=32)
    until(lambda: len(experiment.trials) == 2, "the point")
    assert experiment.trials[1].config["scale"] == 1
    assert is_valid(experiment.df)


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_samples_after_the_end_satisfy_the_constraints(run: Any, search: str) -> None:
    # Notebook functions in a constraint are pickled with the space, and outlive the driver.
    space = nbtune.Space.from_cell(
        TEXT.replace("size * scale", "product(size, scale)"), {"product": lambda a, b: a * b}
    )
    experiment = run(train, space, samples=4, search=search, metric="score", mode="max").wait()
    experiment.extend(6)
    experiment.wait()
    assert len(experiment.df) == 10
    assert is_valid(experiment.df)
    if search == "optuna":
        state_file = max(Path(experiment.path).glob("searcher-state-*.pkl"))  # Tune's file with the state of Optuna
        assert len(pickle.loads(state_file.read_bytes())["_ot_study"].trials) >= 10


def test_errors_of_sampling_are_found_before_anything_starts(run: Any) -> None:
    with pytest.raises(nbtune.SpecError, match="b: cannot be sampled: uniform.*must be less than upper"):
        run(train, nbtune.Space.from_cell("a: uniform(0, 1)\nb: uniform(a, 0.5)"))
    with pytest.raises(nbtune.SpecError, match="none of 1000 samples satisfies"):
        run(train, nbtune.Space.from_cell("a: uniform(0, 1)\nrequire(a > 2)"))
    with pytest.raises(nbtune.SpecError, match="no point of the grid fulfils"):
        run(train, nbtune.Space.from_cell("a: grid_search([1, 2])\nrequire(a > 2)"), search="grid")


def test_an_algorithm_without_support_for_conditions_is_an_error(run: Any) -> None:
    from ray.tune.search import Searcher

    class Own(Searcher):
        def suggest(self, trial_id: str) -> dict[str, Any]:
            return {"a": 0.5}

    space = nbtune.Space.from_cell("a: uniform(0, 1)\nb: uniform(0, 1) if a > 0.5 else None")
    with pytest.raises(
        nbtune.SpecError, match="is not searched by Own: a parameter that depends on others .* by random, optuna"
    ):
        run(train, space, search=Own(), metric="score", mode="max")


def test_a_study_of_a_conditional_space(run: Any) -> None:
    space = nbtune.Space.from_cell(TEXT.replace("choice([0.8, 0.9])", "uniform(0.8, 0.9)"))
    study = run(train, space, samples=12, metric="score", mode="max", seed=1).wait().to_optuna()
    adam = [trial for trial in study.trials if trial.params["optimizer"] == "adam"]
    assert adam
    assert not any("momentum" in trial.params for trial in adam)
    assert type(study.trials[0].distributions["size"]).__name__ == "CategoricalDistribution"
    sgd = next(trial for trial in study.trials if trial.params["optimizer"] == "sgd")
    assert (sgd.distributions["momentum"].low, sgd.distributions["momentum"].high) == (0.8, 0.9)


def relu(x: float) -> float:
    return max(x, 0.0)


VALUES = [relu, 3, "g", np.float32(0.5), {0: 1.0, 1: 5.0}, None, (1, 2), np.arange(3)]
"""What a choice may hold beside plain numbers and text."""


def test_every_value_of_a_choice_arrives_and_comes_back(run: Any, tmp_path: Path) -> None:
    """In the trial, live, loaded, after a resume; as points, added and cloned."""

    def train(config: dict[str, Any]) -> dict[str, Any]:
        return {"score": 1.0, "type": type(config["x"]).__name__, "text": label(config["x"])}

    space = {"x": nbtune.grid_search(VALUES), "constant": {0: np.int64(1)}}
    experiment = run(train, space, metric="score", mode="max").wait()
    experiment.add(x=VALUES[4])
    experiment.wait()
    experiment.trials[0].clone()
    experiment.wait()
    experiment.extend(1)
    experiment.wait()
    assert experiment.status == "finished", experiment

    def check(experiment: nbtune.Experiment) -> None:
        expected = [*VALUES, VALUES[4], relu, *VALUES]
        assert len(experiment.trials) == len(expected)
        for trial, value in zip(experiment.trials.values(), expected, strict=True):
            assert trial.metrics["type"] == type(value).__name__
            assert trial.metrics["text"] == label(value)
            back = trial.config["x"]
            assert same(back, value) or (value is relu and back(-1) == 0)
            assert same(trial.config["constant"], {0: np.int64(1)})
        frame = experiment.df
        assert [label(value) for value in frame["x"]] == [label(value) for value in expected]
        assert not [name for name in frame if name.startswith(("x/", "constant/"))]

    check(experiment)
    check(nbtune.load(experiment.path))


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_points_are_values_of_the_choice(run: Any, search: str) -> None:
    points = [{"x": 2, "f": relu}, {"x": np.int64(3), "f": 7}]
    space = {"x": nbtune.choice(list(np.arange(1, 5))), "f": nbtune.choice([relu, 7])}

    def train(config: dict[str, Any]) -> dict[str, Any]:
        return {"score": float(config["x"]), "type": type(config["x"]).__name__}

    experiment = run(train, space, metric="score", mode="max", samples=4, points=points, search=search).wait()
    assert experiment.status == "finished", experiment
    assert [trial.config["x"] for trial in list(experiment.trials.values())[:2]] == [2, 3]
    assert set(experiment.df["type"]) == {"int64"}
