"""Experiments whose trials request more than CPUs: how many run at once, and which devices they see. A program."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import ray
import ray.train
from ray.tune import PlacementGroupFactory

import nbtune
from nbtune.spec.plan.plan import Plan


def train(config: dict[str, Any]) -> dict[str, Any]:
    """Wait until as many trials run as the plan says, and return what this one sees."""
    import os
    import time
    import uuid

    began, workers, group = time.time(), config.get("workers"), None
    if workers:
        group = ray.util.placement_group(workers)
        ray.get(group.ready(), timeout=120)
    Path(config["meet"], uuid.uuid4().hex).touch()
    while len(os.listdir(config["meet"])) < config["together"] and time.time() < began + 120:
        time.sleep(0.02)
    own = ray.util.get_current_placement_group()
    ended = time.time()
    if group is not None:
        ray.util.remove_placement_group(group)
    return {
        "met": len(os.listdir(config["meet"])) >= config["together"],
        "began": began,
        "ended": ended,
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", "all"),
        "group": json.dumps(own.bundle_specs if own else None),
    }


def ran(planned: Plan, storage: Path, waves: int = 2, workers: Any = None, **options: Any) -> pd.DataFrame:
    """Run an experiment in which as many trials wait for each other as are planned to run at once; return its table."""
    meet = tempfile.mkdtemp(dir=storage)
    space = {"a": nbtune.uniform(0, 1), "meet": meet, "together": planned.concurrent, "workers": workers}
    experiment = nbtune.tune(
        train, space, samples=waves * planned.concurrent, storage=str(storage), wait=False, **options
    ).wait(240)
    assert experiment.status == "finished", experiment.error
    assert workers or experiment.plan.concurrent == planned.concurrent
    frame = experiment.df
    assert frame["met"].all(), "fewer trials ran at once than planned"
    most = max(((frame["began"] <= at) & (at < frame["ended"])).sum() for at in frame["began"])
    assert most == planned.concurrent, (most, planned)
    return frame


def overlapping(frame: pd.DataFrame) -> list[list[str]]:
    """Return for each trial the devices of all trials that ran when it started."""
    return [
        frame.loc[(frame["began"] <= at) & (at < frame["ended"]), "gpus"].tolist() for at in frame["began"].tolist()
    ]


def devices(storage: Path) -> None:
    planned = nbtune.plan(samples=99, gpus=1)
    assert (planned.concurrent, planned.limited_by) == (4, "GPU")
    for together in overlapping(ran(planned, storage, gpus=1)):
        assert len(set(together)) == len(together), together
        assert all(seen in "0123" for seen in together), together
    planned = nbtune.plan(samples=99, cpus=0.5, gpus=0.4)
    assert (planned.concurrent, planned.limited_by) == (8, "GPU")
    for together in overlapping(ran(planned, storage, waves=1, cpus=0.5, gpus=0.4)):
        assert all(together.count(seen) <= 2 and seen in "0123" for seen in together), together
    frame = ran(nbtune.plan(samples=99, gpus=2), storage, gpus=2)
    assert set(frame["gpus"]) <= {"0,1", "2,3", "0,2", "1,3", "0,3", "1,2"}
    frame = ran(nbtune.plan(samples=99, cpus=2), storage, cpus=2)
    assert frame["gpus"].tolist() == [""] * len(frame), frame["gpus"].tolist()


def groups(storage: Path) -> None:
    factory = PlacementGroupFactory([{"CPU": 1}, {"CPU": 1, "GPU": 0.5}], strategy="SPREAD")
    planned = nbtune.plan(samples=99, resources=factory)
    frame = ran(planned, storage, waves=1, resources=factory)
    assert all(json.loads(group) == factory.bundles for group in frame["group"]), frame["group"]
    experiment = nbtune.tune(train, {"meet": str(storage), "together": 0}, resources=factory, storage=str(storage))
    assert experiment._store.metadata["options"]["resources"].startswith("PlacementGroupFactory([{'CPU': 1.0}")
    experiment.extend(samples=1)  # the factory has to survive the resumption
    experiment.wait(120)
    found = [json.loads(trial.metrics["group"]) for trial in experiment.trials.values()]
    assert found == [factory.bundles] * 2, found
    assert nbtune.load(experiment.path).plan == experiment.plan


def workers(storage: Path) -> None:
    scaling = ray.train.ScalingConfig(num_workers=(1, 2), use_gpu=True, resources_per_worker={"CPU": 0.5, "GPU": 1})
    planned = nbtune.plan(samples=99, scaling=scaling)
    assert (planned.concurrent, planned.max_concurrent) == (2, 2), planned
    # Without max_concurrent, four trials would start, and none would get both of its workers.
    bundles = [{"CPU": 0.5, "GPU": 1}] * 2
    ran(planned, storage, waves=3, workers=bundles, max_concurrent=planned.max_concurrent)


def refused(storage: Path) -> None:
    with pytest.raises(nbtune.SpecError, match="8 GPU, but the largest node has 4. .* that fits is 1 CPU, 4 GPU"):
        nbtune.tune(train, {"a": 1}, storage=str(storage), gpus=8)
    reserved = ray.util.placement_group([{"CPU": 3}])
    ray.get(reserved.ready())
    planned = nbtune.plan(samples=9)
    assert (planned.problems, planned.concurrent, planned.at_first) == ((), 6, 3), planned
    assert "now in use: 3 CPU; 3 start at first" in str(planned)
    ray.util.remove_placement_group(reserved)


def main(storage: Path) -> None:
    storage.mkdir(exist_ok=True)
    try:
        print(nbtune.connect(cpus=6, gpus=4))
        for check in (refused, devices, groups, workers):
            check(storage)
            print(f"> {check.__name__}", flush=True)
    finally:
        ray.shutdown()
        shutil.rmtree(storage, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
