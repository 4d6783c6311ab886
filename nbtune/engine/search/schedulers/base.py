"""`Scheduler`: what nbtune knows about a scheduler, and how it creates one."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nbtune.engine.search.entry import Entry
from nbtune.engine.search.own_settings import own_unit
from nbtune.errors import Problem, did_you_mean, option_ref
from nbtune.spec.options.named import Named
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space
from nbtune.spec.space.values import is_number, label

__all__ = ["TIME_ATTR", "Limit", "ScheduleRequest", "Scheduler"]

TIME_ATTR = "the entry of the results that counts the time: a metric, training_iteration or time_total_s"
_TUNES_OWN = ("training_iteration", "time_total_s", "time_since_restore", "iterations_since_restore", "timestamp")
"""The entries of a result that increase and that Tune adds to each."""


@dataclass(frozen=True)
class ScheduleRequest:
    """What a scheduler is created for.

    Attributes:
        spec: the options.
        space: the search space.
        checkpoints: whether the trials may save checkpoints, as far as their source shows.
        reported: the metrics that they report; None if their source does not show all.
    """

    spec: Spec
    space: Space
    checkpoints: bool = True
    reported: tuple[str, ...] | None = None

    @property
    def named(self) -> Any:
        """The scheduler; with several objectives without `metric` and `mode`, the one that it compares trials by."""
        value = self.spec.scheduler
        if not isinstance(value, Named) or not self.spec.several:
            return value
        others = {name: one for name, one in value.arguments.items() if name not in ("metric", "mode")}
        return Named(value.name, others)

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The user's arguments of the scheduler."""
        return self.named.arguments if isinstance(self.spec.scheduler, Named) else {}


