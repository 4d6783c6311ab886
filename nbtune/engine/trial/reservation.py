"""The resources that are reserved for the present trial, in a process that has not requested them itself."""

from __future__ import annotations

import os
from typing import Any

import ray

from nbtune.engine.trial.tidy import initial_variable

__all__ = ["COUNTED", "reserve", "reserved_group", "set_threads"]

COUNTED = frozenset({"CPU", "memory"})
"""Resources that Ray only counts. A process that has not requested them itself can use them all the same; of others,
such as GPUs, Ray assigns some to a process."""
_THREADS = "OMP_NUM_THREADS"
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


def set_threads(cpus: float) -> None:
    """Set the number of threads of libraries, as Ray does for a process that has requested CPUs.

    Args:
        cpus: the number of logical CPUs that are reserved for this process.
    """
    if initial_variable(_THREADS) is None:
        os.environ[_THREADS] = str(max(1, int(cpus)))
