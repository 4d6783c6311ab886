"""Clusters with several nodes: the placement of the driver, and the loss of a node."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, threading, time
import psutil, ray
from ray.cluster_utils import Cluster

import nbtune
from nbtune.cluster.forkserver.start import forked_workers

STORAGE = {storage!r}
stack = forked_workers()
stack.__enter__()  # its processes start in no time
cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 0, "include_dashboard": False}})
nodes = [cluster.add_node(num_cpus=2, resources={{"kind": 1, name: 1}}) for name in ("safe_node", "cheap")]
ray.init(address=cluster.address, namespace="nbtune", log_to_driver=False, logging_level="ERROR")
{body}
ray.shutdown()
cluster.shutdown()
stack.__exit__(None, None, None)
"""

TRAIN = """
def train(config):
    checkpoint = nbtune.get_checkpoint()
    for step in range(checkpoint["step"] + 1 if checkpoint else 0, 40):
        node = ray.get_runtime_context().get_node_id()
        nbtune.report(step=step, node=node, checkpoint={"step": step})
        time.sleep(0.2)

def node_of(experiment):
    actor = experiment._source.driver.actor._actor_id.hex()
    return ray._private.state.actors(actor)["Address"]["NodeID"]

def say(*values):
    print(">", *values)

def processes(name):
    raylets = [str(node.all_processes["raylet"][0].process.pid) for node in cluster.list_all_nodes()]
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RAY_RAYLET_PID") in raylets and name in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:  # it has just ended, or is not ours
            pass
    return found

def until(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
"""


def run_program(body: str, storage: Path, seconds: float = 280, preload: str = "") -> list[str]:
    """Run a program on a cluster of three nodes and return its lines; nodes can be added in a main thread only."""
    code = PROGRAM.format(storage=str(storage), body=TRAIN + body)
    # The nodes that are added have no token of their own.
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "NBTUNE_PRELOAD": preload}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, timeout=seconds, capture_output=True, text=True
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    # Ray itself tells of processes and nodes that have died.
    return [line.removeprefix("> ") for line in ended.stdout.splitlines() if line.startswith("> ")]


@pytest.mark.timeout(320)
def test_no_report_is_lost_with_a_node(ray_folder: Path, tmp_path: Path) -> None:
    lines = run_program(
        """
experiment = nbtune.tune(train, {"a": nbtune.grid_search([1, 2, 3, 4])}, max_failures=2, storage=STORAGE, wait=False)
head = cluster.head_node.node_id
until(lambda: len(experiment.history) and experiment.history["trial"].nunique() == 4 and len(experiment.history) > 30)
say(node_of(experiment) == head)
gone = nodes[1]
there = experiment.history.groupby("trial")["node"].last()
hit = [trial for trial, node in there.items() if node == gone.node_id]
cluster.remove_node(gone, allow_graceful=False)
experiment.wait(200)
say(experiment.status, experiment.df["status"].tolist(), len(hit) > 0)
say([made == list(range(40)) for made in experiment.history.groupby("trial")["step"].apply(list)])
say(all(experiment._store.trials[trial].failures >= 1 for trial in hit))
say(gone.node_id not in experiment.history.groupby("trial")["node"].last().tolist())
""",
        tmp_path,
    )
    assert lines == [
        "True",
        "finished ['finished', 'finished', 'finished', 'finished'] True",
        "[True, True, True, True]",
        "True",
        "True",
    ]


@pytest.mark.timeout(320)
def test_the_driver_is_placed_by_its_resources(ray_folder: Path, tmp_path: Path) -> None:
    lines = run_program(
        """
def short(config):
    nbtune.report(x=config["a"])

try:
    nbtune.tune(short, {"a": 1}, storage=STORAGE, driver_resources="save_node=0.01")
except nbtune.SpecError as error:
    say(error)
experiment = nbtune.tune(short, {"a": 1}, storage=STORAGE, driver_resources="safe_node=0.01", wait=False)
until(lambda: len(experiment.history))
say(node_of(experiment) == nodes[0].node_id)
experiment.wait(60)
say(experiment.status)
""",
        tmp_path,
    )
    assert lines[0].startswith("the driver can never be placed: no node has its 0.01 save_node")
    assert "safe_node" in lines[0]
    assert lines[1:] == ["True", "finished"]
