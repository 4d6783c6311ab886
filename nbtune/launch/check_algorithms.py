"""Checks of the search algorithm and the scheduler before the start: packages, arguments, and what they can search."""

from __future__ import annotations

import dataclasses
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nbtune.engine.search.algorithms.base import Algorithm
from nbtune.engine.search.entry import Entry
from nbtune.engine.search.make import make_search
from nbtune.engine.search.optuna_space import inner_problem
from nbtune.engine.search.own_settings import has_own_space
from nbtune.engine.search.registry import ALGORITHMS, SCHEDULERS, algorithm_of, scheduler_of
from nbtune.engine.search.schedulers.base import Scheduler, ScheduleRequest
from nbtune.errors import Problem, did_you_mean, option_ref
from nbtune.launch.check_objectives import check_objectives
from nbtune.launch.check_repeats import repeat_notes, repeat_problems
from nbtune.spec.options.named import Named
from nbtune.spec.options.options import Spec
from nbtune.spec.space.domain import Domain, alternatives, inner_domains
from nbtune.spec.space.space import Parameter, Space

__all__ = ["check_algorithms"]


def check_algorithms(
    spec: Spec,
    space: Space,
    problems: list[Problem],
    *,
    checkpoints: bool = True,
    reported: tuple[str, ...] | None = None,
) -> tuple[str, ...]:
    """Check the search algorithm and the scheduler, for themselves and with the space and the code.

    Args:
        spec: the options.
        space: the search space.
        problems: receives the problems.
        checkpoints: whether the trials may save checkpoints.
        reported: the metrics that they report; None if not all are known.

    Returns:
        Notes on the repeats and the scheduler, one sentence each, if there are no problems.
    """
    before = len(problems)
    search, scheduler = algorithm_of(spec.search), scheduler_of(spec.scheduler)
    problems += _entry_problems("search", spec.search, search)
    if len(problems) == before:
        problems += _value_problems(spec, space, search)
    problems += _entry_problems("scheduler", ScheduleRequest(spec, space).named, scheduler)
    problems += check_objectives(spec, search, scheduler)
    problems += _pair_problems(spec, search, scheduler)
    problems += _parameter_problems(spec, space, search)
    problems += _point_problems(spec, space)
    request = ScheduleRequest(spec, space, checkpoints, reported)
    if scheduler is not None:
        problems += scheduler.problems(request)
    problems += _mutate_problems(request, scheduler)
    problems += repeat_problems(request, scheduler)
    if len(problems) > before:
        return ()
    return (*repeat_notes(request, scheduler), *(() if scheduler is None else scheduler.notes(request)))


def _mutate_problems(request: ScheduleRequest, scheduler: Scheduler | None) -> Iterator[Problem]:
    if request.spec.mutate is not None and (scheduler is None or not scheduler.changes_parameters(request)):
        users = " or ".join(option_ref("scheduler", name) for name, entry in SCHEDULERS.items() if entry.mutates)
        text = f"only for a scheduler that changes the parameters of running trials; give {users}, or leave it out"
        yield Problem(text, code="conflict", option="mutate")


def _entry_problems(option: str, value: Any, entry: Entry | None) -> Iterator[Problem]:
    if entry is None:
        return
    arguments = value.arguments if isinstance(value, Named) else {}
    if (text := entry.package_problem(arguments)) is not None:
        yield Problem(text, code="missing", option=option)
    elif arguments:
        for text in entry.argument_problems(arguments):
            yield Problem(text, code="unknown", option=option)


def _value_problems(spec: Spec, space: Space, search: Algorithm | None) -> Iterator[Problem]:
    """Yield what a library says about the values of the user's arguments, whose names are right."""
    arguments = spec.search.arguments if isinstance(spec.search, Named) else {}
    if search is None or not arguments or "storage" in arguments:  # a study in storage would be changed
        return
    if any(search.problem(parameter) for parameter in space.parameters) or space.problems():
        return
    try:
        with _same_random_numbers():
            make_search(dataclasses.replace(spec, points=()), space).algorithm.suggest("check")
    except Exception as error:  # of the library
        text = f"{search.name} does not accept its arguments: {type(error).__name__}: {error}"
        yield Problem(text, option="search")


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Leave the notebook's random numbers as they are: some libraries seed the generators that all share."""
    states = random.getstate(), np.random.get_state()
    torch = sys.modules.get("torch")
    torch_state = None if torch is None else torch.random.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        if torch is not None:
            torch.random.set_rng_state(torch_state)


def _pair_problems(spec: Spec, search: Algorithm | None, scheduler: Entry | None) -> Iterator[Problem]:
    """Yield what is wrong with a search algorithm or scheduler that works with one other only."""
    if search is not None and search.partner is not None and (scheduler is None or scheduler.name != search.partner):
        text = (
            f"{_called(spec.scheduler)} cannot be used by {_called(spec.search)}, which works with"
            f" {option_ref('scheduler', search.partner)} only"
        )
        yield Problem(text, code="conflict", option="scheduler")
    if scheduler is not None and scheduler.partner is not None and (search is None or search.name != scheduler.partner):
        text = (
            f"{_called(spec.search)} cannot be used by {_called(spec.scheduler)}, which works with"
            f" {option_ref('search', scheduler.partner)} only"
        )
        yield Problem(text, code="conflict", option="search")


def _called(value: Any) -> str:
    return value.name if isinstance(value, Named) else type(value).__name__


def _parameter_problems(spec: Spec, space: Space, search: Algorithm | None) -> Iterator[Problem]:
    """Yield what the search algorithm does not support in the space, a problem for each parameter."""
    if not isinstance(spec.search, Named) and has_own_space(spec.search):
        return  # that space is checked by the library
    for parameter in space.parameters:
        text = _object_problem(_called(spec.search), parameter) if search is None else search.problem(parameter)
        if text:
            others = [name for name, other in ALGORITHMS.items() if other.problem(parameter) is None]
            searched = f". It is searched by {', '.join(others)}" if others else ""
            message = f"{parameter.domain!r} is not searched by {_called(spec.search)}: {text}{searched}"
            yield Problem(message, parameter.line, "unsupported", parameter=parameter.name)


def _object_problem(name: str, parameter: Parameter) -> str | None:
    parts = [part for part in alternatives(parameter.domain) if isinstance(part, Domain)]
    if any(len(list(inner_domains(part))) > 1 for part in parts):
        return inner_problem(name)
    return "a parameter that depends on others is not supported" if parameter.depends else None


def _point_problems(spec: Spec, space: Space) -> Iterator[Problem]:
    for point in spec.points:
        for name in point:
            if name not in space.names:
                text = f"unknown parameter {name!r}{did_you_mean(name, space.names)}; the parameters are"
                yield Problem(f"{text} {', '.join(space.names)}", code="unknown", option="points")
