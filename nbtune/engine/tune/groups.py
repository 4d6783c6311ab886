"""Placement groups: those that Tune no longer wants, and those whose owners have died."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import ray
from ray import ObjectRef, PlacementGroupID
from ray.air.execution.resources import PlacementGroupResourceManager, ResourceRequest
from ray.util.placement_group import PlacementGroup, remove_placement_group
from ray.util.placement_group import placement_group_table as placement_group_table_of

from nbtune.engine._ray.core import placement_group_table

__all__ = ["DeferredRemovalResourceManager", "release"]

_PROBE_AFTER = 5.0
"""Seconds of a run after which groups are requested beyond those that fit according to the plan: nodes may have been
added to the cluster, or other programs may have ended."""
_SETTLE_TIME = 2.5
"""Seconds after which a group that is still pending is not about to be placed: Ray retries pending groups every second
when resources have become free, and is told of these by the nodes."""


class DeferredRemovalResourceManager(PlacementGroupResourceManager):
    """Tune's resource manager, which removes no placement group that Ray may be placing at this moment.

    Ray places a group in two steps, "prepare" and "commit". The resources of a group that is removed between them are
    lost until the cluster ends. Tune risks it whenever it frees a trial's group, so that Ray can place the next one,
    and at the same time cancels the request for that one. Here a cancelled group that is not ready is removed once it
    is ready, or `_SETTLE_TIME` after it was requested and resources have last become free.

    Tune requests a group for the trial that runs next, long before there are resources for it. Here such a request
    waits, and gets the group of a trial that has ended, without any work for Ray.

    Args:
        update_interval_s: as for Ray's.

    Attributes:
        slots: how many groups fit at once, or None if that is not known.
        max_running: returns how many trials may run at once, or None for as many as fit. The search algorithm, which
            has that limit, too, does not propose the trials of a resumed experiment, nor those that end a pause.
    """

    slots: int | None = None
    max_running: Callable[[], int | None] = staticmethod(lambda: None)

    def __init__(self, update_interval_s: float = 0.1) -> None:
        super().__init__(update_interval_s)
        # The future that resolves when the group is ready -> the group, its request, and when it was requested.
        self._cancelled: dict[ObjectRef, tuple[PlacementGroup, ResourceRequest, float]] = {}
        self._freed_at = -_SETTLE_TIME
        self._began = time.monotonic()
        self._waiting: list[ResourceRequest] = []  # requests for which no group was requested yet
        self._requested: dict[PlacementGroup, float] = {}  # group that is not ready -> when it was requested

    def get_resource_futures(self) -> list[ObjectRef]:
        return [*super().get_resource_futures(), *self._cancelled]

    def has_resources_ready(self, resource_request: ResourceRequest) -> bool:
        limit = self.max_running()
        is_allowed = limit is None or len(self._acquired_pgs) < limit
        return is_allowed and bool(super().has_resources_ready(resource_request))

    def update_state(self) -> None:
        super().update_state()
        while self._waiting and not self._is_full():
            self._request(self._waiting.pop(0))
        self._remove_settled()

    def request_resources(self, resource_request: ResourceRequest) -> None:
        for future, (group, request, _) in self._cancelled.items():
            if request == resource_request:
                del self._cancelled[future]
                self._pg_to_request[group] = request
                self._request_to_staged_pgs[request].add(group)
                self._staging_future_to_pg[future] = group
                self._pg_to_staging_future[group] = future
                return
        if self._is_full():
            self._waiting.append(resource_request)
        else:
            self._request(resource_request)

    def _request(self, resource_request: ResourceRequest) -> None:
        super().request_resources(resource_request)
        self._requested = {group: at for group, at in self._requested.items() if group in self._pg_to_staging_future}
        self._requested[next(reversed(self._pg_to_staging_future))] = time.monotonic()

    def _is_full(self) -> bool:
        if self.slots is None or time.monotonic() - self._began > _PROBE_AFTER:
            return False
        return len(self._pg_to_request) + len(self._cancelled) >= self.slots

    def cancel_resource_request(self, resource_request: ResourceRequest) -> None:
        if resource_request in self._waiting:
            self._waiting.remove(resource_request)
            return
        staged = self._request_to_staged_pgs[resource_request]
        if not staged:
            super().cancel_resource_request(resource_request)
            self._freed_at = time.monotonic()
            return
        group = staged.pop()
        future = self._pg_to_staging_future.pop(group)
        del self._staging_future_to_pg[future], self._pg_to_request[group]
        self._cancelled[future] = (group, resource_request, self._requested.pop(group, time.monotonic()))

    def free_resources(self, acquired_resource: Any) -> None:
        group, request = acquired_resource.placement_group, acquired_resource.resource_request
        if request in self._waiting and placement_group_table_of(group)["state"] == "CREATED":  # its node lives
            self._waiting.remove(request)
            self._acquired_pgs.remove(group)
            self._request_to_ready_pgs[request].add(group)
            return
        super().free_resources(acquired_resource)
        self._freed_at = time.monotonic()

    def clear(self) -> None:
        """Remove all groups; wait until Ray is not placing any of them."""
        if not ray.is_initialized():
            return
        self._waiting.clear()
        for request, staged in self._request_to_staged_pgs.items():
            for _ in range(len(staged)):
                self.cancel_resource_request(request)
        while self._cancelled:
            ray.wait(list(self._cancelled), timeout=0.1)
            self._remove_settled()
        super().clear()

    def _remove_settled(self) -> None:
        """Remove the cancelled groups that are ready, or that have been pending for long enough."""
        if not self._cancelled:
            return
        ready, pending = ray.wait(list(self._cancelled), num_returns=len(self._cancelled), timeout=0)
        now = time.monotonic()
        for future in pending:
            if now - max(self._cancelled[future][2], self._freed_at) > _SETTLE_TIME:
                ray.cancel(future)  # Ray would try to run it for ever
                remove_placement_group(self._cancelled.pop(future)[0])
        for future in ready:
            remove_placement_group(self._cancelled.pop(future)[0])
            self._freed_at = now


def release(actor: bytes) -> None:
    """Remove the placement groups of an actor that has died.

    Ray ends the actor's own actors with it, but keeps its placement groups until the whole job ends, and with them
    the CPUs.

    Args:
        actor: binary id of the actor.
    """
    with suppress(Exception):
        for group in placement_group_table():
            if group.creator_actor_id == actor:
                remove_placement_group(PlacementGroup(PlacementGroupID(group.placement_group_id)))
