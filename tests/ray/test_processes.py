"""Processes that stay for the next experiment: what they keep, what they forget, and when they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

import nbtune
from nbtune.engine.client.variables import variables_at_import
from nbtune.engine.driver.process import DriverProcess
from nbtune.engine.tune.hosts import Hosts

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
    assert pids(second) & pids(first), "one of them may have run both trials while the other one was starting"
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
    assert pids(third) & pids(second)


def test_packages_are_imported_ahead_of_the_first_trial(cluster: Any) -> None:
    def has(host: Any, package: str) -> Any:
        return ray.get(host.__ray_call__.remote(lambda self: package in __import__("sys").modules))

    node = ray.get_runtime_context().get_node_id()
    hosts, variables = Hosts(), {"OMP_DYNAMIC": "TRUE", "COLOR": "red"}
    hosts.import_ahead(["wave"], variables)
    hosts.keep([node])
    hosts.import_ahead(["no_such_package", "wave", "tabnanny"], variables)
    host = hosts.take(node, {"OMP_DYNAMIC": "TRUE", "COLOR": "blue"})
    assert has(host, "wave"), "a host that starts afterwards"
    assert has(host, "tabnanny"), "a host that has been started, also after a package that is missing"
    other = hosts.take(node, {})
    assert not has(other, "wave"), "it would have been imported with the variable"
    for one in (host, other):
        hosts.give_back(one)
    hosts.settle()
    assert host == hosts.take(node, variables), "it is as clean as before"
    for one in (host, other):
        ray.kill(one)


def test_what_a_package_imports_later_is_imported_once_nothing_runs(cluster: Any, until: Callable[..., None]) -> None:
    """PyTorch's first optimizer imports as much as PyTorch itself. The process can still be used again after that."""

    def idle(self: Any) -> Any:
        return [host for hosts in self._hosts._idle.values() for host in hosts]

    def is_imported(self: Any) -> bool:
        (host,) = idle(self)
        return bool(ray.get(host.actor.__ray_call__.remote(lambda self: "torch._dynamo" in sys.modules)))

    def tidied(self: Any) -> Any:
        return ray.get(idle(self)[0].actor.tidy.remote())

    node = ray.get_runtime_context().get_node_id()
    driver = ray.remote(DriverProcess).options(num_cpus=0).remote([node])
    try:
        driver.import_ahead.remote(["torch"], {})
        until(lambda: ray.get(driver.__ray_call__.remote(is_imported)), "it is imported", 60)
        assert not ray.get(driver.__ray_call__.remote(tidied))
    finally:
        ray.kill(driver)


def test_packages_are_imported_ahead_that_are_named_while_an_experiment_runs(
    run: Any, ready: Callable[[Any], None], until: Callable[..., None], tmp_path: Path
) -> None:
    """The process of its driver may still tidy up after it when the kernel takes it for free, and names them once."""

    def waits(config: dict[str, Any]) -> None:
        import sys
        import time

        nbtune.report(pid=os.getpid(), imported="wave" in sys.modules)
        while not os.path.exists(config["gate"]):
            time.sleep(0.02)
        assert config["index"], "its process ends with it, and is replaced"

    first = run(waits, {"gate": str(tmp_path / "gate"), **SPACE})
    until(lambda: len(first.history) == 2, "both run")
    driver = first._source.driver.actor
    ray.get(driver.__ray_call__.remote(lambda self: self._hosts._end_all_but(lambda *host: False)))  # of other tests
    ray.get(driver.import_ahead.remote(["wave"], variables_at_import()))
    (tmp_path / "gate").touch()
    ready(first)
    second = run(waits, {"gate": str(tmp_path / "gate"), **SPACE}).wait()
    imported = second.history.set_index("pid")["imported"]
    new = pids(second) - pids(first)
    assert new
    assert imported[list(new)].all()


def test_without_reuse_each_trial_has_a_new_process(run: Any, where: Any) -> None:
    first = run(where, SPACE).wait()
    second = run(where, SPACE, reuse_actors=False).wait()
    assert len(pids(second)) == 2
    assert not pids(first) & pids(second)


def test_a_trial_waits_for_a_process_until_that_has_started(run: Any) -> None:
    from nbtune.engine.tune.hosts import Hosts

    run(lambda config: {"y": 0}, {"x": 1}).wait()  # Ray has started
    hosts, node = Hosts(), ray.get_runtime_context().get_node_id()
    assert not hosts.prepare(node, {}, 1)
    starting = hosts.starting()
    assert len(starting) == 1
    ray.wait(starting)
    assert hosts.prepare(node, {}, 1)
    assert not hosts.starting()
    host = hosts.take(node, {})
    assert not hosts.prepare(node, {}, 1), "it is in use, so another one starts"
    hosts.settle()  # ends what is in use, as after a run that was cut short
    ray.wait(hosts.starting())
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(host.ping.remote())


