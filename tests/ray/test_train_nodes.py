"""Distributed trials on a cluster of three nodes: placement, lost nodes, killed and stopped trials."""

from __future__ import annotations

from pathlib import Path

from tests.ray.test_nodes import run_program

BODY = """
def together(config):
    import torch, torch.distributed as dist

    checkpoint = nbtune.get_checkpoint()
    rows = sum(1 for row in nbtune.get_dataset_shard("train").iter_rows())
    for step in range(checkpoint["step"] + 1 if checkpoint else 0, 1000):
        dist.all_reduce(torch.ones(1))
        time.sleep(0.1)
        place = ray.get_runtime_context().get_node_id()
        nbtune.report(step=step, place=place, rows=rows, checkpoint={"step": step} if nbtune.get_context().get_world_rank() == 0 else None)

import ray.data

experiment = nbtune.tune(
    together, {"a": nbtune.grid_search([1, 2])}, workers=2, cpus=0.5, placement_strategy="STRICT_SPREAD",
    max_failures=3, storage=STORAGE, wait=False, datasets={"train": ray.data.from_items([{"x": x} for x in range(10)])},
)
say(experiment.plan.concurrent, experiment.plan.data_cpus)

def reported(more):
    reached = {number: trial.metrics.get("step", -1) for number, trial in experiment.trials.items()}
    until(lambda: len(experiment.trials) == 2 and all(
        trial.metrics.get("step", -1) > reached.get(number, -1) + more for number, trial in experiment.trials.items()
    ))

reported(2)
by_id = {node["NodeID"]: next(iter(node["Resources"].keys() & {"safe_node", "cheap"}), "") for node in ray.nodes()}
for trial in experiment.trials.values():
    say(*sorted(by_id[node] for node in trial.workers["place"]))
cluster.remove_node(nodes[1], allow_graceful=False)
until(lambda: all(trial._state.failures for trial in experiment.trials.values()))
say(*(trial._state.failures for trial in experiment.trials.values()))
cluster.add_node(num_cpus=2, resources={"kind": 1, "other": 1})
reported(2)
for trial in experiment.trials.values():
    history = trial.history
    steps = list(range(len(history)))
    say(list(history["iteration"] - 1) == steps, list(history["step"]) == steps)
    say(trial.worker_history["rows"].unique().tolist())
experiment.stop()
experiment.wait(60)
say(experiment.status)
until(lambda: ray.available_resources().get("CPU") == 4)
until(lambda: all(group["state"] == "REMOVED" for group in ray.util.placement_group_table().values()))
say("free")
"""


def test_workers_on_several_nodes_survive_the_loss_of_one(tmp_path: Path) -> None:
    output = run_program(BODY, tmp_path, 500, "torch")
    assert output == [
        "2 1",
        "cheap safe_node",
        "cheap safe_node",
        "1 1",
        "True True",
        "[5]",
        "True True",
        "[5]",
        "stopped",
        "free",
    ]


FAULTS = """
import signal

def together(config):
    import os, torch, torch.distributed as dist

    checkpoint = nbtune.get_checkpoint()
    rank = nbtune.get_context().get_world_rank()
    for step in range(checkpoint["step"] + 1 if checkpoint else 0, config["steps"]):
        dist.all_reduce(torch.ones(1))
        time.sleep(0.05)
        nbtune.report(
            step=step, loss=config["a"] / (step + 1), pid=os.getpid(),
            checkpoint={"step": step} if rank == 0 else None,
        )

def run(steps, values, **more):
    return nbtune.tune(
        together, {"a": nbtune.grid_search(values), "steps": steps}, workers=2, placement_strategy="STRICT_SPREAD",
        metric="loss", mode="min", storage=STORAGE, wait=False, **more,
    )

def contiguous(trial):
    history = trial.history
    steps = list(range(len(history)))
    return list(history["iteration"] - 1) == steps and list(history["step"]) == steps

def free():
    until(lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"])
    until(lambda: all(group["state"] == "REMOVED" for group in ray.util.placement_group_table().values()))
    until(lambda: not processes("ray::TrialHost.train"))

experiment = run(1000, [1.0], max_failures=2)
until(lambda: len(experiment.history) > 3)
trial = experiment.trials[0]

def killed(pid, failures):
    os.kill(pid, signal.SIGKILL)
    until(lambda: trial._state.failures == failures)
    before = trial.metrics["step"]
    until(lambda: trial.metrics["step"] > before + 3)
    say(contiguous(trial))

killed(int(trial.workers["pid"][1]), 1)
until(lambda: len(processes("ray::TrialHost.train")) == 1)  # the one before may still be ending
(own,) = processes("ray::TrialHost.train")
killed(own.pid, 2)
trial.stop()
experiment.wait(60)
say(trial.status, contiguous(trial))
free()
say("free")

from ray.tune.schedulers import ASHAScheduler

experiment = run(30, [1.0, 2.0, 3.0, 4.0], scheduler=ASHAScheduler(max_t=30, grace_period=1, reduction_factor=2))
experiment.wait(300)
reasons = [trial._state.reason for trial in experiment.trials.values()]
say(experiment.status, len(reasons), "scheduler" in reasons, all(map(contiguous, experiment.trials.values())))
free()
say("free")
"""


def test_killed_and_stopped_trials_on_several_nodes(tmp_path: Path) -> None:
    output = run_program(FAULTS, tmp_path, 500, "torch")
    assert output == ["True", "True", "stopped True", "free", "finished 4 True True", "free"]
