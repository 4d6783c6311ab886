"""Trials of several workers on a cluster of three nodes: where they go, and a node that is lost."""

from __future__ import annotations

from pathlib import Path

from tests.ray.test_nodes import shown

BODY = """
def together(config):
    import torch, torch.distributed as dist

    checkpoint = nbtune.get_checkpoint()
    for step in range(checkpoint["step"] + 1 if checkpoint else 0, 1000):
        dist.all_reduce(torch.ones(1))
        time.sleep(0.1)
        place = ray.get_runtime_context().get_node_id()
        nbtune.report(step=step, place=place, checkpoint={"step": step} if nbtune.get_context().get_world_rank() == 0 else None)

experiment = nbtune.tune(
    together, {"a": nbtune.grid_search([1, 2])}, workers=2, placement_strategy="STRICT_SPREAD",
    max_failures=3, storage=STORAGE, wait=False,
)
say(experiment.plan.concurrent)

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
experiment.stop()
experiment.wait(60)
say(experiment.status)
until(lambda: ray.available_resources().get("CPU") == 4)
until(lambda: all(group["state"] == "REMOVED" for group in ray.util.placement_group_table().values()))
say("free")
"""


def test_workers_on_several_nodes_survive_one_of_them(tmp_path: Path) -> None:
    said = shown(BODY, tmp_path, 500)
    assert said == [
        "2",
        "cheap safe_node",
        "cheap safe_node",
        "1 1",
        "True True",
        "True True",
        "stopped",
        "free",
    ]
