"""Tune's placement groups on a real Ray: none is removed while it is being placed, and none remains."""

from __future__ import annotations

import time
from typing import Any

import ray

from nbtune.engine.tune.groups import DeferredRemovalResourceManager


def pending_or_created() -> list[str]:
    groups = ray.util.placement_group_table().values()
    return [group["state"] for group in groups if group["state"] != "REMOVED"]


def test_cancelled_requests_are_removed_once_they_are_ready(cluster: Any, until: Any) -> None:
    from ray.air.execution.resources import ResourceRequest

    whole = ResourceRequest([{"CPU": 2}])
    manager = DeferredRemovalResourceManager()
    manager.request_resources(whole)
    until(lambda: manager.has_resources_ready(whole), "the first is ready")
    acquired = manager.acquire_resources(whole)
    manager.request_resources(whole)
    manager.free_resources(acquired)
    manager.cancel_resource_request(whole)
    assert len(pending_or_created()) == 1, "it waits"

    manager.request_resources(whole)
    assert len(pending_or_created()) == 1, "the same group again"
    until(lambda: manager.has_resources_ready(whole), "the second is ready")
    acquired = manager.acquire_resources(whole)
    for number in (1, 2):  # of the second kind none can ever be placed
        manager.request_resources(ResourceRequest([{"CPU": 2 * number}]))
    manager.free_resources(acquired)
    started = time.monotonic()
    manager.clear()
    assert time.monotonic() - started < 20
    until(lambda: not pending_or_created(), "all are removed")
    until(lambda: ray.available_resources().get("CPU") == 2, "its CPUs are free")
