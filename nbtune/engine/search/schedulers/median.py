"""The median stopping rule."""

from __future__ import annotations

import math
from typing import Any

from nbtune.engine.search.schedulers.base import TIME_ATTR, Limit, Scheduler, ScheduleRequest
from nbtune.spec.options.named import Named

__all__ = ["Median"]


class Median(Scheduler):
    """The median stopping rule."""

    name = "median"
    summary = "stops a trial whose best value is worse than the median of the others' averages (Vizier's rule)"
    classes = ("MedianStoppingRule",)
    arguments = {  # noqa: RUF012 - a ClassVar of the base class
        "time_attr": f"{TIME_ATTR} (training_iteration)",
        "grace_period": "the time before which no trial is stopped, and whose reports do not count (1)",
        "min_samples_required": "of how many other trials a median is computed at least (3)",
        "min_time_slice": "the time after which a trial makes room for others while there are fewer (infinite: never)",
        "hard_stop": "whether trials are stopped; else they are paused until the others are over (True)",
    }
    # Ray's own min_time_slice, 0, pauses every trial until there are enough: without checkpoints it begins anew.
    defaults = {"time_attr": "training_iteration", "grace_period": 1, "min_time_slice": math.inf}  # noqa: RUF012
    limits = {  # noqa: RUF012
        "grace_period": Limit(0),
        "min_samples_required": Limit(1, is_whole=True),
        "min_time_slice": Limit(0),
    }
    flags = ("hard_stop",)

    def pauses(self, request: ScheduleRequest) -> bool:
        value = request.spec.scheduler
        if isinstance(value, Named):
            given = self.given(request)
            return given["min_time_slice"] != math.inf or given.get("hard_stop") is False
        return not getattr(value, "_hard_stop", True) or getattr(value, "_min_time_slice", 0) != math.inf

    def make(self, request: ScheduleRequest) -> Any:
        from ray.tune.schedulers import MedianStoppingRule

        return MedianStoppingRule(**self.given(request))
