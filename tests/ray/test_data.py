"""Data sets of Ray Data in trials: shares of workers, whole data sets, what was read, and resumptions."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

import nbtune
from nbtune.engine.protocol.trust import EVERYTHING
from nbtune.engine.storage.snapshot import read_launch
from nbtune.errors import SpecError
from nbtune.launch.data import check_blocks
from nbtune.launch.prepare import prepare_function
from nbtune.launch.start import dry_run
from tests.ray.pace import allow
from tests.ray.test_resume import driver_of
from tests.ray.test_train import wait_until_free

HALF = {"workers": 2, "cpus": 0.5}


@pytest.fixture(autouse=True)
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set must not be shown in the kernel: its text has its first rows, for which Ray executes it."""
    import ray.data

    monkeypatch.setattr(ray.data.Dataset, "__repr__", lambda self: pytest.fail("the data set is executed"))


@pytest.fixture(scope="module")
def rows(cluster: Any) -> Any:
    """Returns a data set of 20 rows, which tasks of Ray Data make."""
    import ray.data

    return ray.data.range(20, override_num_blocks=4).map(lambda row: {"x": float(row["id"])})


def data_processes() -> list[str]:
    """Return the processes of Ray Data and Ray Train that distribute data."""
    commands = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [one for one in commands if one.startswith(("ray::SplitCoordinator", "ray::DatasetManager"))]


def read_of(trial: Any, dataset: str) -> list[list[float]]:
    """Return the rows that each worker of a trial has reported to have read, in each pass."""
    reports = trial.worker_history if len(trial.workers) else trial.history
    return [json.loads(text) for text in reports[dataset]]


def test_each_worker_has_its_share(run: Any, until: Any, rows: Any) -> None:
    import ray.data

    def train(config: dict[str, Any]) -> None:
        import ray.train

        try:
            nbtune.get_dataset_shard("valit")
        except KeyError as error:
            unknown = str(error)
        for _ in range(2):
            shard = ray.train.get_dataset_shard("train")
            x = [value for batch in shard.iter_torch_batches(batch_size=3) for value in batch["x"].tolist()]
            held = [row["id"] for row in nbtune.get_dataset_shard("valid").iter_rows()]
            nbtune.report(a=config["a"], x=json.dumps(x), held=json.dumps(held), unknown=unknown)

    experiment = run(
        train,
        {"a": nbtune.grid_search([1, 2])},
        **HALF,
        datasets={"train": rows, "valid": ray.data.range(3), "unused": ray.data.range(1)},
        dataset_config="train",
    ).wait(300)
    assert experiment.status == "finished", experiment.trials[0].error
    assert (experiment.plan.data_cpus, experiment.plan.concurrent) == (1, 1)
    for trial in experiment.trials.values():  # the second one uses the workers of the first one
        passes = read_of(trial, "x")
        assert [len(one) for one in passes] == [10] * 4
        for number in (0, 1):
            both = trial.worker_history.query(f"iteration == {number + 1}")["x"]
            assert Counter(value for text in both for value in json.loads(text)) == Counter(map(float, range(20)))
        assert read_of(trial, "held") == [[0, 1, 2]] * 4, "each worker has all of it"
        assert trial.metrics["unknown"] == (
            "there is no data set 'valit' (did you mean 'valid'?); the experiment has train, valid, unused"
        )
        assert trial.logs() == "", "Ray Data says nothing of its progress"
        read = trial.data.set_index(["dataset", "worker"]).sort_index()
        assert read["rows"].to_dict() == {("train", 0): 20, ("train", 1): 20, ("valid", 0): 6, ("valid", 1): 6}
        assert set(read["passes"]) == {2}
        assert (read["waited"] >= 0).all()
    assert experiment.trials[0].workers["pid"].tolist() == experiment.trials[1].workers["pid"].tolist()
    info = experiment.datasets["train"]
    assert (info.stored, experiment.datasets["valid"].rows) == ("files", 3)
    assert experiment.datasets["valid"].schema == {"id": "int64"}
    assert list(experiment.datasets) == ["train", "valid", "unused"]
    assert "valid (3 rows" in repr(experiment)
    wait_until_free(until)
    until(lambda: not data_processes(), "the end of the processes that read data")


