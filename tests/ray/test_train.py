"""Distributed trials: reports, checkpoints, output, failures, and the release of resources."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray.data
from ray.train import CheckpointConfig, DataConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

import nbtune

HALF = {"workers": 2, "cpus": 0.5, "metric": "loss", "mode": "min"}  # half of the two CPUs: two trials at once


def train(config: dict[str, Any]) -> None:
    """Report the rank and the sum of ones over all workers; continue from a checkpoint."""
    import torch
    import torch.distributed as dist

    context = nbtune.get_context()
    rank = context.get_world_rank()
    checkpoint = nbtune.get_checkpoint()
    first = checkpoint["step"] + 1 if checkpoint else 0
    print(f"worker {rank} begins at {first}")
    for step in range(first, config.get("steps", 3)):
        ones = torch.ones(1)
        dist.all_reduce(ones)
        time.sleep(config.get("pause", 0))
        nbtune.report(
            loss=config["lr"] / (step + 1) + rank,
            step=step,
            size=ones.item(),
            pid=os.getpid(),
            checkpoint={"step": step, "rank": rank},
        )


def contiguous(trial: Any) -> bool:
    """Return whether the history has each iteration once, with the report of the same step."""
    history = trial.history
    steps = list(range(len(history)))
    return list(history["step"]) == steps and list(history["iteration"] - 1) == steps


def stored_checkpoints(trial: Any) -> list[str]:
    """Return the folders of a trial's checkpoints in storage."""
    return [str(path) for path in Path(trial.checkpoint.path).parent.glob("checkpoint_*") if path.is_dir()]


