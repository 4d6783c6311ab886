"""No scheduling: every trial runs to its end."""

from __future__ import annotations

from typing import Any

from nbtune.engine.search.schedulers.base import Scheduler, ScheduleRequest

__all__ = ["Fifo"]


class Fifo(Scheduler):
    """First in, first out."""

    name = "fifo"
    summary = "every trial runs to its end"
    classes = ("FIFOScheduler",)
    needs_metric = False

    def make(self, request: ScheduleRequest) -> Any:
        from ray.tune.schedulers import FIFOScheduler

        return FIFOScheduler()
