"""Complete sweeps on a real Ray."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray.tune import stopper

import nbtune


def test_a_sweep_of_a_hundred_models(run: Any) -> None:
    def train_model(config: dict[str, Any]) -> dict[str, Any]:
        return {"score": config["model_id"]}

    names = [f"model_{number}" for number in range(100)]
    experiment = run(train_model, {"model_id": nbtune.grid_search(names)}).wait()

    assert experiment.status == "finished"
    assert list(experiment.df.index) == list(range(100))
    assert set(experiment.df["model_id"]) == set(names)
    assert (experiment.df["model_id"] == experiment.df["score"]).all()
    assert (experiment.df["status"] == "finished").all()
    assert len(experiment.history) == 100


def test_results_are_typed(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        nbtune.report(whole=3, real=0.5, text="a", flag=True, nothing=None, bad=math.nan, listed=[1, 2])

    space = {"n": nbtune.randint(1, 5), "x": nbtune.uniform(0, 1), "act": nbtune.choice(["relu", "gelu"]), "c": 7}
    frame = run(train, space, samples=3).wait().df

    assert frame.dtypes[["n", "c", "whole", "iterations"]].eq("int64").all()
    assert frame.dtypes[["x", "real", "bad", "time_s"]].eq("float64").all()
    assert frame["flag"].dtype == "bool"
    assert set(frame["act"]) <= {"relu", "gelu"}
    assert frame["bad"].isna().all()
    assert frame["listed"].tolist() == [[1, 2]] * 3
    assert frame["text"].tolist() == ["a"] * 3


def test_choices_may_be_any_object(run: Any) -> None:
    def train(config: dict[str, Any]) -> dict[str, Any]:
        return {"value": config["f"](4) + sum(config["layers"])}

    space = {"f": nbtune.grid_search([math.sqrt, math.exp]), "layers": nbtune.choice([(32, 16)])}
    experiment = run(train, space, metric="value", mode="max").wait()

    assert experiment.best.config == {"f": math.exp, "layers": (32, 16)}
    assert experiment.best.metrics["value"] == math.exp(4) + 48


def test_parameters_named_like_metrics_or_columns(run: Any) -> None:
    def train(config: dict[str, Any]) -> dict[str, Any]:
        return {"lr": config["lr"] * 2, "status": 5}

    frame = run(train, {"lr": nbtune.uniform(1, 2)}).wait().df

    assert (frame["lr"] == 2 * frame["config/lr"]).all()
    assert frame["metrics/status"].tolist() == [5]
    assert frame["status"].tolist() == ["finished"]


def test_df_while_running_has_the_final_types(run: Any, until: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        import time

        for step in range(1000):
            nbtune.report(loss=config["a"], step=step)
            time.sleep(0.05)

    experiment = run(train, {"a": nbtune.grid_search([1.0, 2.0])}, metric="loss", mode="min")
    assert list(experiment.df.columns)[:2] == ["status", "a"]
    until(lambda: experiment.history["trial"].nunique() == 2 and len(experiment.history) > 10, "reports of both")
    frame = experiment.df
    assert frame["status"].tolist() == ["running", "running"]
    assert (frame["iterations"] > 0).all()
    assert experiment.best.config == {"a": 1.0}
    assert experiment.status == "running"
    experiment.stop()
    experiment.wait(30)
    assert list(experiment.df.columns) == list(frame.columns)
    assert (experiment.df["iterations"] >= frame["iterations"]).all()


def test_a_failing_trial_does_not_affect_the_others(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        nbtune.report(acc=config["a"])
        if config["a"] == 2:
            raise ValueError("two is too much")

    experiment = run(train, {"a": nbtune.grid_search([1, 2, 3])}, metric="acc", mode="min").wait()

    assert experiment.status == "finished"
    assert experiment.df["status"].tolist() == ["finished", "failed", "finished"]
    assert experiment.df["error"].tolist()[1] == "ValueError: two is too much"
    assert 'raise ValueError("two is too much")' in experiment.trials[1].error
    assert "nbtune/engine" not in experiment.trials[1].error
    assert experiment.best.id == 0


def test_an_experiment_whose_trials_all_fail_has_failed(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        nbtune.report(acc=1)
        raise KeyError("gone")

    experiment = run(train, {"a": nbtune.uniform(0, 1)}, metric="acc", mode="max")
    assert experiment.wait().status == "failed"
    with pytest.raises(nbtune.ExperimentError, match=r"all 1 trials failed. Trial 0 failed: KeyError: 'gone'"):
        experiment.best  # noqa: B018
    with pytest.raises(nbtune.ExperimentError, match="KeyError: 'gone'"):
        run(train, {"a": nbtune.uniform(0, 1)}, metric="acc", mode="max", wait=True)


def test_a_report_without_the_metric_does_not_end_the_experiment(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        values = {"acc": 1.0} if config["a"] < 0.5 else {"other": 2.0}
        nbtune.report(**values)
        nbtune.report(**values)

    for search, scheduler in (("random", "asha"), ("optuna", "fifo")):
        points = [{"a": 0.1}, {"a": 0.9}]
        options = {"search": search, "scheduler": scheduler, "metric": "acc", "mode": "max", "points": points}
        experiment = run(train, {"a": nbtune.uniform(0, 1)}, samples=2, **options).wait()
        assert experiment.status == "finished", experiment.error
        assert experiment.best.config == {"a": 0.1}


@pytest.mark.parametrize("search", ["random", "grid", "optuna"])
def test_a_seed_reproduces_the_sweep(run: Any, search: str) -> None:
    def train(config: dict[str, Any]) -> dict[str, Any]:
        import random

        import numpy as np

        return {"value": config["a"], "drawn": random.random() + float(np.random.rand())}

    space = {"a": nbtune.choice([1, 2, 3, 4]) if search == "grid" else nbtune.uniform(0, 1)}
    options = {"samples": 2 if search == "grid" else 5, "search": search, "metric": "value", "mode": "max"}

    def sweep(seed: int) -> pd.DataFrame:
        return run(train, space, seed=seed, max_concurrent=1, **options).wait().df[["a", "value", "drawn"]]

    first, again, other = sweep(1), sweep(1), sweep(2)
    pd.testing.assert_frame_equal(first, again)
    assert not first["drawn"].equals(other["drawn"])
    assert first["drawn"].nunique() == len(first)


def test_points_are_tried_first(run: Any) -> None:
    points = [{"a": 0.25, "b": "y"}, {"a": 0.75, "b": "x"}]
    space = {"a": nbtune.uniform(0, 1), "b": nbtune.choice(["x", "y"])}
    for search in ("random", "optuna"):
        experiment = run(
            lambda config: {"v": config["a"]}, space, samples=3, search=search, points=points, metric="v", mode="max"
        ).wait()
        assert experiment.df[["a", "b"]].to_dict("records")[:2] == points
        assert len(experiment.df) == 3


def test_stop_conditions_from_above_and_below(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        for step in range(1, 30):
            nbtune.report(loss=1 / step, acc=step / 10)

    space = {"a": nbtune.uniform(0, 1)}
    low = run(train, space, metric="loss", mode="min", stop={"loss": 0.25}).wait()
    assert low.history["loss"].tolist() == [1, 1 / 2, 1 / 3, 1 / 4]
    high = run(train, space, metric="loss", mode="min", stop="acc=0.5").wait()
    assert high.df["acc"].tolist() == [0.5]
    counted = run(train, space, stop={"iterations": 7}).wait()
    assert counted.df["iterations"].tolist() == [7]
    own = run(train, space, stop=lambda trial_id, result: result["acc"] > 0.25).wait()
    assert own.df["iterations"].tolist() == [3]
    assert own.df["status"].tolist() == ["finished"]
    assert own.trials[0].reason == "stop condition: <lambda>"
    either = run(train, space, stop="loss < 0.26 and acc >= 0.4 or loss > 2 or iterations >= 20").wait()
    assert either.df["iterations"].tolist() == [4]
    assert either.trials[0].reason == "stop condition: loss < 0.26 and acc >= 0.4"
    either.extend(1)
    assert either.wait().df["iterations"].tolist() == [4, 4], "a resumed experiment has the condition"
    assert either.trials[1].reason == either.trials[0].reason
    level = run(train, space, stop="plateau(loss, 4) or time_s > 100").wait()
    assert level.df["iterations"].tolist() == [13], "the standard deviation of 1/10 to 1/13 is 0.0085"
    assert str(level.trials[0]).startswith("Trial 0 (finished, stop condition: plateau(loss, 4)): ")
    assert nbtune.load(level.path).trials[0].reason == level.trials[0].reason


def test_each_stopper_of_ray_ends_trials_or_the_experiment(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        for step in range(1, 30):
            nbtune.report(loss=1 / step)
            time.sleep(0.01)

    def ends(stop: Any) -> tuple[str, int, str]:
        experiment = run(train, {"a": 1}, stop=stop).wait()
        return experiment.status, int(experiment.df["iterations"][0]), experiment.trials[0].reason

    assert ends(stopper.MaximumIterationStopper(3)) == ("finished", 3, "stop condition: MaximumIterationStopper")
    plateau = stopper.TrialPlateauStopper("loss", std=0.01, num_results=4)
    assert ends(plateau) == ("finished", 13, "stop condition: TrialPlateauStopper")
    combined = stopper.CombinedStopper(stopper.MaximumIterationStopper(5), stopper.NoopStopper())
    assert ends(combined)[:2] == ("finished", 5)
    assert ends(stopper.FunctionStopper(lambda trial_id, result: result["loss"] < 0.3))[:2] == ("finished", 4)
    assert ends(stopper.NoopStopper()) == ("finished", 29, "its code has ended")
    # These two end the experiment, whose trials can be resumed.
    status, iterations, _ = ends(stopper.ExperimentPlateauStopper("loss", std=0.01, top=4, mode="min"))
    assert (status, iterations) == ("finished", 13), "its only trial has ended with it"
    text = "experiment_plateau(loss, 4, std=0.01, mode=min)"
    assert ends(text) == ("finished", 13, f"stop condition: {text}")
    assert ends(stopper.TimeoutStopper(0.001))[0] == "stopped"


def test_asha_stops_the_worse_trials(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        for _ in range(20):
            nbtune.report(acc=config["a"])

    space = {"a": nbtune.grid_search([float(number) for number in range(20, 0, -1)])}
    experiment = run(train, space, metric="acc", mode="max", scheduler="asha", max_concurrent=1).wait()
    frame = experiment.df
    assert experiment.status == "finished"
    assert frame.loc[0, "status"] == "finished"
    assert (frame["status"] == "stopped").sum() >= 10
    assert frame.loc[frame["status"] == "stopped", "iterations"].max() < 20
    assert experiment.best.config == {"a": 20.0}


def test_max_concurrent_and_fractional_cpus(run: Any, tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> dict[str, Any]:
        import os
        import time
        import uuid

        began = time.time()
        os.makedirs(config["meet"], exist_ok=True)
        open(os.path.join(config["meet"], uuid.uuid4().hex), "w").close()
        # A trial waits for the company that the plan promised it: no clock decides how many are seen at once.
        while len(os.listdir(config["meet"])) < config["together"] and time.time() < began + 60:
            time.sleep(0.02)
        time.sleep(0.1)
        return {"began": began, "ended": time.time()}

    def most_at_once(frame: pd.DataFrame) -> int:
        return max(((frame["began"] <= at) & (at < frame["ended"])).sum() for at in frame["began"])

    alone = {"a": nbtune.uniform(0, 1), "meet": str(tmp_path / "alone"), "together": 1}
    assert most_at_once(run(train, alone, samples=4, max_concurrent=1).wait().df) == 1
    halves = run(train, {**alone, "meet": str(tmp_path / "halves"), "together": 4}, samples=8, cpus=0.5)
    assert halves.plan.concurrent == 4
    assert most_at_once(halves.wait().df) == 4


def test_experiments_that_run_at_once_run_their_own_code(run: Any, tmp_path: Path, until: Any) -> None:
    go = tmp_path / "go"

    def first(config: dict[str, Any]) -> dict[str, Any]:
        import os
        import time

        while not os.path.exists(config["go"]):
            time.sleep(0.02)
        return {"ran": "first", "a": config["x"]}

    def second(config: dict[str, Any]) -> dict[str, Any]:
        return {"ran": "second", "b": config["y"]}

    space = {"x": nbtune.grid_search([1, 2, 3]), "go": str(go)}
    early = run(first, space, name="early", max_concurrent=1, reuse_actors=False)
    until(lambda: early.history.empty and "running" in set(early.df["status"]), "the first trial runs")
    late = run(second, {"y": nbtune.grid_search([4, 5])}, name="late", reuse_actors=False).wait(120)
    assert late.df["ran"].tolist() == ["second"] * 2
    go.touch()  # the other trials of the first experiment start after the second one has run
    early.wait(120)
    assert early.df["ran"].tolist() == ["first"] * 3
    assert early.df["a"].tolist() == [1, 2, 3]


def test_functions_take_parameters_by_name_and_generators_report(run: Any) -> None:
    def by_name(lr: float, hidden: int = 3) -> dict[str, Any]:
        return {"acc": lr + hidden}

    def generator(config: dict[str, Any]) -> Any:
        for step in range(3):
            yield {"acc": step}

    assert run(by_name, {"lr": 1.5}).wait().df["acc"].tolist() == [4.5]
    assert run(generator, {"lr": 1.5}).wait().history["acc"].tolist() == [0, 1, 2]


def test_reports_of_ray_tune_work(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        from ray import tune

        tune.report({"acc": config["a"], "nested": {"deep": 3}})

    frame = run(train, {"a": nbtune.uniform(0, 1)}, metric="acc", mode="max").wait().df
    assert frame["nested/deep"].tolist() == [3]
    assert (frame["acc"] == frame["a"]).all()


def test_waiting_times_out_and_can_be_awaited(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        import time

        time.sleep(3)
        nbtune.report(a=1)

    experiment = run(train, {"x": 1})
    with pytest.raises(TimeoutError, match="still (pending|running)"):
        experiment.wait(0.1)
    with pytest.raises(nbtune.ExperimentError, match="results are available at its end"):
        _ = experiment.results

    async def both() -> tuple[Any, Any]:
        return await asyncio.gather(_await(experiment), asyncio.sleep(0, "free"))

    async def _await(it: Any) -> Any:
        return await it

    ended, free = asyncio.run(both())
    assert ended is experiment
    assert free == "free"
    assert experiment.status == "finished"


def test_unplaceable_trials_are_an_error_before_anything_starts(run: Any, tmp_path: Any) -> None:
    with pytest.raises(nbtune.SpecError, match="3 CPU, but the largest node has 2"):
        run(lambda config: {"a": 1}, {"x": 1}, cpus=3)
    with pytest.raises(nbtune.SpecError, match="1 special, but the largest node has 0"):
        run(lambda config: {"a": 1}, {"x": 1}, resources={"special": 1})
    assert list(tmp_path.iterdir()) == []


def test_storage_that_is_not_writable_is_an_error(run: Any, tmp_path: Any) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(nbtune.ExperimentError, match="cannot write to"):
        run(lambda config: {"a": 1}, {"x": 1}, storage=str(tmp_path / "file" / "below"))