def wait_until_free(until: Callable[..., None]) -> None:
    """Wait until no process runs a trial, and all CPUs are free. Idle processes stay for the next experiment."""
    import ray

    def running() -> list[str]:
        commands = []
        for process in psutil.process_iter(["cmdline"]):
            text = " ".join(process.info["cmdline"] or ())
            if text.startswith(("ray::TrialHost.train", "ray::TrialProcess")) and _ours(process):
                commands.append(text)
        return commands

    until(lambda: not running(), "the end of all trials")
    until(lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"], "all CPUs")
    table = ray.util.placement_group_table
    until(lambda: all(group["state"] == "REMOVED" for group in table().values()), "the end of all placement groups")


def _ours(process: psutil.Process) -> bool:
    """Return whether a process is a worker process of the Ray of this test."""
    import ray

    (raylet,) = ray._private.worker._global_node.all_processes["raylet"]
    try:
        return process.environ().get("RAY_RAYLET_PID") == str(raylet.process.pid)
    except psutil.Error:  # it has just ended
        return False


def test_reports_of_all_workers(run: Any, until: Any, tmp_path: Path, monkeypatch: Any) -> None:
    def report(config: dict[str, Any]) -> None:
        import ray.train

        context = nbtune.get_context()
        rank = context.get_world_rank()
        print(f"here is {rank}")
        folder = tmp_path / f"of-{rank}-{config['lr']}"
        folder.mkdir()
        (folder / f"part-{rank}").write_text(str(rank))
        nbtune.report(
            value=rank + config["lr"],
            text=f"rank {rank}",
            size=context.get_world_size(),
            local=context.get_local_rank(),
            variable=os.environ["OWN"] + os.environ["LATE"] + os.environ["GIVEN"],
            devices=os.environ.get("CUDA_VISIBLE_DEVICES"),
            backend=__import__("torch").distributed.get_backend(),
            checkpoint=folder,
        )
        ray.train.report({"value": 10.0 * rank, **({"only": 1} if rank else {})})
        assert ray.train.get_context().get_world_rank() == rank

    monkeypatch.setenv("LATE", "y")  # after Ray has started
    space = {"lr": nbtune.grid_search([0.25, 0.5])}
    experiment = run(
        report,
        space,
        workers=2,
        cpus=0.5,
        aggregate="mean",
        backend="gloo",
        worker_env={"OWN": "x"},
        env={"GIVEN": "z"},
        metric="value",
        mode="max",
    ).wait()
    assert experiment.status == "finished", experiment.trials[0].error
    assert experiment.plan.concurrent == 2
    trial = experiment.trials[0]
    first, second = trial.history.to_dict("records")
    assert first["value"] == 0.5 + trial.config["lr"], "the mean"
    assert (first["text"], first["size"], first["local"], first["variable"]) == ("rank 0", 2, 0.5, "xyz")
    assert (first["devices"], first["backend"]) == ("", "gloo")
    assert (second["value"], second["only"]) == (5, 1), "what only one has reported is that one's"
    workers = trial.workers
    assert list(workers.index) == [0, 1]
    assert list(workers["value"]) == [0, 10]
    assert list(workers["iteration"]) == [2, 2]
    assert workers["pid"].nunique() == 2
    assert (workers["seconds"] >= 0).all()
    assert (workers["waited"] >= 0).all()
    assert len(trial.worker_history) == 4
    assert trial.logs(rank=1) == "here is 1\n"
    assert trial.logs() == "--- rank 0 ---\nhere is 0\n--- rank 1 ---\nhere is 1\n"
    parts = sorted(path.name for path in Path(trial.checkpoint).iterdir())
    assert parts[-2:] == ["part-0", "part-1"], "each worker's part, side by side"
    assert stored_checkpoints(trial) == [trial.checkpoint.path], "in storage once"
    wait_until_free(until)


def test_the_number_of_workers_is_a_parameter(run: Any, until: Any) -> None:
    space = {"lr": 1.0, "n": nbtune.grid_search([1, 2]), "steps": 3}
    experiment = run(train, space, **{**HALF, "workers": "n"}, keep_checkpoints=1)
    with pytest.raises(nbtune.ExperimentError, match="expected 1 to 2 workers, .*, got"):
        experiment.add(n=3)
    experiment.wait()
    assert experiment.status == "finished", experiment.trials[0].error
    for trial in experiment.trials.values():
        assert (trial.history["size"] == trial.config["n"]).all()
        assert len(trial.workers) == trial.config["n"]
        assert contiguous(trial)
        assert stored_checkpoints(trial) == [trial.checkpoint.path], "the best, which is the last"
        state = [trial.checkpoint.load(rank) for rank in range(trial.config["n"])]
        assert state == [{"step": 2, "rank": rank} for rank in range(trial.config["n"])]
    assert experiment.best.checkpoint["step"] == 2
    wait_until_free(until)


def test_workers_of_a_finished_trial_run_the_next_one(run: Any, until: Any) -> None:
    def save(config: dict[str, Any]) -> None:
        import ray.train
        import torch
        import torch.distributed as dist
        from ray.train import Checkpoint, CheckpointUploadMode

        ones = torch.ones(1)
        dist.all_reduce(ones)
        print("trial", config["number"])
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "number").write_text(str(config["number"]))
            ray.train.report({"size": ones.item(), "loss": 1.0}, checkpoint=Checkpoint(folder))
        kept = Path(tempfile.mkdtemp(), "late")  # Ray Train removes it
        kept.mkdir()
        (kept / "number").write_text(str(-config["number"]))
        ray.train.report(
            {"size": ones.item(), "loss": 0.5},
            checkpoint=Checkpoint(str(kept)),
            checkpoint_upload_mode=CheckpointUploadMode.ASYNC,
        )
        if config["number"] == 2:
            raise RuntimeError("no more")

    experiment = run(save, {"number": nbtune.grid_search([0, 1, 2, 3])}, workers=2, metric="loss", mode="min").wait()
    trials = experiment.trials
    assert list(experiment.df["status"]) == ["finished", "finished", "failed", "finished"], trials[0].error
    crews = [set(trials[number].workers["pid"]) for number in range(4)]
    assert crews[0] == crews[1] == crews[2], "they are there already"
    assert not crews[2] & crews[3], "after an error they are not to be trusted"
    for number in (0, 1, 3):
        assert list(trials[number].history["size"]) == [2, 2]
        assert (Path(trials[number].checkpoint) / "number").read_text() == str(-number)
        assert trials[number].logs(rank=1) == f"trial {number}\n"
    wait_until_free(until)


@pytest.mark.parametrize("reuse", [True, False])
def test_a_single_worker_runs_the_next_trial_if_reuse_is_on(run: Any, until: Any, reuse: bool) -> None:
    def alone(config: dict[str, Any]) -> None:
        import torch.distributed as dist

        nbtune.report(size=dist.get_world_size())

    experiment = run(alone, {"a": nbtune.grid_search([1, 2, 3])}, workers=1, max_concurrent=1, reuse_actors=reuse)
    experiment.wait()
    assert experiment.status == "finished", experiment.df["error"].tolist()
    assert list(experiment.df["size"]) == [1, 1, 1]
    pids = {pid for trial in experiment.trials.values() for pid in trial.workers["pid"]}
    assert len(pids) == (1 if reuse else 3)
    wait_until_free(until)


