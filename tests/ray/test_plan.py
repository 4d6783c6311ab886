"""The plan compared to what Ray does: simulated nodes, GPUs, placement groups, workers, an autoscaling cluster."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ray.util import get_node_ip_address

from tests.ray import clusters

HERE = Path(__file__).parent
NODES = {
    "one node": [{"CPU": 5, "GPU": 4, "memory": 4_000_000_000, "special": 2}],
    "two alike": [{"CPU": 3, "GPU": 2, "special": 1}] * 2,
    "three": [
        {"CPU": 4, "GPU": 4, "memory": 4_000_000_000},
        {"CPU": 2, "GPU": 1, "special": 2},
        {"CPU": 7, "special": 1},
    ],
}


def marked_lines(program: str, *arguments: str, seconds: float = 500) -> list[str]:
    """Run a program, and return the lines that it marks with ">"."""
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": clusters.path()}
    ended = subprocess.run(
        [sys.executable, HERE / program, *arguments], env=environment, timeout=seconds, capture_output=True, text=True
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return [line.removeprefix("> ") for line in ended.stdout.splitlines() if line.startswith("> ")]


@pytest.fixture(scope="module")
def placed(ray_folder: Path) -> Iterator[dict[str, Future[list[str]]]]:
    """Starts fits.py for all clusters at the same time, since Ray waits a second between two attempts to place a group."""
    with ThreadPoolExecutor() as pool:
        yield {
            name: pool.submit(marked_lines, "fits.py", json.dumps(nodes), "7", "16") for name, nodes in NODES.items()
        }


@pytest.mark.timeout(540)
@pytest.mark.parametrize("nodes", NODES)
def test_the_plan_is_what_ray_places(placed: dict[str, Future[list[str]]], nodes: str) -> None:
    found = [json.loads(line) for line in placed[nodes].result()]
    assert len(found) == 25
    assert [one for one in found if one["planned"] != one["real"]] == []
    assert len({one["planned"] for one in found}) > 4


@pytest.mark.timeout(540)
def test_the_planned_number_of_trials_runs_with_their_gpus(ray_folder: Path, tmp_path: Path) -> None:
    assert marked_lines("alive.py", str(tmp_path / "kept")) == ["refused", "devices", "groups", "workers"]


CONFIG: dict[str, Any] = {
    "cluster_name": "growing",
    "max_workers": 3,
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 2}, "node_config": {}, "max_workers": 0},
        "large": {"resources": {"CPU": 4, "GPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2},
    },
    "head_node_type": "ray.head.default",
    "upscaling_speed": 1.0,
    "idle_timeout_minutes": 5,
    **{name: {} for name in ("auth", "docker", "file_mounts")},
    **{name: [] for name in ("cluster_synced_files", "rsync_exclude", "rsync_filter")},
    **{f"{name}_commands": [] for name in ("initialization", "setup", "head_setup", "worker_setup")},
    **{f"{name}_start_ray_commands": [] for name in ("head", "worker")},
    "file_mounts_sync_continuously": False,
}
GROWING = """
import time, nbtune, ray
nbtune.connect({address!r})
end = time.monotonic() + 120
while not (planned := nbtune.plan(samples=9, cpus=3)).autoscaling:
    assert time.monotonic() < end, planned
    time.sleep(0.5)
print(">", planned)
print(">", nbtune.plan(samples=9, cpus=5))
print(">", nbtune.plan(samples=9))
def train(config):
    return dict(x=1)
experiment = nbtune.tune(train, dict(a=nbtune.uniform(0, 1)), samples=2, cpus=3, storage={storage!r}, wait=False)
experiment.wait(240)
print(">", experiment.status, experiment.error, len([node for node in ray.nodes() if node["Alive"]]) > 1)
print(">", nbtune.plan(samples=9, cpus=3))
"""


@pytest.mark.timeout(540)
def test_an_autoscaling_cluster_is_detected(ray_folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("", 0)) as free:  # the nodes that it starts need to know its port beforehand
        port = free.getsockname()[1]
    address = f"{get_node_ip_address()}:{port}"
    config = json.dumps({**CONFIG, "provider": {**CONFIG["provider"], "gcs_address": address}})  # JSON is YAML, too
    with clusters.foreign(
        sys.executable, None, f"--port={port}", pythonpath=clusters.ROOT, autoscaling=config
    ) as cluster:
        code = GROWING.format(address=cluster.address, storage=str(tmp_path))
        ended = clusters.python(code, tmp_path, 400, RAY_AUTH_MODE="disabled")
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    first, too_large, small, over, later = ended.stdout.split("\n> ")
    assert first.endswith(
        "9 trials, 2 at once (limited by CPU), 5 waves\n"
        "no present node fits a trial; the cluster starts nodes when trials wait: up to 2 at once then"
    )
    assert too_large.startswith("a trial can never be placed: it requests 5 CPU, but the largest node has 4.")
    assert small.endswith("the cluster starts nodes when trials wait: up to 10 at once then")
    assert over == "finished None True"
    assert later.startswith("9 trials, ")
