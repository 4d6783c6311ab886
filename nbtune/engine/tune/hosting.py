"""Runs Tune's trials in hosts: gives Tune the handle of a host where it would start an actor in a placement group."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
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
        self, hosts: Hosts, payload: TrialPayload, metric: str | None, variables: Mapping[str, str | None]
    ) -> None:
        """Set what is given to the hosts.

        Args:
            hosts: those of this process.
            payload: what the driver gives to each trial.
            metric: the experiment's metric, or None.
            variables: environment variables of the trials.
        """
        self._hosts, self._metric = hosts, metric
        self._payload, self._has_workers = ray.put(payload), payload.training is not None
        self._variables = {name: value for name, value in variables.items() if value is not None}
        self._given: dict[PlacementGroup, Any] = {}  # the group of a trial -> its host

    def acquire_resources(self, resource_request: ResourceRequest) -> Any:
        acquired = super().acquire_resources(resource_request)
        if acquired is None or not self._is_hosted(resource_request):
            return acquired
        return _Hosted(resource_request, acquired.placement_group, self)

    def _is_hosted(self, request: ResourceRequest) -> bool:
        """Tell whether a trial can run in a host.

        Tasks and actors that a trial starts go to the other bundles of its group only if its own actor is in the group.
        Ray Train's workers are started there by nbtune.
        """
        own_only = len(request.bundles) == 1 and not request.head_bundle_is_empty
        return (own_only or self._has_workers) and all(bundle.keys() <= COUNTED for bundle in request.bundles)

    def free_resources(self, acquired_resource: Any) -> None:
        super().free_resources(acquired_resource)
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
        node = placement_group_table(group)["bundles_to_node_id"][0]
        if not node:
            return None
        host = self._given[group] = self._hosts.take(node, self._variables)
        variables = {name: os.environ[name] for name in environment.INHERITED_VARIABLES if name in os.environ}
        variables |= {name: value for name, value in os.environ.items() if name.startswith("RAY_TRAIN_")}
        host.begin.remote(self._payload, self._metric, Place(group, cpus, variables), dict(arguments))
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