def test_idle_workers_run_the_next_trial_in_another_placement_group(cluster: Any, until: Any, tmp_path: Path) -> None:
    import ray

    host = ray.remote(num_cpus=0)(Host).remote()  # a process of trials that outlives their placement groups
    half: list[dict[str, float]] = [{"CPU": 0.5}] * 2
    first = ray.get(host.train.remote(half, "first", {"OWN": "x"}, tmp_path / "a"))
    assert [about["variable"] for about in first] == ["x", "x"]
    again = ray.get(host.train.remote(half, "first", {}, tmp_path / "b"))
    assert [about["variable"] for about in again] == ["x", "x"], "the same experiment"
    # `test_processes.py` has workers that are prepared for another experiment.
    third = ray.get(host.train.remote(half, "third", {}, tmp_path / "d"))
    pids = [{about["pid"] for about in abouts} for abouts in (first, again, third)]
    assert pids[0] == pids[1]
    assert not pids[1] & pids[2], "they were not prepared for another experiment"
    assert [(about["rank"], about["size"]) for about in third] == [(0, 2), (1, 2)]
    (large,) = ray.get(host.train.remote([{"CPU": 2.0}], "third", {}, tmp_path / "e"))
    assert large["pid"] not in pids[2]
    assert (first[0]["threads"], large["threads"]) == ("1", "2"), "as for a worker that requests its CPUs"
    ray.kill(host)
    wait_until_free(until)


class Host:
    """An actor that runs Ray Train as the process of a trial does, each time with another placement group."""

    def train(self, bundles: list[dict[str, float]], experiment: str, environment: Any, folder: Path) -> list[Any]:
        """Run workers that describe themselves; return the descriptions in the order of their ranks."""
        import ray
        from ray.train import RunConfig, ScalingConfig

        from nbtune.engine.train.reserved import reserved_trainer
        from nbtune.engine.train.worker import Preparation, Start, Worker
        from nbtune.engine.train.worker_group import GroupSettings
        from nbtune.frameworks import framework_of

        def describe(config: dict[str, Any]) -> None:
            """Write what a worker's process is like. Not in the module, which would be one of the user's."""
            import ray.train
            import torch.distributed as dist

            about = {
                "pid": os.getpid(),
                "rank": ray.train.get_context().get_world_rank(),
                "size": dist.get_world_size(),
                "variable": os.environ.get("OWN", ""),
                "threads": os.environ["OMP_NUM_THREADS"],
            }
            Path(config["folder"], str(about["rank"])).write_text(json.dumps(about))

        torch = framework_of("torch")
        group = ray.util.placement_group(bundles)
        ray.get(group.ready())
        settings = GroupSettings(Preparation(environment, torch.WORKER_IMPORTS), group, experiment, "torch")
        reserved_trainer([Worker(Start())], settings, elastic=False)(
            describe,
            train_loop_config={"folder": str(folder)},
            scaling_config=ScalingConfig(num_workers=len(bundles), resources_per_worker=bundles[0]),
            run_config=RunConfig(name="run", storage_path=str(folder)),
            backend_config=torch.config(None),
        ).fit()
        ray.util.remove_placement_group(group)
        return [json.loads((folder / str(rank)).read_text()) for rank in range(len(bundles))]


def test_killed_workers_and_processes_continue_from_the_checkpoint(run: Any, until: Any) -> None:
    space = {"lr": 1.0, "steps": 400, "pause": 0.05}
    experiment = run(train, space, **HALF, max_failures=2)
    until(lambda: len(experiment.history) > 3, "reports", 200)
    trial = experiment.trials[0]
    os.kill(int(trial.workers["pid"][1]), signal.SIGKILL)
    until(lambda: trial._state.failures == 1, "the failure is told")
    assert trial.error.startswith("the process of worker 1 has ended without a message: it was probably killed")
    reached = trial.metrics["step"]
    until(lambda: trial.metrics["step"] > reached + 3, "it goes on", 200)
    assert contiguous(trial)
    assert "worker 0 begins at 0\n--- started again ---\nworker 0 begins at" in trial.logs(rank=0)
    found: set[int] = set()
    until(
        lambda: found.update(one.pid for one in psutil.process_iter(["cmdline"]) if _is_trial(one)) or found,
        "its own process trains",
    )
    (own,) = found
    os.kill(own, signal.SIGKILL)
    until(lambda: trial._state.failures == 2, "the failure is told")
    reached = trial.metrics["step"]
    until(lambda: trial.metrics["step"] > reached + 3, "it goes on", 200)
    assert contiguous(trial)
    trial.stop()
    experiment.wait(60)
    assert trial.status == "stopped"
    wait_until_free(until)


