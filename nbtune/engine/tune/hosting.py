"""Runs Tune's trials in hosts: gives Tune the handle of a host where it would start an actor in a placement group."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import ObjectRef
from ray.air.execution.resources import ResourceRequest
from ray.air.execution.resources.placement_group import PlacementGroupAcquiredResources
from ray.util.placement_group import PlacementGroup, placement_group_table

from nbtune.engine.protocol import environment
from nbtune.engine.train.payload import TrialPayload
from nbtune.engine.trial.reservation import COUNTED
from nbtune.engine.tune.groups import DeferredRemovalResourceManager
from nbtune.engine.tune.host import Place
from nbtune.engine.tune.hosts import Hosts

__all__ = ["HostingResourceManager"]


class HostingResourceManager(DeferredRemovalResourceManager):
    """Tune's resource manager, which also gives it the hosts for its trials. `host` comes first."""

    # Not in a constructor: Ray's `clear` calls that again.

    def host(
        self, hosts: Hosts, payload: TrialPayload, metrics: Sequence[str], variables: Mapping[str, str | None]
    ) -> None:
        """Set what is given to the hosts.

        Args:
            hosts: those of this process.
            payload: what the driver gives to each trial.
            metrics: those of the experiment's objectives.
            variables: environment variables of the trials.
        """
        self._hosts, self._metrics = hosts, metrics
        self._payload, self._has_workers = ray.put(payload), payload.training is not None
        self._variables = {name: value for name, value in variables.items() if value is not None}
        self._given: dict[PlacementGroup, Any] = {}  # the group of a trial -> its host
        self._nodes: dict[PlacementGroup, str] = {}  # a group -> id of its node
        self._chosen: dict[ResourceRequest, PlacementGroup] = {}  # what the next trial gets; its host may be gone then

    def get_resource_futures(self) -> list[ObjectRef]:
        return [*super().get_resource_futures(), *self._hosts.starting()]

    def update_state(self) -> None:
        super().update_state()
        self._hosts.note_started()

    def has_resources_ready(self, resource_request: ResourceRequest) -> bool:
        self._chosen.pop(resource_request, None)
        if not super().has_resources_ready(resource_request):
            return False
        if not self._is_hosted(resource_request):
            return True
        if (group := self._with_host(resource_request)) is None:
            return False
        self._chosen[resource_request] = group
        return True

    def acquire_resources(self, resource_request: ResourceRequest) -> Any:
        if not self._is_hosted(resource_request):
            return super().acquire_resources(resource_request)
        # Ray would take any of the groups. It has just been told that there is one, and fails if there is none now.
        ready = self._request_to_ready_pgs[resource_request]
        if self._chosen.get(resource_request) not in ready and not self.has_resources_ready(resource_request):
            return None
        group = self._chosen.pop(resource_request)
        ready.remove(group)
        self._acquired_pgs.add(group)
        return _Hosted(resource_request, group, self)

    def _with_host(self, request: ResourceRequest) -> PlacementGroup | None:
        """Return a group that is placed where a host can run a trial at once; hosts start where there are too few."""
        placed: dict[str, list[PlacementGroup]] = {}
        for group in self._request_to_ready_pgs[request]:
            placed.setdefault(self._node_of(group), []).append(group)
        # A group without a node has lost it. It does not wait for a host.
        ready = [
            groups[0]
            for node, groups in placed.items()
            if not node or self._hosts.prepare(node, self._variables, len(groups))
        ]
        return ready[0] if ready else None

    def _node_of(self, group: PlacementGroup) -> str:
        if not (node := self._nodes.get(group, "")):
            node = self._nodes[group] = placement_group_table(group)["bundles_to_node_id"][0]
        return node

    def _is_hosted(self, request: ResourceRequest) -> bool:
        """Tell whether a trial can run in a host.

        Tasks and actors that a trial starts go to the other bundles of its group only if its own actor is in the group.
        Ray Train's workers are started there by nbtune.
        """
        own_only = len(request.bundles) == 1 and not request.head_bundle_is_empty
        return (own_only or self._has_workers) and all(bundle.keys() <= COUNTED for bundle in request.bundles)

    def free_resources(self, acquired_resource: Any) -> None:
        super().free_resources(acquired_resource)
        self._nodes = {group: node for group, node in self._nodes.items() if group in self._pg_to_request}
        if (host := self._given.pop(acquired_resource.placement_group, None)) is not None:
            self._hosts.give_back(host)

    def begin(self, group: PlacementGroup, cpus: float, arguments: Mapping[str, Any]) -> Any:
        """Begin a trial in a host on the node of its placement group; return the host's handle.

        Returns None if the group is not placed any more, since its node has ended.

        Args:
            group: the placement group.
            cpus: number of logical CPUs of the trial.
            arguments: what Tune gives to the constructor of a trial's actor.
        """
        self._nodes.pop(group, None)  # it may have another node by now
        if not (node := self._node_of(group)):
            return None
        host = self._given[group] = self._hosts.take(node, self._variables)
        variables = {name: os.environ[name] for name in environment.INHERITED_VARIABLES if name in os.environ}
        variables |= {name: value for name, value in os.environ.items() if name.startswith("RAY_TRAIN_")}
        host.begin.remote(self._payload, self._metrics, Place(group, cpus, variables), dict(arguments))
        return host


@dataclass
class _Hosted(PlacementGroupAcquiredResources):
    """Resources for a trial in a host.

    Attributes:
        manager: begins the trial.
    """

    manager: Any = field(default=None, repr=False)

    def annotate_remote_entities(self, entities: Sequence[Any]) -> list[Any]:
        return [_Start(self, super().annotate_remote_entities(list(entities))[0])]


@dataclass(frozen=True)
class _Start:
    """Stands for the class of a trial's actor.

    Attributes:
        resources: those of the trial.
        actor_class: that of Tune, in the placement group.
    """

    resources: _Hosted
    actor_class: Any

    def remote(self, **arguments: Any) -> Any:
        request = self.resources.resource_request
        cpus = 0 if request.head_bundle_is_empty else request.bundles[0].get("CPU", 0)
        host = self.resources.manager.begin(self.resources.placement_group, cpus, arguments)
        return self.actor_class.remote(**arguments) if host is None else host
