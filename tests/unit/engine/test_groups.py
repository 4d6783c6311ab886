"""When a cancelled placement group is removed; `tests/ray/test_groups.py` does it on a real Ray."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from nbtune.engine._ray.tune import set_resource_manager
from nbtune.engine.tune import groups


class Group:
    """A placement group whose `ready()` is itself."""

    def ready(self) -> Group:
        return self


class Request:
    """A request for resources."""

    def to_placement_group(self) -> Group:
        return Group()


class Cluster:
    """Stands for Ray: which groups are ready, which are removed, and the time."""

    def __init__(self) -> None:
        self.ready: set[Group] = set()
        self.removed: list[Group] = []
        self.states: dict[Group, str] = {}
        self.now = 100.0

    def wait(self, futures: list[Group], num_returns: int = 1, timeout: float | None = None) -> tuple[Any, Any]:
        self.now += timeout or 0
        ready = [future for future in futures if future in self.ready]
        return ready, [future for future in futures if future not in self.ready]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    import ray
    from ray.air.execution.resources import placement_group

    cluster = Cluster()
    monkeypatch.setattr(ray, "wait", cluster.wait)
    monkeypatch.setattr(ray, "cancel", lambda future: None)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    for module in (groups, placement_group, ray.util):
        monkeypatch.setattr(module, "remove_placement_group", cluster.removed.append)
    monkeypatch.setattr(
        groups, "placement_group_table_of", lambda group: {"state": cluster.states.get(group, "CREATED")}
    )
    monkeypatch.setattr(groups, "time", SimpleNamespace(monotonic=lambda: cluster.now))
    return cluster


@pytest.fixture
def manager(cluster: Cluster) -> Iterator[groups.DeferredRemovalResourceManager]:
    manager = groups.DeferredRemovalResourceManager()
    yield manager
    manager.clear()


def test_a_group_is_removed_when_it_is_ready(cluster: Cluster, manager: Any) -> None:
    manager.request_resources(request := Request())
    [group] = manager.get_resource_futures()
    manager.cancel_resource_request(request)
    manager.update_state()
    assert cluster.removed == []
    assert manager.get_resource_futures() == [group], "Tune's loop wakes up when it is ready"
    cluster.ready.add(group)
    manager.update_state()
    assert cluster.removed == [group]
    assert not manager.has_resources_ready(request)
    assert manager.get_resource_futures() == []


def test_a_pending_group_is_removed_some_time_after_the_last_change(cluster: Cluster, manager: Any) -> None:
    manager.request_resources(other := Request())
    cluster.ready.update(manager.get_resource_futures())
    manager.update_state()
    acquired = manager.acquire_resources(other)
    manager.request_resources(request := Request())
    [group] = manager.get_resource_futures()
    manager.cancel_resource_request(request)
    cluster.now += 2
    manager.free_resources(acquired)
    cluster.removed.clear()
    cluster.now += 2
    manager.update_state()
    assert cluster.removed == [], "the resources that were freed may be for it"
    cluster.now += 1
    manager.update_state()
    assert cluster.removed == [group]


def test_the_same_request_again_takes_the_group_back(cluster: Cluster, manager: Any) -> None:
    manager.request_resources(request := Request())
    [group] = manager.get_resource_futures()
    manager.cancel_resource_request(request)
    manager.request_resources(request)
    assert manager.get_resource_futures() == [group]
    cluster.ready.add(group)
    assert manager.has_resources_ready(request)
    assert manager.acquire_resources(request).placement_group is group
    assert cluster.removed == []


def test_a_group_that_is_ready_is_removed_at_once(cluster: Cluster, manager: Any) -> None:
    manager.request_resources(request := Request())
    cluster.ready.update(manager.get_resource_futures())
    manager.update_state()
    manager.cancel_resource_request(request)
    assert len(cluster.removed) == 1


@pytest.fixture
def full(cluster: Cluster, manager: Any) -> tuple[Any, Request]:
    """The one group that fits is acquired, and another one like it is requested."""
    manager.slots = 1
    manager.request_resources(request := Request())
    cluster.ready.update(manager.get_resource_futures())
    acquired = manager.acquire_resources(request)
    manager.request_resources(request)
    assert manager.get_resource_futures() == [], "nothing is requested that does not fit"
    return acquired, request


def test_a_request_that_does_not_fit_gets_the_group_of_a_trial_that_ends(
    cluster: Cluster, manager: Any, full: tuple[Any, Request]
) -> None:
    acquired, request = full
    manager.free_resources(acquired)
    assert cluster.removed == []
    assert manager.has_resources_ready(request)
    assert manager.acquire_resources(request).placement_group is acquired.placement_group


def test_a_group_whose_node_has_ended_is_not_given_to_another_trial(
    cluster: Cluster, manager: Any, full: tuple[Any, Request]
) -> None:
    acquired, _ = full
    cluster.states[acquired.placement_group] = "RESCHEDULING"
    manager.free_resources(acquired)
    assert cluster.removed == [acquired.placement_group]
    manager.update_state()
    assert len(manager.get_resource_futures()) == 1, "a new one is requested"


def test_a_request_that_waits_is_cancelled_without_a_trace(manager: Any, full: tuple[Any, Request]) -> None:
    acquired, request = full
    manager.cancel_resource_request(request)
    manager.free_resources(acquired)
    manager.update_state()
    assert manager.get_resource_futures() == []


def test_after_a_while_it_is_tried_whether_more_fits(cluster: Cluster, manager: Any, full: tuple[Any, Request]) -> None:
    cluster.now += 6
    manager.update_state()
    [group] = manager.get_resource_futures()
    cluster.ready.add(group)
    manager.update_state()
    assert manager.has_resources_ready(full[1])


def test_a_pending_group_is_removed_at_once_if_nothing_has_been_freed_for_a_while(
    cluster: Cluster, manager: Any
) -> None:
    manager.request_resources(request := Request())
    [group] = manager.get_resource_futures()
    cluster.now += 10
    manager.cancel_resource_request(request)
    manager.update_state()
    assert cluster.removed == [group]


def test_nothing_remains_at_the_end(cluster: Cluster, manager: Any) -> None:
    requests = [Request(), Request(), Request()]
    for request in requests:
        manager.request_resources(request)
    staged = manager.get_resource_futures()
    cluster.ready.add(staged[0])
    manager.cancel_resource_request(requests[1])
    begun = cluster.now
    manager.clear()
    assert set(cluster.removed) == set(staged)
    assert 2 < cluster.now - begun < 4
    assert manager.get_resource_futures() == []


def test_it_is_put_into_tunes_controller() -> None:
    """The attribute is Ray's, and a name that is gone would change nothing."""
    from ray.air.execution import PlacementGroupResourceManager
    from ray.air.execution._internal import RayActorManager

    manager = RayActorManager(PlacementGroupResourceManager())
    controller = SimpleNamespace(_actor_manager=manager)
    assert type(manager._resource_manager) is PlacementGroupResourceManager
    set_resource_manager(controller, groups.DeferredRemovalResourceManager())
    assert type(manager._resource_manager) is groups.DeferredRemovalResourceManager
