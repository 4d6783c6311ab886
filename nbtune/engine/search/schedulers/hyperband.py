"""HyperBand, and its variant for BOHB."""

from __future__ import annotations

from typing import Any

from nbtune.engine.search.schedulers.base import TIME_ATTR, Limit, Scheduler, ScheduleRequest

__all__ = ["Bohb", "HyperBand"]


class HyperBand(Scheduler):
    """HyperBand."""

    name = "hyperband"
    summary = "halves groups of trials of different sizes, which wait for one another (HyperBand)"
    classes = ("HyperBandScheduler",)
    needs_checkpoints = True
    arguments = {  # noqa: RUF012 - a ClassVar of the base class
        "time_attr": f"{TIME_ATTR} (training_iteration)",
        "max_t": "the time after which a trial is stopped in any case (81)",
        "reduction_factor": "at each rung, one of this number of trials goes on (3)",
        "stop_last_trials": "whether trials are stopped at max_t (True)",
    }
    defaults = {"time_attr": "training_iteration"}  # noqa: RUF012
    limits = {"max_t": Limit(0, is_open=True), "reduction_factor": Limit(1, is_open=True)}  # noqa: RUF012
    flags = ("stop_last_trials",)

    def make(self, request: ScheduleRequest) -> Any:
        from ray.tune.schedulers import HyperBandScheduler

        return HyperBandScheduler(**self.given(request))


class Bohb(HyperBand):
    """HyperBand for BOHB."""

    name = "bohb"
    summary = "HyperBand whose groups are filled by the search algorithm bohb"
    classes = ("HyperBandForBOHB",)
    partner = "bohb"

    def no_repeats(self, request: ScheduleRequest) -> str:
        return "tells its search algorithm the values of single trials, and not a mean"

    def make(self, request: ScheduleRequest) -> Any:
        from ray.tune.schedulers import HyperBandForBOHB

        return HyperBandForBOHB(**self.given(request))
