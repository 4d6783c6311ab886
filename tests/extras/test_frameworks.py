"""Trials of two workers in each framework besides plain PyTorch: they train together, also after a kill and a pause."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray.data

import nbtune
from tests.extras.trained import CASES, ROUNDS, Case
from tests.ray.test_nodes import run_program

pytestmark = pytest.mark.timeout(900)  # DeepSpeed compiles for a minute, TensorFlow starts for ten seconds each time
OPTIONS = {"workers": 2, "cpus": 0.5, "metric": "loss", "mode": "min"}


def told(trial: Any, rank: int) -> list[tuple[int, int, int]]:
    """Return what a worker has printed at each of its starts: processes, the round it starts from, and its id."""
    found = re.findall(r"(\d+) processes, from round (\d+), pid (\d+)", trial.logs(rank=rank))
    return [(int(count), int(start), int(pid)) for count, start, pid in found]


@pytest.mark.parametrize("name", CASES)
def test_two_workers_train_together(run: Any, name: str) -> None:
    case: Case = CASES[name]
    experiment = run(
        case.make(None), {"rate": nbtune.grid_search([0.02, 0.05])}, **OPTIONS, max_concurrent=1, wait=True
    )
    assert experiment.status == "finished", experiment.error
    assert experiment.df["status"].tolist() == ["finished"] * 2, experiment.df
    assert experiment.df["iterations"].tolist() == [ROUNDS] * 2
    pids = []
    for trial in experiment.trials.values():
        starts = [told(trial, rank) for rank in range(2)]
        assert [[one[:2] for one in of_rank] for of_rank in starts] == [[(2, 0)], [(2, 0)]]
        pids.append({of_rank[0][2] for of_rank in starts})
        losses = trial.history["loss"].tolist()
        assert min(losses[1:]) < losses[0], losses
        assert case.load(trial.checkpoints[-1].path) == ROUNDS
    assert len(pids[0]) == 2
    assert (pids[0] == pids[1]) == case.reused, "the workers of the first trial train the second one"


@pytest.mark.parametrize("name", CASES)
def test_trials_are_stopped_paused_and_killed(run: Any, until: Any, tmp_path: Path, name: str) -> None:
    case: Case = CASES[name]
    gate = tmp_path / "gate"
    space = {"rate": nbtune.grid_search([0.1, 0.05])}
    experiment = run(case.make(gate), space, **OPTIONS, max_concurrent=1, max_failures=1)
    until(lambda: experiment.trials and experiment.trials[0]._state.iterations >= 1, "it reports")
    experiment.trials[0].stop()
    until(lambda: len(experiment.trials) > 1 and experiment.trials[1]._state.iterations >= 1, "the next one reports")
    assert experiment.trials[0].status == "stopped"
    trial = experiment.trials[1]
    trial.pause()
    until(lambda: trial.status == "paused", "it is paused")
    paused_after = trial._state.iterations
    trial.resume()
    until(lambda: trial._state.iterations > paused_after, "it goes on")
    os.kill(int(trial.workers["pid"][1]), signal.SIGKILL)
    until(lambda: trial._state.failures == 1, "its failure is told")
    assert "the process of worker 1 has ended without a message" in trial.error
    gate.touch()
    assert experiment.wait(300).status == "finished", experiment.error
    assert trial.status == "finished", trial.error
    assert trial.history["iteration"].tolist() == list(range(1, ROUNDS + 1))
    starts = told(trial, 0)
    assert [count for count, _, _ in starts] == [2, 2, 2]
    assert starts[1][1] == paused_after
    assert paused_after <= starts[2][1] <= ROUNDS
    assert case.load(trial.checkpoints[-1].path) == ROUNDS


@pytest.mark.parametrize("name", CASES)
def test_trials_are_stopped_by_asha_and_fail(run: Any, tmp_path: Path, name: str) -> None:
    """The error is that of the worker that failed, with its line, and not that of the other one, which waits for it."""
    case: Case = CASES[name]
    space = {"rate": nbtune.grid_search([0.02, 1e-9])}
    experiment = run(case.make(None), space, **OPTIONS, max_concurrent=1, scheduler="asha(max_t=100, grace_period=2)")
    assert experiment.wait(300).status == "finished", experiment.error
    assert experiment.df["status"].tolist() == ["finished", "stopped"]
    assert experiment.df["iterations"].tolist() == [ROUNDS, 2]
    assert experiment.trials[1].reason == "stopped by the scheduler"
    gate = tmp_path / "gate"
    for file in (gate, tmp_path / "gate.broken"):
        file.touch()
    broken = run(case.make(gate), {"rate": 0.05}, **OPTIONS).wait(300)
    assert broken.status == "failed"
    assert broken.df["error"][0] == "worker 1: ValueError: no more data"
    assert 'raise ValueError("no more data")' in broken.trials[0].error


def test_a_trainer_of_tensorflow_with_a_data_set(run: Any) -> None:
    """The training function of Ray's own example."""
    from ray.train import ScalingConfig
    from ray.train.examples.tf.tensorflow_regression_example import train_func
    from ray.train.tensorflow import TensorflowTrainer

    numbers = np.random.default_rng(0).normal(size=(64, 100)).astype("float32")
    trainer = TensorflowTrainer(
        train_func,
        train_loop_config={"lr": 1e-3, "batch_size": 16, "epochs": 2},
        scaling_config=ScalingConfig(num_workers=2, resources_per_worker={"CPU": 0.5}),
        datasets={"train": ray.data.from_items([{"x": x, "y": x.sum()} for x in numbers])},
    )
    experiment = run(trainer).wait(300)
    assert experiment.df["status"].tolist() == ["finished"], experiment.trials[0].error
    assert experiment.df["iterations"].tolist() == [2]
    assert experiment.trials[0].checkpoint is not None


