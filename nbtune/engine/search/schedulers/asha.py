"""ASHA: asynchronous successive halving."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from nbtune.engine.search.schedulers.base import TIME_ATTR, Limit, Scheduler, ScheduleRequest

__all__ = ["Asha"]


class Asha(Scheduler):
    """Asynchronous successive halving."""

    name = "asha"
    summary = "stops the worse trials early (asynchronous successive halving)"
    classes = ("AsyncHyperBandScheduler",)
    arguments = {  # noqa: RUF012 - a ClassVar of the base class
        "time_attr": f"{TIME_ATTR} (training_iteration)",
        "max_t": "the time after which a trial is stopped in any case (100)",
        "grace_period": "the time before which no trial is stopped (1)",
        "reduction_factor": "at each rung, one of this number of trials goes on (4)",
        "brackets": "the number of brackets, each with a longer grace period (1)",
        "stop_last_trials": "whether trials are stopped at max_t (True)",
    }
    defaults = {  # noqa: RUF012
        "time_attr": "training_iteration",
        "max_t": 100,
        "grace_period": 1,
        "reduction_factor": 4,
        "brackets": 1,
        "stop_last_trials": True,
    }
    limits = {  # noqa: RUF012
        "max_t": Limit(0, is_open=True),
        "grace_period": Limit(0, is_open=True),
        "reduction_factor": Limit(1, is_open=True),
        "brackets": Limit(1, is_whole=True),
    }
    flags = ("stop_last_trials",)

    def value_problems(self, request: ScheduleRequest) -> Iterator[str]:
        wrong = list(super().value_problems(request))
        yield from wrong
        given = self.given(request)
        if wrong:
            return
        if given["grace_period"] > given["max_t"]:
            yield (
                f"grace_period: expected at most max_t, which is {given['max_t']:g}, got {given['grace_period']:g}: no"
                " trial would be compared"
            )

        elif (most := _rungs(**given)) < given["brackets"]:
            yield (
                f"brackets: expected at most {most}, got {given['brackets']:g}: from grace_period to max_t there are"
                f" {most} rungs, each bracket begins one rung later, and trials of others would not be compared"
            )

    def make(self, request: ScheduleRequest) -> Any:
        from ray.tune.schedulers import ASHAScheduler

        return ASHAScheduler(**self.given(request))


def _rungs(max_t: float, grace_period: float, reduction_factor: float, **_: Any) -> int:
    """Return the number of rungs, as Ray Tune computes it."""
    return int(math.log(max_t / grace_period) / math.log(reduction_factor) + 1)
