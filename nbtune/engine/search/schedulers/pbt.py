"""Population based training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nbtune.engine.search.schedulers.base import Limit, ScheduleRequest
from nbtune.engine.search.schedulers.populations import ARGUMENTS, DEFAULTS, FLAGS, LIMITS, Population
from nbtune.spec.space.values import is_number, label

__all__ = ["Pbt"]


class Pbt(Population):
    """Population based training."""

    name = "pbt"
    summary = "replaces worse trials by copies of better ones with changed parameters (population based training)"
    classes = ("PopulationBasedTraining",)
    arguments = {  # noqa: RUF012 - a ClassVar of the base class
        **ARGUMENTS,
        "burn_in_period": "the time before which no trial is compared (0)",
        "resample_probability": "how often a parameter of a copy is sampled, and not changed by a factor (0.25)",
        "perturbation_factors": "the factors by which a number is changed ((1.2, 0.8))",
    }
    defaults = DEFAULTS
    limits = {**LIMITS, "burn_in_period": Limit(0), "resample_probability": Limit(0, 1)}  # noqa: RUF012
    flags = FLAGS

    def value_problems(self, request: ScheduleRequest) -> Iterator[str]:
        yield from super().value_problems(request)
        factors = request.arguments.get("perturbation_factors", (1.2, 0.8))
        if not isinstance(factors, (list, tuple)) or not factors or not all(is_number(f) and f > 0 for f in factors):
            yield f"perturbation_factors: expected positive numbers such as (1.2, 0.8), got {label(factors)}"

    def make(self, request: ScheduleRequest) -> Any:
        from ray.tune.schedulers import PopulationBasedTraining

        given, mutations = self.given(request), self.mutations(request)
        own = given.pop("custom_explore_fn", None)
        return PopulationBasedTraining(
            hyperparam_mutations=mutations.distributions(),
            custom_explore_fn=mutations.explorer(own),
            log_config=False,  # the event log has it
            **given,
        )