def _is_trial(process: psutil.Process) -> bool:
    return " ".join(process.info["cmdline"] or ()).startswith("ray::TrialHost.train") and _ours(process)


def test_stopped_trials_release_their_resources(run: Any, until: Any) -> None:
    from ray.tune.schedulers import ASHAScheduler

    scheduler = ASHAScheduler(max_t=30, grace_period=1, reduction_factor=2)
    space = {"lr": nbtune.grid_search([1.0, 2.0, 3.0, 4.0]), "steps": 30, "pause": 0.05}
    experiment = run(train, space, **HALF, scheduler=scheduler)
    experiment.wait(300)
    assert experiment.status == "finished"
    reasons = [trial._state.reason for trial in experiment.trials.values()]
    assert "scheduler" in reasons, "ASHA has stopped one"
    assert len(reasons) == 4
    assert all(contiguous(trial) for trial in experiment.trials.values())
    wait_until_free(until)


def test_the_error_is_that_of_the_worker_that_failed_first(run: Any, until: Any) -> None:
    def fail(config: dict[str, Any]) -> None:
        import torch
        import torch.distributed as dist

        if nbtune.get_context().get_world_rank() == 1:
            raise RuntimeError("no more data")
        dist.all_reduce(torch.ones(1))  # waits for the other one
        nbtune.report(done=1)

    experiment = run(fail, {"a": 1}, workers=2).wait()
    assert experiment.status == "failed"
    assert experiment.df["error"][0] == "worker 1: RuntimeError: no more data"
    assert 'raise RuntimeError("no more data")' in experiment.trials[0].error
    wait_until_free(until)


def test_an_elastic_run_uses_the_free_resources(run: Any, until: Any) -> None:
    space = {"lr": nbtune.grid_search([1.0, 2.0]), "steps": 400, "pause": 0.05}
    experiment = run(train, space, workers=(1, 2), metric="loss", mode="min")
    assert experiment.plan.max_concurrent == 1
    until(lambda: len(experiment.history) > 2, "reports", 200)
    first = experiment.trials[0]
    assert len(first.workers) == 2
    first.stop()
    until(lambda: len(experiment.trials) > 1 and experiment.trials[1].metrics, "the next trial's report", 200)
    experiment.stop()
    experiment.wait(60)
    wait_until_free(until)


def test_an_elastic_run_grows_when_resources_are_free(run: Any, until: Any) -> None:
    import ray
    from ray.train import ScalingConfig

    reserved = ray.util.placement_group([{"CPU": 1}])
    ray.get(reserved.ready())
    scaling = ScalingConfig(num_workers=(1, 2), elastic_resize_monitor_interval_s=1)
    experiment = run(train, {"lr": 1.0, "steps": 400, "pause": 0.05}, scaling=scaling, metric="loss", mode="min")
    until(lambda: len(experiment.history) > 2, "reports", 200)
    trial = experiment.trials[0]
    assert len(trial.workers) == 1
    ray.util.remove_placement_group(reserved)
    until(lambda: trial.metrics["size"] == 2, "the second worker", 200)
    assert len(trial.workers) == 2
    assert contiguous(trial), "it goes on from the latest checkpoint, and each report is there once"
    assert trial._state.failures == 0
    experiment.stop()
    experiment.wait(60)
    wait_until_free(until)


def test_an_experiment_is_resumed_after_its_driver_was_killed(run: Any, until: Any) -> None:
    import ray

    experiment = run(train, {"lr": 1.0, "steps": 400, "pause": 0.05}, **HALF)
    until(lambda: len(experiment.history) > 3, "reports", 200)
    os.kill(ray.get(experiment._source.driver.actor.pid.remote()), signal.SIGKILL)
    until(lambda: experiment.status == "lost", "its loss is seen")
    wait_until_free(until)
    reached = experiment.trials[0].metrics["step"]
    experiment.resume()
    until(
        lambda: 0 in experiment.trials and experiment.trials[0].metrics.get("step", 0) > reached + 3, "it goes on", 200
    )
    trial = experiment.trials[0]
    assert contiguous(trial)
    assert "worker 1 begins at 0\n--- started again ---\nworker 1 begins at" in trial.logs(rank=1)
    experiment.stop()
    experiment.wait(60)
    wait_until_free(until)