def test_a_trial_without_workers_has_the_whole(run: Any, rows: Any) -> None:
    import ray.data

    frame = pd.DataFrame({"y": np.arange(300_000.0)})  # blocks that are stored beside the code
    kept, held = ray.data.from_pandas(frame), ray.data.from_items([{"z": 1}, {"z": 2}])

    def train(config: dict[str, Any], given: Any) -> None:
        import ray.train

        data = nbtune.get_dataset_shard(config["data"])
        assert ray.train.get_dataset_shard(config["data"]).count() == 20
        captured = held.sum("z"), given.count(), int(kept.sum("y"))
        try:
            nbtune.get_dataset_shard("test")
        except KeyError as error:
            unknown = str(error)
        total = sum(batch["x"].sum() for batch in data.iter_batches(batch_size=8))
        nbtune.report(total=float(total), captured=str(captured), unknown=unknown)

    from ray import tune

    experiment = run(
        tune.with_parameters(train, given=kept),
        {"data": nbtune.grid_search(["small", "large"])},
        datasets={"small": rows, "large": rows.map(lambda row: {"x": 2 * row["x"]})},
    ).wait(300)
    assert experiment.status == "finished", experiment.trials[0].error
    assert [trial.metrics["total"] for trial in experiment.trials.values()] == [190.0, 380.0]
    for trial in experiment.trials.values():
        assert trial.metrics["captured"] == f"(3, 300000, {300_000 * 299_999 // 2})"
        assert trial.metrics["unknown"] == "there is no data set 'test'; the experiment has small, large"
        assert trial.logs() == ""
        (read,) = trial.data.to_dict("records")
        assert (read["worker"], read["rows"], read["passes"]) == (0, 20, 1)


