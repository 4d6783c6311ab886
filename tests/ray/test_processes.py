"""Processes that stay for the next experiment: what they keep, what they forget, and when they end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

import nbtune

SPACE = {"index": nbtune.grid_search([0, 1])}


def pids(experiment: Any) -> set[int]:
    """Return the ids of the processes of its trials, which they have reported."""
    return set(experiment.history["pid"])


def driver_pid(experiment: Any) -> int:
    return int(ray.get(experiment._source.driver.actor.pid.remote()))


@pytest.fixture
def where() -> Callable[[dict[str, Any]], None]:
    """A function that is pickled by value: a module of the tests would be one of the user's."""

    def train(config: dict[str, Any]) -> None:
        import time

        time.sleep(0.3)  # both slots are used
        nbtune.report(pid=os.getpid())

    return train


@pytest.fixture
def ready(until: Callable[..., None]) -> Callable[[Any], None]:
    """Waits until nothing holds a CPU, and the process of an experiment's driver can run the next one."""

    def wait(experiment: Any) -> None:
        actor = experiment.wait()._source.driver.actor
        until(lambda: ray.get(actor.claim.remote()), "the driver's process is ready", 60)
        until(lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"], "no CPU is held", 60)

    return wait


def test_the_next_experiment_has_the_same_processes_and_a_clean_state(run: Any, ready: Callable[[Any], None]) -> None:
    def leaves(config: dict[str, Any]) -> None:
        import time
        import warnings

        import numpy as np

        os.environ["LEFT"] = "here"
        warnings.simplefilter("error")
        np.seterr(all="raise")
        np.random.seed(0)
        os.chdir("/")
        time.sleep(0.3)
        nbtune.report(pid=os.getpid(), folder=os.getcwd())

    def looks(config: dict[str, Any]) -> None:
        import time
        import warnings

        import numpy as np

        warnings.warn("only a warning", stacklevel=1)
        time.sleep(0.3)
        nbtune.report(
            pid=os.getpid(), left=os.environ.get("LEFT", ""), errors=np.geterr()["over"], drawn=float(np.random.rand()),
            folder=os.path.basename(os.getcwd()),
        )  # fmt: skip

    first = run(leaves, SPACE)
    ready(first)
    driver = driver_pid(first)
    second = run(looks, SPACE).wait()
    assert second.status == "finished", second.error
    assert driver_pid(second) == driver
    assert pids(second) <= pids(first)
    assert set(second.df["left"]) == {""}
    assert set(second.df["errors"]) == {"warn"}
    assert second.df["drawn"].nunique() == 2, "an earlier seed is forgotten"
    assert len(first.history) == 2, "the earlier experiment can still be read"


def test_a_module_of_the_user_that_was_changed_is_imported_again(run: Any, tmp_path: Path) -> None:
    def imports(config: dict[str, Any]) -> None:
        import importlib
        import sys

        sys.path.insert(0, config["folder"])
        nbtune.report(pid=os.getpid(), value=importlib.import_module("helper_of_processes").value)

    module, space = tmp_path / "helper_of_processes.py", {"folder": str(tmp_path), **SPACE}
    module.write_text("value = 1\n")
    first = run(imports, space).wait()
    module.write_text("value = 22\n")
    second = run(imports, space).wait()
    assert set(first.df["value"]) == {1}
    assert set(second.df["value"]) == {22}
    assert not pids(first) & pids(second)


def test_a_process_whose_trial_has_failed_ends_and_is_replaced(run: Any, where: Any) -> None:
    def fails(config: dict[str, Any]) -> None:
        import time

        time.sleep(0.3)
        nbtune.report(pid=os.getpid())
        if config["index"] == 0:
            raise ValueError("as intended")

    first = run(fails, SPACE).wait()
    assert sorted(first.df["status"]) == ["failed", "finished"]
    failed = int(
        first.history.loc[first.history["trial"] == first.df.index[first.df["status"] == "failed"][0], "pid"].iloc[0]
    )
    second = run(where, SPACE).wait()
    assert second.status == "finished"
    assert failed not in pids(second)


def test_libraries_that_read_variables_when_they_are_imported_get_a_process_of_their_own(
    run: Any, where: Any, ready: Callable[[Any], None]
) -> None:
    first = run(where, SPACE)
    ready(first)
    second = run(where, SPACE, env={"OMP_DYNAMIC": "TRUE"})
    ready(second)
    third = run(where, SPACE, env={"OMP_DYNAMIC": "TRUE"}).wait()
    assert not pids(first) & pids(second)
    assert pids(third) <= pids(second)


def test_without_reuse_each_trial_has_a_new_process(run: Any, where: Any) -> None:
    first = run(where, SPACE).wait()
    second = run(where, SPACE, reuse_actors=False).wait()
    assert len(pids(second)) == 2
    assert not pids(first) & pids(second)


def test_two_experiments_at_once_have_processes_of_their_own(
    run: Any, tmp_path: Path, until: Callable[..., None]
) -> None:
    def waits(config: dict[str, Any]) -> None:
        import time

        nbtune.report(pid=os.getpid())
        while not os.path.exists(config["gate"]):
            time.sleep(0.02)

    gate = tmp_path / "gate"
    experiments = [run(waits, {"gate": str(gate)}, cpus=0.5) for _ in range(2)]
    until(lambda: all(len(one.history) for one in experiments), "both run")
    assert driver_pid(experiments[0]) != driver_pid(experiments[1])
    gate.touch()
    assert {one.wait().status for one in experiments} == {"finished"}


def test_a_stopped_experiment_leaves_processes_for_the_next_one(
    run: Any, where: Any, ready: Callable[[Any], None], until: Callable[..., None]
) -> None:
    def endless(config: dict[str, Any]) -> None:
        import time

        while True:
            nbtune.report(pid=os.getpid())
            time.sleep(0.05)

    first = run(endless, SPACE)
    until(lambda: len(first.history) > 4, "reports")
    first.stop()
    ready(first)
    second = run(where, SPACE).wait()
    assert second.status == "finished"
    assert driver_pid(second) == driver_pid(first)


def test_a_killed_process_is_replaced(run: Any, where: Any) -> None:
    first = run(where, SPACE).wait()
    for pid in pids(first):
        psutil.Process(pid).kill()
    second = run(where, SPACE).wait()
    assert second.status == "finished"
    psutil.Process(driver_pid(second)).kill()
    third = run(where, SPACE).wait()
    assert third.status == "finished"


def test_workers_stay_for_the_next_experiment_in_a_clean_state(run: Any, ready: Callable[[Any], None]) -> None:
    def leaves(config: dict[str, Any]) -> None:
        import torch

        nbtune.report(pid=os.getpid(), left=os.environ.get("LEFT", ""), type=str(torch.get_default_dtype()))
        os.environ["LEFT"] = "here"
        torch.set_default_dtype(torch.float64)

    first = run(leaves, {"x": 1}, workers=2, cpus=1)
    ready(first)
    second = run(leaves, {"x": 1}, workers=2, cpus=1).wait()
    assert second.status == "finished", second.error
    assert set(second.history["pid"]) == set(first.history["pid"])
    assert set(second.history["left"]) == {""}
    assert set(second.history["type"]) == {"torch.float32"}


def test_tasks_of_a_trial_run_in_its_other_bundles(run: Any) -> None:
    from ray.tune import PlacementGroupFactory

    def train(config: dict[str, Any]) -> None:
        nbtune.report(pid=os.getpid(), other=ray.get(ray.remote(lambda: os.getpid()).remote()))

    experiment = run(train, {"x": 1}, resources=PlacementGroupFactory([{"CPU": 1}, {"CPU": 1}])).wait(60)
    assert experiment.status == "finished", experiment.df["error"].tolist()
    assert experiment.history["pid"].item() != experiment.history["other"].item()
