"""Resources that change while trials run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbtune.engine.search.own_settings import inner_scheduler
from nbtune.engine.search.schedulers.base import Scheduler, ScheduleRequest
from nbtune.errors import Problem, did_you_mean, option_ref
from nbtune.spec.options.named import Named, parse_named
from nbtune.spec.space.values import is_number, label

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Resources"]

_DISTRIBUTE = ("increase_by", "increase_by_times", "reserve_resources")


class Resources(Scheduler):
    """Another scheduler, and trials that get the resources that others leave free.

    Args:
        scheduler_of: returns the entry of a scheduler; None for an object that is not Ray Tune's.
        names: the names of the schedulers that may be inside.
    """

    name = "resources"
    summary = "gives running trials the CPUs and GPUs that are free, beside another scheduler"
    classes = ("ResourceChangingScheduler",)
    needs_metric = False
    needs_checkpoints = True
    new_processes = True
    arguments = {  # noqa: RUF012 - a ClassVar of the base class
        "base": "the scheduler that decides about trials: a name, or one with arguments as text (fifo)",
        "to_best": "whether the best trial gets all that is free; else all get the same (False)",
        "increase_by": 'what a trial gets at once, such as {"CPU": 1} (1 CPU, or 1 GPU if a trial has any)',
        "increase_by_times": "how often a trial gets that at most; -1 for no limit (-1)",
        "reserve_resources": 'what stays free, such as {"CPU": 1} (nothing)',
    }
    flags = ("to_best",)

    def __init__(self, scheduler_of: Callable[[Any], Scheduler | None], names: tuple[str, ...]) -> None:
        self._scheduler_of, self._names = scheduler_of, names

    def changes_parameters(self, request: ScheduleRequest) -> bool:
        inner = self._inner(request)
        return inner is not None and inner[0].changes_parameters(inner[1])

    def value_problems(self, request: ScheduleRequest) -> Iterator[str]:
        yield from super().value_problems(request)
        arguments = request.arguments
        for name in ("increase_by", "reserve_resources"):
            value = arguments.get(name, {"CPU": 1})
            if (
                not isinstance(value, Mapping)
                or not value
                or not all(key in {"CPU", "GPU"} and is_number(amount) and amount > 0 for key, amount in value.items())
            ):
                yield f'{name}: expected amounts of CPU and GPU, such as {{"CPU": 1}}, got {label(value)}'
        times = arguments.get("increase_by_times", -1)
        if type(times) is not int or times < -1 or times == 0:
            yield f"increase_by_times: expected a whole number of at least 1, or -1, got {label(times)}"
        try:
            base = self._base(request)
        except ValueError as error:
            yield f"base: {error}"
            return
        if (entry := self._scheduler_of(base)) is not None:
            within = self._within(request, base)
            texts = list(entry.argument_problems(base.arguments)) or list(entry.value_problems(within))
            yield from (f"base: {text}" for text in texts)

    def problems(self, request: ScheduleRequest) -> Iterator[Problem]:
        yield from super().problems(request)
        if request.spec.worker_group is not None:
            text = (
                f"{self._called(request)} changes the CPUs and GPUs of trials in one process; a trial with workers"
                f" changes its number of workers itself: {option_ref('workers', 'MIN-MAX')}"
            )
            yield Problem(text, code="conflict", option="scheduler")
        if (inner := self._inner(request)) is None or any(self.value_problems(request)):  # said by `super`
            return
        entry, within = inner
        users = [entry.name] if entry.needs_metric else ["to_best"] if request.arguments.get("to_best") is True else []
        if request.spec.metric is None and isinstance(request.spec.scheduler, Named) and users:
            text = f"required by {users[0]}, which compares trials; give it with {option_ref('mode')}"
            if request.spec.several:
                text = f"{users[0]} inside of {self._called(request)} compares trials by one metric; give a single one"
            yield Problem(text, code="missing", option="metric")
        yield from entry.problems(within)

    def no_repeats(self, request: ScheduleRequest) -> str:
        inner = self._inner(request)
        return inner[0].no_repeats(inner[1]) if inner is not None else ""

    def stops_trials(self, request: ScheduleRequest) -> bool:
        inner = self._inner(request)
        return inner is not None and inner[0].stops_trials(inner[1])

    def notes(self, request: ScheduleRequest) -> Iterator[str]:
        if request.spec.reuse_actors is not False:
            yield f"{self._called(request)} starts a new process for each trial, and whenever its resources change"

    def make(self, request: ScheduleRequest) -> Any:
        from ray.tune.schedulers import ResourceChangingScheduler
        from ray.tune.schedulers.resource_changing_scheduler import DistributeResources, DistributeResourcesToTopJob

        inner, arguments = self._inner(request), request.arguments
        assert inner is not None  # checked before the start
        distribute = DistributeResourcesToTopJob if arguments.get("to_best") else DistributeResources
        given = {name: arguments[name] for name in _DISTRIBUTE if name in arguments}
        return ResourceChangingScheduler(inner[0].make(inner[1]), distribute(add_bundles=False, **given))

    def _base(self, request: ScheduleRequest) -> Named:
        """Return the scheduler inside, as the user's argument names it.

        Raises:
            ValueError: it is none that may be there.
        """
        value = request.arguments.get("base", "fifo")
        base = value if isinstance(value, Named) else parse_named(value) if isinstance(value, str) else None
        if base is None or base.name not in self._names:
            hint = did_you_mean(base.name, self._names) if base is not None else ""
            raise ValueError(f"expected {', '.join(self._names)}, got {label(value)}{hint}")
        return base

    def _inner(self, request: ScheduleRequest) -> tuple[Scheduler, ScheduleRequest] | None:
        """Return the entry of the scheduler inside, and what it is created for; None if it is not known."""
        value = request.spec.scheduler
        try:
            base = self._base(request) if isinstance(value, Named) else inner_scheduler(value)
        except ValueError:
            return None
        entry = self._scheduler_of(base)
        return None if entry is None else (entry, self._within(request, base))

    def _within(self, request: ScheduleRequest, base: Any) -> ScheduleRequest:
        return replace(request, spec=replace(request.spec, scheduler=base))
