"""A trial that uses up the memory of the machine, and reports that arrive faster than they are read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

import nbtune
from tests.ray.test_control import has_all_reports_once

HUNGRY = """
import time
import psutil
import ray

import nbtune

memory = psutil.virtual_memory()
limit = 1 - memory.available / memory.total + 0.15
system = {{"memory_usage_threshold": limit, "memory_monitor_refresh_ms": 200}}
ray.init(address="local", num_cpus=2, namespace="nbtune", include_dashboard=False, log_to_driver=False,
         logging_level="ERROR", _system_config=system)

def train(config):
    import time
    import numpy
    nbtune.report(x=config["share"])
    eaten = []
    while config["share"] and len(eaten) < 100:
        eaten.append(numpy.ones(int(config["share"]) // 8 // 100))
        time.sleep(0.05)
    time.sleep(1)

share = int(0.4 * memory.total)  # others on this machine may give some back meanwhile
experiment = nbtune.tune(train, {{"share": nbtune.grid_search([0, share])}}, storage={storage!r}, wait=False)
experiment.wait(200)
print(">", experiment.status, experiment.df["status"].tolist())
print(">", experiment.df["error"].tolist()[1])
print(">", experiment.history["trial"].tolist().count(0))
print(">", experiment.failures["cause"].tolist(), experiment.failures["trials"].tolist())
"""


@pytest.mark.timeout(320)
def test_a_trial_that_uses_up_memory_is_killed_with_the_reason(ray_folder: Path, tmp_path: Path) -> None:
    memory = psutil.virtual_memory()
    if memory.available < 0.55 * memory.total:
        pytest.skip("too little memory to eat")
    code = HUNGRY.format(storage=str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert [line[2:] for line in ended.stdout.splitlines() if line.startswith("> ")] == [
        "finished ['finished', 'failed']",
        "the trial's process was killed: the node was out of memory",
        "1",
        "['out of memory'] [[1]]",
    ], ended.stdout + ended.stderr


@pytest.mark.timeout(400)
def test_a_flood_of_reports_is_neither_dropped_nor_held_in_memory(run: Any, until: Any) -> None:
    """Each trial reports as fast as Tune accepts it; `make bench` does the same with 50 trials."""

    def train(config: dict[str, Any]) -> None:
        for step in range(1500):
            nbtune.report(step=step, value=step * 0.5, text="x" * 50)

    experiment = run(train, {"a": nbtune.grid_search(list(range(6)))}, cpus=0.3)
    until(lambda: len(experiment.history) > 500, "reports")
    driver = psutil.Process(ray.get(experiment._source.driver.actor.pid.remote()))
    before = driver.memory_info().rss
    experiment.wait(300)
    grown = driver.memory_info().rss - before
    assert experiment.df["iterations"].tolist() == [1500] * 6
    assert has_all_reports_once(experiment)
    assert grown < 150e6, f"{grown / 1e6:.0f} MB"
