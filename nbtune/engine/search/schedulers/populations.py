"""What population based training and its relatives have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nbtune.engine.search.grids import trial_count
from nbtune.engine.search.schedulers.base import TIME_ATTR, Limit, Scheduler, ScheduleRequest
from nbtune.engine.search.schedulers.mutations import Mutations
from nbtune.errors import Problem, did_you_mean, option_ref
from nbtune.spec.options.named import PARTNERS, Named, is_named
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import top_level

__all__ = ["ARGUMENTS", "DEFAULTS", "FLAGS", "LIMITS", "Population", "learner_problems"]

ARGUMENTS = {
    "time_attr": f"{TIME_ATTR} (training_iteration)",
    "perturbation_interval": "the time from one comparison of a trial with the others to the next (5)",
    "quantile_fraction": "the share of the trials that are replaced by copies of as many of the best, up to 0.5 (0.25)",
    "synch": "whether all trials wait for one another before they are compared (False)",
    "custom_explore_fn": "a function that gets the parameters of a copy and returns changed ones, in Python only",
}
DEFAULTS = {"time_attr": "training_iteration", "perturbation_interval": 5}
LIMITS = {"perturbation_interval": Limit(0, is_open=True), "quantile_fraction": Limit(0, 0.5)}
FLAGS = ("synch",)


def learner_problems(spec: Spec, why: str) -> Iterator[Problem]:
    """Yield the problem of a search algorithm that would learn from parameters that trials are not trained with.

    Args:
        spec: the options.
        why: why they are not.
    """
    if is_named(spec.search, *PARTNERS):  # works with one scheduler only, which is said there
        return
    if not (is_named(spec.search, "random", "grid") or type(spec.search).__name__ == "BasicVariantGenerator"):
        text = f"{why}, so it cannot be used with a search algorithm that learns; leave {option_ref('search')} out"
        yield Problem(text, code="conflict", option="scheduler")


class Population(Scheduler):
    """A scheduler that replaces worse trials by changed copies of better ones."""

    needs_checkpoints = True
    mutates = True
    only_continuous = False
    """Whether it changes only floating-point numbers between bounds."""

    def mutations(self, request: ScheduleRequest) -> Mutations:
        """Return the parameters that are changed.

        Args:
            request: what for.
        """
        return Mutations(request.space, request.spec.mutate, only_continuous=self.only_continuous)

    def problems(self, request: ScheduleRequest) -> Iterator[Problem]:
        spec, what = request.spec, self._called(request)
        yield from learner_problems(spec, f"{what} changes the parameters itself")
        if isinstance(spec.scheduler, Named):
            yield from self.mutations(request).problems(self.name)
        else:
            yield from self._object_problems(request, spec.scheduler)
        yield from super().problems(request)
        try:
            count = trial_count(spec, request.space)
        except ValueError:  # of the space, and said there
            return
        if count < 2:
            text = (
                f"{what} compares the trials of a population, and there is only one; give {option_ref('samples', 'N')}"
            )
            yield Problem(text, code="conflict", option="samples")

    def can_be_made(self, request: ScheduleRequest) -> bool:
        return not any(self.mutations(request).problems(self.name))

    def _object_problems(self, request: ScheduleRequest, value: Any) -> Iterator[Problem]:
        """Yield the names that an object changes and that are no parameters."""
        known = list(dict.fromkeys(map(top_level, request.space.names)))
        for name in getattr(value, "_hyperparam_mutations", None) or ():
            if name not in known:
                text = (
                    f"{self._called(request)} changes {name!r}, which is no parameter{did_you_mean(name, known)}; the"
                    f" parameters are {', '.join(known)}"
                )
                yield Problem(text, code="unknown", option="scheduler")
        if request.spec.mutate:
            text = f"{self._called(request)} was created with the parameters that it changes; leave this out"
            yield Problem(text, code="conflict", option="mutate")

    def no_repeats(self, request: ScheduleRequest) -> str:
        return "changes the parameters of trials, so that they do not stay trials of one configuration"

    def notes(self, request: ScheduleRequest) -> Iterator[str]:
        if isinstance(request.spec.scheduler, Named):
            yield from self.mutations(request).notes(self.name)
        limit = request.spec.max_concurrent
        if limit is not None and limit < trial_count(request.spec, request.space):
            yield (
                f"{self._called(request)} compares the trials that have begun and are not over, of which"
                f" {option_ref('max_concurrent', str(limit))} allows {limit} at a time"
            )
