"""Population based bandits."""

from __future__ import annotations

from typing import Any

from nbtune.engine.search.entry import Package
from nbtune.engine.search.schedulers.base import ScheduleRequest
from nbtune.engine.search.schedulers.populations import ARGUMENTS, DEFAULTS, FLAGS, LIMITS, Population

__all__ = ["Pb2"]


class Pb2(Population):
    """Population based bandits."""

    name = "pb2"
    summary = "population based training that models which parameters help next (PB2); floating-point numbers only"
    classes = ("PB2",)
    packages = (Package("scikit-learn", "sklearn", ">=1.5", "pb2"),)
    only_continuous = True
    arguments = ARGUMENTS
    defaults = DEFAULTS
    limits = LIMITS
    flags = FLAGS

    def make(self, request: ScheduleRequest) -> Any:
        from ray.tune.schedulers.pb2 import PB2

        given, mutations = self.given(request), self.mutations(request)
        own = given.pop("custom_explore_fn", None)
        return PB2(
            hyperparam_bounds=mutations.bounds(),
            custom_explore_fn=mutations.explorer(own),
            log_config=False,  # the event log has it
            **given,
        )
