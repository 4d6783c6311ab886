"""The placement group with the resources of the present trial."""

from __future__ import annotations

from typing import Any

import ray

__all__ = ["reserve", "reserved_group"]

_group: Any = None


def reserve(group: Any) -> None:
    """Note the placement group of the present trial, for a process that is not in the group itself.

    Args:
        group: a `ray.util.placement_group.PlacementGroup`, or None.
    """
    global _group
    _group = group


def reserved_group() -> Any:
    """Return the placement group of the present trial, or None outside of trials."""
    return _group if _group is not None else ray.util.get_current_placement_group()
