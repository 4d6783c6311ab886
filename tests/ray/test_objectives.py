"""Several objectives with a real Ray: every sampler, schedulers by one metric, live commands, resuming and loading."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray import tune
from ray.tune.search.optuna import OptunaSearch

import nbtune
from nbtune.errors import ExperimentError, SpecError

SPACE = {"x": nbtune.uniform(0, 2), "kind": nbtune.choice(["a", "b"])}
BOTH = {"metric": "accuracy,latency", "mode": "max,min"}


def front_of(frame: Any) -> list[int]:
    """Return the trials that no other one beats, the plain way."""
    values = frame[["accuracy", "latency"]].to_numpy() * [-1, 1]
    beaten = [any((other <= one).all() and (other < one).any() for other in values) for one in values]
    return frame.index[~np.array(beaten)].tolist()


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_the_front_of_a_sweep(run: Any, search: str) -> None:
    def train(config: dict[str, Any]) -> None:
        for step in (1, 2):
            nbtune.report(accuracy=config["x"] * step / 2, latency=config["x"] ** 2 + (config["kind"] == "b"))

    experiment = run(train, SPACE, **BOTH, search=search, samples=12, seed=1)
    experiment.dashboard  # noqa: B018 - it follows the experiment
    experiment.wait()
    assert experiment.status == "finished"
    front = [trial.id for trial in experiment.pareto]
    assert front == front_of(experiment.df)
    assert experiment.df["pareto"].sum() == len(front)
    assert 0 < len(front) < 12
    with pytest.raises(ExperimentError, match="has 2 objectives .*pareto"):
        experiment.best  # noqa: B018
    study = experiment.to_optuna()
    assert [trial.number for trial in study.best_trials] == front
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert len(experiment.plot("pareto").data[-1].x) == len(front)
    assert experiment.dashboard._tabs.titles[-1] == "Pareto"
    loaded = nbtune.load(experiment.path)
    assert [trial.id for trial in loaded.pareto] == front
    assert loaded.pareto[0].values == experiment.pareto[0].values
    by_one = nbtune.load(experiment.path, metric="accuracy", mode="max")
    assert by_one.best.metrics["accuracy"] == experiment.df["accuracy"].max()


def test_an_object_with_several_metrics_and_what_others_have_run(run: Any, tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> None:
        nbtune.report(accuracy=config["x"], latency=config["x"] ** 2)

    search = OptunaSearch(metric=["accuracy", "latency"], mode=["max", "min"], seed=1)
    experiment = run(train, SPACE, search=search, samples=4).wait()
    assert [trial.id for trial in experiment.pareto] == front_of(experiment.df)

    def stock(config: dict[str, Any]) -> None:
        tune.report({"accuracy": config["x"], "latency": config["x"] ** 2})

    tuner = tune.Tuner(
        stock,
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            num_samples=3, search_alg=OptunaSearch(metric=["accuracy", "latency"], mode=["max", "min"], seed=1)
        ),
        run_config=tune.RunConfig(name="stock", storage_path=str(tmp_path), verbose=0),
    )
    tuner.fit()
    foreign = nbtune.load(str(tmp_path / "stock"), trust=True)
    assert [trial.id for trial in foreign.pareto] == front_of(foreign.df)
    given = nbtune.load(str(tmp_path / "stock"), metric=["accuracy", "latency"], mode=["max", "min"])
    assert [trial.id for trial in given.pareto] == front_of(foreign.df)


def test_a_scheduler_compares_by_the_metric_that_it_is_told(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        for step in range(20):
            nbtune.report({"done": config["x"], "latency": -step})

    space = {"x": nbtune.grid_search([float(number) for number in range(8, 0, -1)])}
    both = {"metric": ["done", "latency"], "mode": ["max", "min"]}
    scheduler = "asha(metric='done', mode='max', reduction_factor=2)"
    experiment = run(train, space, **both, scheduler=scheduler, max_concurrent=1).wait()
    assert experiment.df["status"].tolist()[0] == "finished"
    assert (experiment.df["status"] == "stopped").sum() >= 5
    assert experiment.pareto[0].id == 0
    with pytest.raises(SpecError, match=r"""scheduler=….*"asha\(metric='done', mode='max'\)"""):
        run(train, space, **both, scheduler="asha")


def test_added_trials_pausing_and_resuming_keep_the_objectives(run: Any, until: Any, tmp_path: Path) -> None:
    going = tmp_path / "going"

    def train(config: dict[str, Any]) -> None:
        found = nbtune.get_checkpoint()
        for step in range(0 if found is None else found["step"] + 1, 4):
            nbtune.report({"accuracy": config["x"], "latency": step}, checkpoint={"step": step})
            while step == 1 and not going.exists():
                time.sleep(0.02)

    experiment = run(train, {"x": nbtune.uniform(0, 2)}, **BOTH, search="optuna", samples=2, max_concurrent=2, seed=3)
    until(lambda: experiment.df["iterations"].tolist() == [2, 2], "both have made two reports")
    experiment.add(x=1.5)
    experiment.stop()
    experiment.wait(60)
    assert experiment.status == "stopped"
    going.touch()
    experiment.resume()
    experiment.wait(120)
    assert experiment.status == "finished"
    assert experiment.df["latency"].tolist() == [3, 3, 3]
    assert [trial.values for trial in experiment.pareto] == [
        {"accuracy": experiment.df["accuracy"].max(), "latency": 3}
    ]
    experiment.extend(1)
    experiment.wait(120)
    assert len(experiment.df) == 4