def test_errors_before_anything_starts(run: Any) -> None:
    with pytest.raises(nbtune.SpecError, match="request 3 CPU, but the node has 2"):
        run(train, {"lr": 1.0}, workers=3, metric="loss", mode="min")
    with pytest.raises(nbtune.SpecError, match="backend=…: expected gloo, nccl, .* got 'nncl'"):
        run(train, {"lr": 1.0}, workers=2, backend="nncl", metric="loss", mode="min")
    with pytest.raises(nbtune.SpecError, match=r"points=…: \{'n': 8\}: expected 1 to 2 workers"):
        run(train, {"n": nbtune.choice([1, 2]), "lr": 1.0}, workers="n", points=[{"n": 8}], metric="loss", mode="min")
    with pytest.raises(nbtune.SpecError, match="workers=…: expected a parameter with"):
        run(train, {"lr": nbtune.uniform(0, 1)}, workers="lr", metric="loss", mode="min")


def test_a_dry_run_runs_one_worker_in_the_kernel(cluster: Any, capsys: Any) -> None:
    from nbtune.launch.prepare import prepare_function
    from nbtune.launch.start import dry_run

    def guide(config: dict[str, Any]) -> None:
        import ray.train
        import ray.train.torch
        import torch

        model = ray.train.torch.prepare_model(torch.nn.Linear(1, 1))
        assert ray.train.get_context().get_world_size() == 1
        ray.train.report({"loss": config["lr"], "kind": type(model).__name__})

    told = dry_run(prepare_function(guide, {"lr": 0.5}, {"workers": 2, "metric": "loss", "mode": "min"}))
    assert "loss=0.5, kind='Linear'" in told
    assert "plan: 1 trial, 1 at once" in told


def test_a_trainer_of_ray_train_is_tuned_as_it_was_built(run: Any) -> None:
    """Each of Ray's own training functions reports, and returns a list, which is its own."""
    from ray.train.examples.pytorch import torch_linear_example, torch_regression_example

    half = ScalingConfig(num_workers=2, resources_per_worker={"CPU": 0.5})
    configuration = {"lr": 1e-3, "hidden_size": 1, "batch_size": 4, "epochs": 3}
    trainer = TorchTrainer(
        torch_linear_example.train_func,
        train_loop_config=configuration,
        scaling_config=half,
        run_config=RunConfig(name="linear", checkpoint_config=CheckpointConfig(num_to_keep=1)),
    )
    experiment = run(trainer, {"lr": nbtune.grid_search([1e-3, 1e-2])}, metric="loss", mode="min", wait=True)
    assert experiment.name == "linear"
    assert experiment.df["status"].tolist() == ["finished"] * 2, experiment.df
    assert experiment.df["iterations"].tolist() == [3, 3]
    assert [len(trial.checkpoints) for trial in experiment.trials.values()] == [1, 1]
    assert (Path(experiment.best.checkpoint.path) / "model.pt").exists()

    numbers = np.random.default_rng(0).normal(size=(60, 100))
    rows = ray.data.from_items([{"x": list(x), "y": x.sum()} for x in numbers])
    trainer = TorchTrainer(
        torch_regression_example.train_func,
        train_loop_config={"hidden_size": 4, "batch_size": 8, "epochs": 2, "lr": nbtune.grid_search([1e-2, 1e-3])},
        scaling_config=half,
        datasets={"train": rows.limit(40), "validation": rows.limit(20)},
        dataset_config=DataConfig(datasets_to_split=["train"]),
    )
    experiment = run(trainer, wait=True)
    assert experiment.df["status"].tolist() == ["finished"] * 2, experiment.df
    assert experiment.df["iterations"].tolist() == [2, 2]
    assert experiment.df["loss"].notna().all()


def test_workers_that_cannot_be_connected_are_said_in_plain_text(run: Any) -> None:
    experiment = run(train, {"lr": 1.0}, **HALF, backend="mpi").wait()
    trial = experiment.trials[0]
    assert trial.status == "failed"
    said = "the workers could not be connected: RuntimeError: Distributed package doesn't have MPI built in"
    assert trial.error.startswith(said)
    assert "\x1b" not in trial.error
    assert "\x1b" not in (trial._state.traceback or "")
