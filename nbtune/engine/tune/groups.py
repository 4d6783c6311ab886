"""Placement groups whose makers have died."""

from __future__ import annotations

from contextlib import suppress

import ray
from ray import PlacementGroupID
from ray.util.placement_group import PlacementGroup

__all__ = ["release"]


def release(actor: bytes) -> None:
    """Give back what the placement groups of an actor hold that has died.

    Ray ends the actor's own actors with it, but keeps its placement groups until the whole job ends, and with them
    the CPUs. Who made a group is in none of Ray's public tables, only in the one behind them.

    Args:
        actor: its id.
    """
    with suppress(Exception):
        from ray._private.state import state
        from ray.core.generated.gcs_pb2 import PlacementGroupTableData

        for record in state._connect_and_get_accessor().get_placement_group_table():
            group = PlacementGroupTableData.FromString(record)
            if group.creator_actor_id == actor:
                ray.util.remove_placement_group(PlacementGroup(PlacementGroupID(group.placement_group_id)))