@dataclass(frozen=True)
class Limit:
    """Which numbers an argument takes.

    Attributes:
        low: the least number.
        high: the greatest number.
        is_open: whether `low` itself is not allowed.
        is_whole: whether only whole numbers are.
    """

    low: float = -math.inf
    high: float = math.inf
    is_open: bool = False
    is_whole: bool = False

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with a value, or None.

        Args:
            value: any value.
        """
        if is_number(value) and not isinstance(value, bool) and not math.isnan(value) and value <= self.high:
            fits = value > self.low if self.is_open else value >= self.low
            if fits and (not self.is_whole or value == int(value)):
                return None
        kind = "a whole number" if self.is_whole else "a number"
        above = "above" if self.is_open else "of at least"
        bounds = f" {above} {self.low:g}" if self.low > -math.inf else ""
        bounds += f" and at most {self.high:g}" if self.high < math.inf else ""
        return f"expected {kind}{bounds}, got {label(value)}"


class Scheduler(Entry):
    """A scheduler.

    Attributes:
        defaults: argument -> its value unless the user gives one, where that is not Ray Tune's.
        limits: argument -> which numbers it takes.
        flags: the arguments that are either true or false.
        needs_checkpoints: whether it pauses trials, or copies them, which needs checkpoints.
        new_processes: whether each trial needs a process of its own.
        mutates: whether it changes parameters of trials.
    """

    defaults: ClassVar[Mapping[str, Any]] = {}
    limits: ClassVar[Mapping[str, Limit]] = {}
    flags: ClassVar[tuple[str, ...]] = ()
    needs_checkpoints: ClassVar[bool] = False
    new_processes: ClassVar[bool] = False
    mutates: ClassVar[bool] = False

    @abstractmethod
    def make(self, request: ScheduleRequest) -> Any:
        """Create the scheduler for ``TuneConfig(scheduler=...)``.

        Args:
            request: what for.
        """

    def given(self, request: ScheduleRequest) -> dict[str, Any]:
        """Return the arguments with which it is created: the user's and `defaults`.

        Args:
            request: what for.
        """
        return {**self.defaults, **request.arguments}

    def pauses(self, request: ScheduleRequest) -> bool:
        """Return whether it needs checkpoints, which may depend on its arguments.

        Args:
            request: what for.
        """
        return self.needs_checkpoints

    def can_be_made(self, request: ScheduleRequest) -> bool:
        """Return whether it has what `make` needs beside arguments.

        Args:
            request: what for.
        """
        return True

    def changes_parameters(self, request: ScheduleRequest) -> bool:
        """Return whether it changes parameters of trials, so that the option `mutate` has a meaning.

        Args:
            request: what for.
        """
        return self.mutates

    def no_repeats(self, request: ScheduleRequest) -> str:
        """Return why it cannot be used where each configuration is trained several times; empty if it can.

        Args:
            request: what for.
        """
        return ""

    def stops_trials(self, request: ScheduleRequest) -> bool:
        """Return whether it stops trials that are worse than others.

        Args:
            request: what for.
        """
        return self.needs_metric

    def notes(self, request: ScheduleRequest) -> Iterator[str]:
        """Yield what the user should know about it before the start, one sentence each, without the full stop.

        Args:
            request: what for, without problems.
        """
        yield from ()

    def argument_problems(self, arguments: Mapping[str, Any]) -> Iterator[str]:
        twice = [name for name in ("metric", "mode") if name in arguments]
        for name in twice:
            yield f"{self.name} uses the experiment's own {name}: leave it out here, and give {option_ref(name)}"
        yield from super().argument_problems({name: arguments[name] for name in arguments if name not in twice})

    def problems(self, request: ScheduleRequest) -> Iterator[Problem]:
        """Yield what keeps it from working with these options and this space.

        Args:
            request: what for.
        """
        value, what = request.spec.scheduler, self._called(request)
        if self.pauses(request) and not request.checkpoints:
            text = (
                f"{what} pauses trials or copies them, which go on from their checkpoints, and the code saves none: a"
                " trial would begin again and again. Save one with report(…, checkpoint={…}), and load it with"
                " get_checkpoint()"
            )
            yield Problem(text, code="missing", option="scheduler")
        if not isinstance(value, Named):
            yield from self._unit_problems(request, own_unit(value))
            return
        if self.package_problem() is not None or set(value.arguments) - set(self.accepts(value.arguments)):
            return
        wrong = [f"{self.name}: {text}" for text in self.value_problems(request)]
        yield from (Problem(text, option="scheduler") for text in wrong)
        if not wrong:
            yield from self._unit_problems(request, self.given(request).get("time_attr"))
            try:
                if self.can_be_made(request):
                    self.make(request)
            except Exception as error:  # its own checks
                yield Problem(f"{self.name} does not accept its arguments: {error}", option="scheduler")

    def value_problems(self, request: ScheduleRequest) -> Iterator[str]:
        """Yield what is wrong with the values of the user's arguments, whose names are right.

        Args:
            request: what for.
        """
        for name, value in request.arguments.items():
            if name in self.limits and (text := self.limits[name].problem(value)) is not None:
                yield f"{name}: {text}"
            if name in self.flags and not isinstance(value, bool):
                yield f"{name}: expected True or False, got {label(value)}"
            if name == "time_attr" and not isinstance(value, str):
                yield f"{name}: expected the name of a metric, or training_iteration, got {label(value)}"

    def _unit_problems(self, request: ScheduleRequest, unit: Any) -> Iterator[Problem]:
        """Yield the problem of a `time_attr` that is never reported."""
        if request.reported is None or not isinstance(unit, str) or unit in _TUNES_OWN:
            return
        if not any(unit == name or unit.startswith(f"{name}/") for name in request.reported):
            known = [*request.reported, *_TUNES_OWN]
            text = (
                f"{self._called(request)} measures the time by {unit!r}, which is never reported"
                f"{did_you_mean(unit, known)}; give time_attr another one of {', '.join(known[: len(known) - 3])}"
            )
            yield Problem(text, code="unknown", option="scheduler")

    def _called(self, request: ScheduleRequest) -> str:
        value = request.spec.scheduler
        return self.name if isinstance(value, Named) else type(value).__name__
