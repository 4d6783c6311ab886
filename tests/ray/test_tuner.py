"""A `ray.tune.Tuner` as users build it, through nbtune and by itself."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.stopper import MaximumIterationStopper, Stopper

import nbtune
from tests.ray.examples import Run, fit_both


@pytest.fixture
def both(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns a function that makes a tuner of its parts, and runs it through nbtune and by itself."""
    monkeypatch.setattr("ray.train.constants.DEFAULT_STORAGE_PATH", str(tmp_path / "ray"))

    def run(trainable: Any, space: Any, *, tuned: Any = None, **run_config: Any) -> Run:
        random.seed(0)
        config = tune.TuneConfig(**(tuned or {}))
        tuner = tune.Tuner(trainable, param_space=space, tune_config=config, run_config=tune.RunConfig(**run_config))
        return fit_both(tuner, tmp_path)

    return run


def check(run: Run, *, values: bool = True) -> None:
    """Check that both have the same results."""
    ours, stock = run.ours, run.stock
    assert sorted(map(repr, ours.configs)) == sorted(map(repr, stock.configs))
    assert sorted(ours.iterations) == sorted(stock.iterations)
    assert (ours.errors, ours.checkpoints, ours.metrics) == (stock.errors, stock.checkpoints, stock.metrics)
    if values:
        assert (ours.best, ours.value) == (stock.best, stock.value)


def test_a_space_with_everything(both: Any) -> None:
    def train(config: dict[str, Any], data: Any = None, scale: int = 1) -> None:
        for step in range(3):
            tune.report({"score": config["model"]["width"] * config["twice"] * len(data) * scale + step})

    space = {
        "model": {"width": tune.choice([16, 32]), "layers": (1, 2), "deep": {"rate": tune.loguniform(1e-4, 1e-1)}},
        "twice": tune.sample_from(lambda spec: 2 * spec.config.model["width"]),
        "kind": tune.grid_search(["a", None]),
        "drawn": tune.quniform(0, 1, 0.25),
        "constant": {"path": Path("x"), "none": None},
    }
    tuned = {"metric": "score", "mode": "max", "num_samples": 3}
    run = both(tune.with_parameters(partial(train, scale=2), data=list(range(5))), space, tuned=tuned)
    # What the trials got: Ray reads results back from JSON, where a tuple is a list.
    got = sorted(repr(trial.config) for trial in run.experiment.trials.values())
    assert got == sorted(map(repr, run.stock.configs))
    assert (run.ours.value, len(got)) == (run.stock.value, 6)
    assert run.experiment.name == "experiment"


def test_functions_that_return_numbers_and_yield(both: Any) -> None:
    def returns(config: dict[str, Any]) -> float:
        return float(config["x"] + 1)

    def yields(config: dict[str, Any]) -> Any:
        for step in range(4):
            yield {"_metric": config["x"] + step, "done": step == 1}

    for train, iterations in ((returns, [1, 1]), (yields, [2, 2])):
        run = both(train, {"x": tune.grid_search([1, 2])}, tuned={"metric": "_metric", "mode": "max"})
        check(run)
        assert run.ours.iterations == iterations, '"done" ends a trial'


def lasts_three() -> Stopper:
    """Return a stopper that ends each trial after three results; local, so that it is sent by value."""

    class LastsThree(Stopper):
        def __init__(self) -> None:
            self.seen: dict[str, int] = {}

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            self.seen[trial_id] = self.seen.get(trial_id, 0) + 1
            return self.seen[trial_id] >= 3

        def stop_all(self) -> bool:
            return False

    return LastsThree()


@pytest.mark.parametrize(
    ("stop", "iterations"),
    [
        ({"loss": 2, "training_iteration": 4}, [3, 4]),  # the metric is minimized, and ends a trial from 2 on
        (lambda trial_id, result: result["training_iteration"] == 2, [2, 2]),
        (lasts_three(), [3, 3]),
        ([MaximumIterationStopper(4), lasts_three()], [3, 3]),
    ],
    ids=["dictionary", "function", "stopper", "list"],
)
def test_stop_conditions(both: Any, stop: Any, iterations: list[int]) -> None:
    def train(config: dict[str, Any]) -> None:
        for step in range(10):
            tune.report({"loss": config["x"] * step})

    run = both(train, {"x": tune.grid_search([0, 1])}, tuned={"metric": "loss", "mode": "min"}, stop=stop)
    check(run)
    assert sorted(run.ours.iterations) == iterations


def test_failures_are_retried_and_checkpoints_kept(both: Any, tmp_path: Path) -> None:
    class Fails(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.n, self.failed = 0, False

        def step(self) -> dict[str, float]:
            self.n += 1
            if self.n == 4 and not self.failed and self.config["x"] == 1:
                raise ValueError("once")
            return {"loss": abs(3 - self.n) + self.config["x"]}

        def save_checkpoint(self, checkpoint_dir: str) -> str:
            Path(checkpoint_dir, "n").write_text(str(self.n))
            return checkpoint_dir

        def load_checkpoint(self, checkpoint_dir: str) -> None:
            self.n, self.failed = int(Path(checkpoint_dir, "n").read_text()), True

    run = both(
        Fails,
        {"x": tune.grid_search([0, 1])},
        tuned={"metric": "loss", "mode": "min"},
        stop={"training_iteration": 6},
        failure_config=tune.FailureConfig(max_failures=2),
        checkpoint_config=tune.CheckpointConfig(
            num_to_keep=2, checkpoint_frequency=1, checkpoint_score_attribute="loss", checkpoint_score_order="min"
        ),
    )
    check(run)
    assert run.experiment.df["status"].tolist() == ["finished", "finished"]
    for trial in run.experiment.trials.values():
        assert trial.config["x"] in {checkpoint.metrics["loss"] for checkpoint in trial.checkpoints}, "the best ones"


def test_resources_of_each_trial(both: Any, cluster: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        tune.report({"cpus": tune.get_context().get_trial_resources().head_cpus})

    def resources(config: dict[str, Any]) -> Any:
        return tune.PlacementGroupFactory([{"CPU": config["x"]}])

    run = both(tune.with_resources(train, resources), {"x": tune.grid_search([1, 2])})
    check(run, values=False)
    assert sorted(run.experiment.df["cpus"]) == [1, 2]
    two = tune.PlacementGroupFactory([{"CPU": 1}, {"CPU": 1}])
    run = both(tune.with_resources(lambda config: {"n": 1}, two), {"x": 1})
    check(run, values=False)
    assert len(run.experiment._store.metadata["plan"].shape.bundles) == 2


def test_a_registered_name_and_no_limit_of_samples(both: Any, tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> dict[str, float]:
        return {"loss": config["x"]}

    tune.register_trainable("nbtune-registered", train)
    check(both("nbtune-registered", {"x": tune.uniform(0, 1)}, tuned={"metric": "loss", "mode": "min"}))
    endless = tune.Tuner(
        train,
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(num_samples=-1, time_budget_s=timedelta(seconds=3), max_concurrent_trials=1),
        run_config=tune.RunConfig(name="end less", storage_path=str(tmp_path)),
    )
    experiment = nbtune.tune(endless, wait=True)
    assert experiment.status == "stopped"
    assert len(experiment.df) > 2
    assert "end_less" in experiment.path
