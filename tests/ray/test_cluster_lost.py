"""A whole cluster is killed while an experiment runs and two kernels follow it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ray.test_local_cluster import Place

TRAIN = """
import json, time
import nbtune

def train(config):
    checkpoint = nbtune.get_checkpoint()
    for step in range(checkpoint["step"] + 1 if checkpoint else 0, 25):
        nbtune.report(step=step, acc=config["a"] * step, checkpoint={"step": step})
        time.sleep(0.2)
"""
FIRST = """
print(nbtune.start_cluster(cpus=2), flush=True)
x = nbtune.tune(train, {"a": nbtune.grid_search([1, 2, 3])}, name="kept", metric="acc", mode="max", wait=False)
while len(x.history) < 12:
    time.sleep(0.05)
print("runs", flush=True)
x.wait(120)
print(x.status, flush=True)
"""
SECOND = """
x = nbtune.attach("kept")
print(x.status, len(x.history) >= 12, flush=True)
x.wait(120)
print(x.status, flush=True)
print(nbtune.start_cluster(cpus=2), flush=True)
began = time.monotonic()
x.resume()
while not x._store.counts["running"]:
    time.sleep(0.05)
took = time.monotonic() - began
x.wait(200)
made = x.history.groupby("trial")["step"].apply(list).tolist()
print(json.dumps([x.status, made, took]), flush=True)
"""


@pytest.fixture
def place(tmp_path: Path, ray_folder: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.python("import nbtune; nbtune.stop_cluster()")


@pytest.mark.timeout(400)
def test_two_kernels_report_the_loss_and_one_resumes(place: Place, until: Callable[..., None]) -> None:
    first = place.popen(TRAIN + FIRST)
    assert first.stdout is not None
    assert first.stdout.readline().startswith("local cluster")
    assert first.stdout.readline() == "runs\n"
    second = place.popen(TRAIN + SECOND)
    assert second.stdout is not None
    assert second.stdout.readline() == "running True\n"
    place.kill()
    assert first.communicate(timeout=120)[0].splitlines()[-1] == "lost"
    lines = second.communicate(timeout=300)[0].splitlines()
    assert lines[0] == "lost", lines
    assert any(line.startswith("local cluster") for line in lines), lines
    status, made, _ = json.loads(lines[-1])
    assert status == "finished"
    assert made == [list(range(25))] * 3
