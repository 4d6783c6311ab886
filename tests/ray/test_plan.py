"""The plan beside what Ray really does: on simulated nodes, with GPUs, groups and workers, and on a cluster that grows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ray import clusters
from tests.ray.growing import growing

HERE = Path(__file__).parent
ONE = [{"CPU": 5, "GPU": 4, "memory": 4_000_000_000, "special": 2}]
ALIKE = [{"CPU": 3, "GPU": 2, "special": 1}] * 2
THREE = [{"CPU": 4, "GPU": 4, "memory": 4_000_000_000}, {"CPU": 2, "GPU": 1, "special": 2}, {"CPU": 7, "special": 1}]


def said(program: str, *arguments: str, seconds: float = 500) -> list[str]:
    """Return the lines that a program marks."""
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": clusters.path()}
    ended = subprocess.run(
        [sys.executable, HERE / program, *arguments], env=environment, timeout=seconds, capture_output=True, text=True
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return [line.removeprefix("> ") for line in ended.stdout.splitlines() if line.startswith("> ")]


@pytest.mark.timeout(540)
@pytest.mark.parametrize("nodes", [ONE, ALIKE, THREE], ids=["one node", "two alike", "three"])
def test_as_many_fit_as_ray_places(ray_folder: Path, nodes: list[dict[str, Any]]) -> None:
    found = [json.loads(line) for line in said("fits.py", json.dumps(nodes), "7", "40")]
    assert len(found) > 40
    assert [one for one in found if one["planned"] != one["real"]] == []
    assert len({one["planned"] for one in found}) > 4


@pytest.mark.timeout(540)
def test_as_many_trials_are_alive_and_see_their_own_gpus(ray_folder: Path, tmp_path: Path) -> None:
    assert said("alive.py", str(tmp_path / "kept")) == ["refused", "devices", "groups", "workers"]


GROWING = """
import time, nbtune, ray
nbtune.connect({address!r})
end = time.monotonic() + 120
while not (planned := nbtune.plan(samples=9, cpus=2)).grows:
    assert time.monotonic() < end, planned
    time.sleep(0.5)
print(">", planned)
print(">", nbtune.plan(samples=9, cpus=3))
print(">", nbtune.plan(samples=9))
def train(config):
    return dict(x=1)
experiment = nbtune.tune(train, dict(a=nbtune.uniform(0, 1)), samples=2, cpus=2, storage={storage!r}, wait=False)
experiment.wait(240)
print(">", experiment.status, len([node for node in ray.nodes() if node["Alive"]]) > 1)
"""


@pytest.mark.timeout(540)
def test_a_cluster_that_grows_is_told_from_one_that_does_not(ray_folder: Path, tmp_path: Path) -> None:
    with growing() as address:
        code = GROWING.format(address=address, storage=str(tmp_path))
        ended = clusters.python(code, tmp_path, 400, RAY_AUTH_MODE="disabled", RAY_FAKE_CLUSTER="1")
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    text = ended.stdout
    assert "> 9 trials, 2 at once (limited by CPU), 5 waves" in text
    assert "no node that is there fits a trial; the cluster starts nodes when trials wait: up to 2 at once then" in text
    assert "> a trial can never be placed: it asks for 3 CPU, but the largest node has 2" in text
    assert "up to 5 at once then" in text
    assert "> finished True" in text
