"""Starts processes ahead for the first experiment on a Ray to which the user has connected."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["after_cell", "start_processes"]


def after_cell(result: Any) -> None:
    """Start processes ahead if this kernel is connected to Ray, and has none. IPython calls this after each cell.

    Args:
        result: IPython's result of the cell.
    """
    start_processes()


def start_processes() -> None:
    """Start processes ahead if this process is connected to Ray, and has none."""
    ray: Any = sys.modules.get("ray")
    if getattr(ray, "is_initialized", bool)():
        from nbtune.cluster.link import ahead

        ahead.start_processes()