def test_a_trainer_of_transformers_with_data_sets(run: Any, tmp_path: Path) -> None:
    """A stream has no length: each pass is an epoch, also after a failure. Every second one has a checkpoint."""
    broken = str(tmp_path / "broken")

    def train(config: dict[str, Any]) -> None:
        import pathlib

        import ray.train
        import torch
        import transformers

        class Breaks(transformers.TrainerCallback):  # type: ignore[misc]
            def on_epoch_begin(self, args: Any, state: Any, control: Any, **other: Any) -> None:
                print("starts a pass at step", state.global_step)
                rank = ray.train.get_context().get_world_rank()
                if state.global_step == 8 and rank == 0 and not pathlib.Path(broken).exists():
                    pathlib.Path(broken).touch()
                    raise ValueError("no more power")

        torch.manual_seed(0)
        shape = transformers.BertConfig(
            vocab_size=16, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
        )
        streams = {name: nbtune.get_dataset_shard(name).iter_torch_batches(batch_size=4) for name in ("train", "valid")}
        nbtune.transformers.trainer(
            transformers.BertForSequenceClassification(shape),
            args={"learning_rate": config["rate"], "max_steps": 16, "lr_scheduler_type": "constant"},
            checkpoint_every=2,
            train_dataset=streams["train"],
            eval_dataset=streams["valid"],
            callbacks=[Breaks()],
        ).train(resume_from_checkpoint=nbtune.transformers.resume())

    tokens = np.random.default_rng(0).integers(2, 16, (32, 6))
    rows = [{"input_ids": row, "labels": int(row[0] % 2)} for row in tokens]
    experiment = run(
        train,
        {"rate": 0.02},
        **{**OPTIONS, "metric": "eval_loss"},
        datasets={"train": ray.data.from_items(rows), "valid": ray.data.from_items(rows[:16])},
        max_failures=1,
    )
    trial = experiment.wait(300).trials[0]
    assert trial.status == "finished", trial.error
    assert trial._state.failures == 1
    assert trial.history["iteration"].tolist() == [1, 2, 3, 4]
    assert [checkpoint.iteration for checkpoint in trial.checkpoints] == [2, 4]
    assert trial.history["eval_loss"].iloc[-1] < trial.history["eval_loss"][0]
    started = [int(step) for step in re.findall(r"starts a pass at step (\d+)", trial.logs(rank=0))]
    assert started == [0, 4, 8, 8, 12]


ON_TWO_NODES = """
from tests.extras.trained import CASES, ROUNDS

for name, case in CASES.items():
    experiment = nbtune.tune(
        case.make(None), {"rate": 0.05}, workers=2, cpus=0.5, placement_strategy="STRICT_SPREAD",
        metric="loss", mode="min", storage=STORAGE, wait=False,
    )
    (trial,) = experiment.wait(400).trials.values()
    losses = trial.history["loss"].tolist()
    counted = ["2 processes, from round 0" in trial.logs(rank=rank) for rank in range(2)]
    say(name, trial.status, len(losses) == ROUNDS, min(losses[1:]) < losses[0], counted, trial.error)
"""


def test_the_workers_of_xgboost_read_a_data_set(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        import ray.train
        import xgboost
        from ray.train.xgboost import RayTrainReportCallback

        frame = ray.train.get_dataset_shard("train").materialize().to_pandas()
        rows = xgboost.DMatrix(frame[["x"]], frame["y"])
        print(f"{len(frame)} rows, {xgboost.collective.get_world_size()} processes")
        report = RayTrainReportCallback({"loss": "train-rmse"})
        xgboost.train({"nthread": 1}, rows, num_boost_round=3, evals=[(rows, "train")], callbacks=[report])

    data = ray.data.from_items([{"x": x, "y": 2 * x} for x in range(20)])
    trial = run(train, {"rate": 1}, **OPTIONS, datasets={"train": data}).wait(300).trials[0]
    assert trial.status == "finished", trial.error
    assert [trial.logs(rank=rank).splitlines()[0] for rank in range(2)] == ["10 rows, 2 processes"] * 2
    assert trial.data["rows"].tolist() == [10, 10]
    losses = trial.history["loss"].tolist()
    assert losses[2] < losses[0]


def test_the_workers_are_on_two_nodes(tmp_path: Path) -> None:
    output = run_program(ON_TWO_NODES, tmp_path, 800)
    assert output == [f"{name} finished True True [True, True] None" for name in CASES]


def test_deepspeed_trains_on_a_node_without_a_compiler(run: Any, tmp_path: Path) -> None:
    """It would have to compile its operation for CPUs: the folder for it is empty."""
    variables = {"PATH": str(tmp_path / "none"), "TORCH_EXTENSIONS_DIR": str(tmp_path / "extensions")}
    trial = run(CASES["deepspeed"].make(None), {"rate": 0.02}, **OPTIONS, env=variables).wait().trials[0]
    assert trial.status == "finished", trial.error
    said = "DeepSpeed communicates through torch.distributed only"
    assert all(said in trial.logs(rank=rank) for rank in range(2)), trial.logs()
    assert trial.history["loss"].tolist()[-1] < trial.history["loss"][0]
