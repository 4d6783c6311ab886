"""Forked worker processes on a real Ray behave as separately started ones."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import psutil
import pytest

import nbtune

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux only")


def train(config: dict[str, Any]) -> dict[str, Any]:
    import random
    import uuid

    import numpy as np
    import ray
    import torch

    return {
        "process": os.getpid(),
        "group": os.getpgid(0),
        "parent": os.getppid(),
        "drawn": [
            random.random(),
            float(np.random.rand()),
            uuid.uuid4().hex,
            ray.put(1).hex(),
            ray.WorkerID.from_random().hex(),
        ],
        "threads": torch.get_num_threads(),
        "asked": int(os.environ["OMP_NUM_THREADS"]),
        "variable": os.environ.get("FROM_THE_KERNEL"),
    }


def sweep(run: Any, **options: Any) -> list[dict[str, Any]]:
    """Return the reports of four trials, each in a separate process."""
    experiment = run(train, {"a": nbtune.grid_search([1, 2, 3, 4])}, reuse_actors=False, **options).wait()
    assert experiment.status == "finished", experiment.df["error"].tolist()
    return [trial.metrics for trial in experiment.trials.values()]


def test_forked_processes_are_independent_and_have_different_random_numbers(run: Any) -> None:
    found = sweep(run)
    assert len({one["process"] for one in found}) == 4
    assert all(one["group"] == one["process"] for one in found), "Ray ends a worker's children by its process group"
    (server,) = {one["parent"] for one in found}
    assert any("forkserver" in part for part in psutil.Process(server).cmdline())
    drawn = [value for one in found for value in one["drawn"]]
    assert len(set(drawn)) == len(drawn), "two processes have drawn the same"
    assert all(one["threads"] == one["asked"] == 1 for one in found)


def test_a_killed_server_is_restarted(run: Any) -> None:
    (server,) = {one["parent"] for one in sweep(run)}
    os.kill(server, signal.SIGKILL)
    found = sweep(run)
    assert len({one["process"] for one in found}) == 4
    assert server not in {one["parent"] for one in found}
    (server,) = {one["parent"] for one in found}
    assert any("forkserver" in part for part in psutil.Process(server).cmdline())