def test_a_class_and_an_experiment_without_data_sets(run: Any, rows: Any) -> None:
    from ray import tune

    class Model(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.data = nbtune.get_dataset_shard("train")

        def step(self) -> dict[str, Any]:
            return {"total": self.data.sum("x"), "done": True}

    experiment = run(Model, {"a": 1}, datasets={"train": rows}).wait(300)
    assert experiment.trials[0].metrics["total"] == 190, experiment.trials[0].error

    def train(config: dict[str, Any]) -> None:
        nbtune.report(n=nbtune.get_dataset_shard("train").count())

    experiment = run(train, {"a": 1}).wait(300)
    assert (
        "there is no data set 'train': the experiment has none; name those that it reads" in experiment.trials[0].error
    )
    with pytest.raises(KeyError, match="only trials have data sets by name"):
        nbtune.get_dataset_shard("train")


def test_a_data_set_is_the_value_of_a_parameter(run: Any, rows: Any) -> None:
    import ray.data

    few = ray.data.from_pandas(pd.DataFrame({"x": [1.0, 2.0]}))

    def train(data: Any, scale: float) -> None:
        nbtune.report(total=scale * sum(batch["x"].sum() for batch in data.iter_batches()))

    space = {"data": nbtune.grid_search([few, rows]), "scale": 2}
    experiment = run(train, space, datasets={"all": rows}).wait(300)
    assert [trial.metrics["total"] for trial in experiment.trials.values()] == [6, 380], experiment.trials[0].error
    assert experiment.plan.concurrent == 1
    assert experiment.df["data"].map(repr).tolist() == ["data", "all"], "their names"
    assert set(experiment.datasets) == {"all", "data"}
    experiment = run(train, {"data": rows, "scale": 1.0}, aggregate="mean", **HALF).wait(300)
    assert experiment.status == "finished", experiment.trials[0].error
    assert experiment.trials[0].metrics["total"] == 95, "each worker has its share"


def test_large_blocks_stay_in_the_object_store(run: Any, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray.data

    monkeypatch.setattr("nbtune.engine.trial.pickler.MAX_BLOCK_BYTES", 10)
    monkeypatch.setattr("nbtune.engine.trial.datasets.MAX_BLOCK_BYTES", 10)
    large, other = ray.data.from_pandas(pd.DataFrame({"x": np.arange(4.0)})), rows.materialize()

    def train(config: dict[str, Any]) -> None:
        nbtune.report(total=nbtune.get_dataset_shard().sum("x") + large.sum("x"))

    experiment = run(train, {"a": 1}, datasets={"train": other}).wait(300)
    assert experiment.trials[0].metrics["total"] == 196, experiment.trials[0].error
    notes = [note for note in experiment.plan.notes if "cannot be resumed elsewhere" in note]
    assert len(notes) == 2, "of both"
    assert experiment.datasets["train"].stored == "cluster"
    packed = read_launch(*experiment.where.open(), EVERYTHING).datasets
    assert len(packed.borrowed) == 2
    check_blocks(packed)
    for gone in ({"session": "another"}, {"job": "ffffffff"}):
        if "job" in gone:
            monkeypatch.setattr("nbtune.engine._ray.core.is_job_over", lambda job: job == "ffffffff")
        with pytest.raises(SpecError, match="it cannot be resumed: the rows of its data sets"):
            check_blocks(replace(packed, **gone))


def test_a_dry_run_has_the_data_sets(cluster: Any, rows: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        import ray.train

        nbtune.report(n=nbtune.get_dataset_shard("train").count(), total=ray.train.get_dataset_shard("train").sum("x"))

    for options in ({}, HALF):
        prepared = prepare_function(train, {"a": nbtune.uniform(0, 1)}, {"datasets": {"train": rows}, **options})
        text = dry_run(prepared)
        assert "n=20, total=190.0" in text
        assert "1 CPU left to Ray Data" in text


def test_trials_that_hold_every_cpu_are_refused(run: Any, rows: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        nbtune.report(n=rows.count())

    for given in ({"datasets": {"train": rows}}, {}):
        with pytest.raises(SpecError, match=r"needs 1 CPU beside it, but the node has 2 CPU.*2 x \(0.5 CPU\), PACK"):
            run(train, {"a": 1}, workers=2, cpus=1, **given)
    assert nbtune.plan(samples=4, datasets={"train": rows}).concurrent == 1
    assert nbtune.plan(samples=4, datasets={"train": rows}, data_cpus=0).concurrent == 2


def test_an_elastic_run_leaves_a_cpu_to_ray_data(run: Any, rows: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        batches = nbtune.get_dataset_shard().iter_batches()
        nbtune.report(n=sum(len(batch["x"]) for batch in batches), size=nbtune.get_context().get_world_size())

    experiment = run(train, {"a": 1}, workers=(1, 2), cpus=1, datasets={"train": rows}).wait(300)
    assert experiment.status == "finished", experiment.trials[0].error
    assert experiment.trials[0].metrics == {"n": 20, "size": 1}, "with two workers it would wait for ever"


def test_trials_that_population_based_training_pauses(run: Any, rows: Any) -> None:
    from ray.tune.schedulers import PopulationBasedTraining

    def train(config: dict[str, Any]) -> None:
        checkpoint = nbtune.get_checkpoint()
        for step in range(checkpoint["step"] + 1 if checkpoint else 0, 4):
            batches = nbtune.get_dataset_shard().iter_batches()
            n = sum(len(batch["x"]) for batch in batches)
            nbtune.report(n=n, value=config["lr"] * step, checkpoint={"step": step})

    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=2,
        quantile_fraction=0.5,
        synch=True,
        hyperparam_mutations={"lr": [0.1, 1.0]},
    )
    space = {"lr": nbtune.grid_search([0.1, 1.0])}
    given = {"datasets": {"train": rows}, "metric": "value", "mode": "max", "scheduler": scheduler}
    experiment = run(train, space, **given).wait(300)
    assert experiment.status == "finished", [trial.error for trial in experiment.trials.values()]
    assert set(experiment.history["n"]) == {20}
    assert all(list(trial.history["iteration"])[-1] == 4 for trial in experiment.trials.values())


def test_a_preprocessor_is_kept_with_the_checkpoint(run: Any, rows: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        from ray.data.preprocessors import MinMaxScaler, StandardScaler

        kind = {"standard": StandardScaler, "minmax": MinMaxScaler}[config["scaler"]]
        scaler = kind(columns=["x"])
        scaled = scaler.fit_transform(nbtune.get_dataset_shard("train"))
        nbtune.report(mean=scaled.mean("x"), checkpoint={"scaler": scaler})

    experiment = run(
        train,
        {"scaler": nbtune.grid_search(["standard", "minmax"])},
        datasets={"train": rows},
        metric="mean",
        mode="max",
    ).wait(300)
    assert experiment.status == "finished", experiment.trials[0].error
    assert [round(trial.metrics["mean"], 6) for trial in experiment.trials.values()] == [0, 0.5]
    scaler = nbtune.load(experiment.path).best.checkpoint["scaler"]
    assert scaler.transform_batch(pd.DataFrame({"x": [0.0, 19.0]}))["x"].tolist() == [0.0, 1.0]


def test_data_sets_are_there_again(run: Any, until: Any, tmp_path: Path) -> None:
    import ray.data

    limit = tmp_path / "limit"
    allow(limit, 2)
    data = ray.data.from_pandas(pd.DataFrame({"x": np.arange(8.0)}))

    def train(config: dict[str, Any]) -> None:
        import time

        checkpoint = nbtune.get_checkpoint()
        for step in range(checkpoint["step"] + 1 if checkpoint else 0, 6):
            while step >= int(limit.read_text()):
                time.sleep(0.02)
            batches = nbtune.get_dataset_shard().iter_batches(batch_size=2)
            nbtune.report(step=step, n=sum(len(batch["x"]) for batch in batches), checkpoint={"step": step})

    experiment = run(train, {"a": 1}, **HALF, datasets={"train": data})
    until(lambda: len(experiment.history) == 2, "reports")
    trial = experiment.trials[0]
    trial.pause()
    allow(limit, 4)
    until(lambda: trial.status == "paused", "it is paused")
    trial.resume()
    until(lambda: len(experiment.history) == 4, "reports after the pause")
    driver_of(experiment).kill()
    experiment.wait(60)
    assert experiment.status == "lost"
    del data
    allow(limit, 6)
    again = nbtune.load(experiment.path).resume().wait(300)
    assert again.status == "finished", again.trials[0].error
    assert again.history[["step", "n"]].to_dict("list") == {"step": [0, 1, 2, 3, 4, 5], "n": [4] * 6}