def test_a_trial_runs_elsewhere_if_its_process_dies_before_it(run: Any, where: Any, ready: Any) -> None:
    def break_two(driver: Any) -> None:
        """Leave three new processes: one dies while it starts, and one when the first trial is about to get it."""
        import signal

        import ray

        hosts, node = driver._hosts, ray.get_runtime_context().get_node_id()
        hosts._end_all_but(lambda node, position, host: False)
        hosts.keep([node] * 3)
        starting, *started = (host.actor for host in hosts._idle[node])
        ray.kill(starting)
        pids = ray.get([actor.__ray_call__.remote(lambda self: os.getpid()) for actor in started])
        take = hosts.take

        def take_late(*arguments: Any) -> Any:
            hosts.take = take
            os.kill(pids[0], signal.SIGKILL)
            return take(*arguments)

        hosts.take = take_late

    first = run(where, SPACE)
    ready(first)
    driver = first._source.driver.actor
    ray.get(driver.__ray_call__.remote(break_two))
    second = run(where, SPACE, max_failures=0).wait()
    assert driver_pid(second) == driver_pid(first)
    assert second.df["status"].tolist() == ["finished", "finished"], second.df["error"].tolist()


def test_hosts_that_die_before_their_first_trial_are_forgotten(cluster: Any, until: Callable[..., None]) -> None:
    hosts, node = Hosts(), ray.get_runtime_context().get_node_id()

    def started() -> bool:
        hosts.note_started()
        return not hosts.starting()

    for number in range(3):
        assert not hosts.prepare(node, {}, 1)
        ray.kill(hosts._idle[node][0].actor)
        until(started, "it is noticed")
        assert hosts._idle[node] == [], number
    assert hosts.prepare(node, {}, 1), "a trial shows why none starts"
    taken = hosts.take(node, {})
    assert ray.get(taken.ping.remote()) is None
    until(started, "it has started")
    assert not hosts.prepare(node, {}, 1), "the next one is waited for as usual"
    until(started, "it has started, too")
    idle = hosts._idle[node][0].actor
    psutil.Process(ray.get(idle.__ray_call__.remote(lambda self: os.getpid()))).kill()
    other = hosts.take(node, {})
    assert other != idle
    assert ray.get(other.ping.remote()) is None
    for one in (taken, other):
        ray.kill(one)


def test_a_host_that_still_imports_is_taken_after_one_that_is_free(cluster: Any, until: Callable[..., None]) -> None:
    hosts, node = Hosts(), ray.get_runtime_context().get_node_id()
    hosts.keep([node])
    until(lambda: hosts.prepare(node, {}, 1), "it has started")
    hosts.import_ahead(["wave"], {})
    (importing,) = hosts.starting()
    assert hosts._idle[node][0].starting == importing
    until(lambda: hosts.prepare(node, {}, 1), "it has imported it")
    free = hosts.take(node, {})
    assert ray.get(free.__ray_call__.remote(lambda self: "wave" in __import__("sys").modules))
    ray.kill(free)


def test_a_group_is_acquired_although_its_host_has_become_unfit(cluster: Any, until: Callable[..., None]) -> None:
    """Ray asks whether resources are ready, and ends the experiment if it gets none afterwards."""
    from types import SimpleNamespace

    from ray.air.execution.resources import ResourceRequest

    from nbtune.engine.tune.hosting import HostingResourceManager

    hosts, request = Hosts(), ResourceRequest([{"CPU": 1}])
    manager: Any = HostingResourceManager()
    manager.host(hosts, SimpleNamespace(training=None), [], {})
    for _ in range(2):
        manager.request_resources(request)
    until(lambda: manager.has_resources_ready(request), "a group and a host are ready")
    hosts.import_ahead(["wave"], {"OMP_DYNAMIC": "TRUE"})  # on another thread
    acquired = manager.acquire_resources(request)
    assert acquired is not None
    assert acquired.placement_group in manager._acquired_pgs
    until(lambda: manager.has_resources_ready(request), "there is another group, and a host for it")
    other = manager.acquire_resources(request)
    assert other.placement_group != acquired.placement_group
    for one in (acquired, other):
        manager.free_resources(one)
    assert not manager._nodes, "nothing is kept of groups that are removed"
    manager.clear()
    hosts._end_all_but(lambda node, position, host: False)
    until(lambda: ray.available_resources().get("CPU") == 2, "its CPUs are free")


def test_a_free_process_gets_its_next_trial_before_further_results_are_handled(run: Any) -> None:
    from types import SimpleNamespace

    from ray.air.execution import FixedResourceManager
    from ray.air.execution._internal.actor_manager import RayActorManager

    from nbtune.engine._ray.loop import start_next_first

    run(lambda config: {"y": 0}, {"x": 1}).wait()  # Ray has started
    manager, handled = RayActorManager(FixedResourceManager({"CPU": 1.0})), list[str]()
    controller = SimpleNamespace(_actor_manager=manager, _resetting_trials={"next"}, _trial_to_actor={"next": "actor"})
    for name in [*["result"] * 20, "prepared"]:
        future = ray.put(name)
        manager._actor_task_events.track_future(future, on_result=handled.append)
        if name == "prepared":
            manager._tracked_actors_to_task_futures["actor"].add(future)
    start_next_first(controller)
    assert manager.next(timeout=1)
    assert handled == ["prepared", "result"]

    def stop_other(name: str) -> None:
        handled.append(name)
        for future in list(manager._tracked_actors_to_task_futures["actor"]):
            manager._actor_task_events.discard_future(future)

    handled.clear()
    for name in ("one", "other"):  # what is done with either of them ends the trial of the other
        future = ray.put(name)
        manager._actor_task_events.track_future(future, on_result=stop_other)
        manager._tracked_actors_to_task_futures["actor"].add(future)
    assert manager.next(timeout=1)
    assert len(handled) == 2
    assert handled[0] in ("one", "other")
    assert handled[1] == "result"


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
