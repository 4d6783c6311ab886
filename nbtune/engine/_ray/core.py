"""Private APIs of Ray Core: its tables of nodes, jobs, actors and placement groups."""

from __future__ import annotations

from typing import Any

# The public `ray.available_resources` has only the sum over all nodes.
from ray._private.state import available_resources_per_node

# The public `ray.util.placement_group_table` leaves out who created a group, `ray.util.state.list_actors` asks the
# dashboard, which a cluster need not have, and neither has the autoscaler's configuration.
from ray._private.state import state as global_state

# The messages in those tables.
from ray.core.generated.gcs_pb2 import ActorTableData, PlacementGroupTableData

__all__ = [
    "REMOVED",
    "actor_id",
    "actor_table",
    "available_resources_per_node",
    "global_state",
    "is_job_over",
    "placement_group_table",
]

REMOVED = PlacementGroupTableData.REMOVED
"""The state of a placement group that was removed."""


def actor_id(handle: Any) -> bytes:
    """Return the binary id of an actor; only an actor itself can ask for its own in public.

    Args:
        handle: a `ray.actor.ActorHandle`.
    """
    identifier: bytes = handle._actor_id.binary()
    return identifier


def actor_table() -> list[Any]:
    """Return all actors that are alive, as Ray's `ActorTableData`."""
    records = global_state._connect_and_get_accessor().get_actor_table(None, "ALIVE")
    return [ActorTableData.FromString(record) for record in records]


def is_job_over(job: str) -> bool:
    """Return whether a job has ended, or its process is gone; the public API of jobs asks the dashboard.

    Args:
        job: its id, hexadecimal.
    """
    return any(entry["JobID"] == job and entry["IsDead"] for entry in global_state.job_table())


def placement_group_table() -> list[Any]:
    """Return all placement groups since the cluster's start, removed ones too, as Ray's `PlacementGroupTableData`."""
    records = global_state._connect_and_get_accessor().get_placement_group_table()
    return [PlacementGroupTableData.FromString(record) for record in records]
