"""Checks of the user's objects before the start: search algorithms, schedulers, stop conditions, parts of the space.

They are sent to the driver, and Ray Tune's have metrics of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nbtune.bad_input import too_large
from nbtune.engine.search.own_settings import compares_trials, has_own_space, own_metric, own_mode
from nbtune.errors import Problem, option_ref
from nbtune.spec.options.named import Named
from nbtune.spec.options.options import Spec
from nbtune.spec.plan.shape import TrialResources
from nbtune.spec.space.domain import Domain, alternatives
from nbtune.spec.space.space import Parameter, Space
from nbtune.spec.space.values import is_plain, label

__all__ = ["check_objects", "given_objects"]

_OPTIONS = {
    "search": "the search algorithm",
    "scheduler": "the scheduler",
    "stop": "the stop condition",
    "callbacks": "the callback",
    "resources": "the function",
    "trial_name_creator": "the function",
    "trial_dirname_creator": "the function",
}


def given_objects(spec: Spec, space: Space) -> Iterator[Any]:
    """Yield the objects and functions that the user has given, each with its classes, to find their source.

    Args:
        spec: the options.
        space: the search space.
    """
    values = [value for name in _OPTIONS for value in _each(spec, name)]
    values += [
        part.arguments["func"]
        for parameter in space.parameters
        for part in alternatives(parameter.domain)
        if isinstance(part, Domain) and part.kind == "sample_from"
    ]
    for value in values:
        yield value
        yield from type(value).__mro__
        yield from type(getattr(value, "searcher", None)).__mro__  # of a `ConcurrencyLimiter`


def _each(spec: Spec, name: str) -> list[Any]:
    """Return the objects and functions of an option."""
    value = getattr(spec, name)
    if isinstance(value, Named):
        return list(value.arguments.values())
    if isinstance(value, TrialResources):
        return [value.function]
    if value is None or name == "resources":
        return []
    return list(value) if name == "callbacks" else [value]


def check_objects(spec: Spec, space: Space, problems: list[Problem]) -> None:
    """Check that the user's objects can be sent to the driver, and that their metrics are the experiment's.

    Args:
        spec: the options.
        space: the search space.
        problems: receives the problems.
    """
    for name, what in _OPTIONS.items():
        given = getattr(spec, name)
        for value in _each(spec, name):
            if (reason := _unpicklable(value)) is not None:
                text = _not_sent(f"{what} {_name(given if isinstance(given, Named) else value)}", reason)
                problems += [Problem(text, code="unpicklable", option=name)]
        if name in ("search", "scheduler") and not (isinstance(given, Named) and not given.arguments):
            problems += _conflicts(spec, space, name, given)
    for parameter in space.parameters:
        problems += _large_parts(parameter)
        problems += _unpicklable_parts(parameter)
    for constraint in space.constraints:
        if (reason := _unpicklable(constraint.test)) is not None:
            problems.append(Problem(_not_sent(str(constraint), reason), constraint.line, "unpicklable"))


def _values(parameter: Parameter) -> list[Any]:
    """Return the values that a parameter's domain names: a constant, choices, bounds."""
    values = []
    for part in alternatives(parameter.domain):
        if isinstance(part, Domain):
            values += [value for argument in part.arguments.values() for value in _listed(argument)]
        else:
            values.append(part)
    return values


def _large_parts(parameter: Parameter) -> Iterator[Problem]:
    for value in _values(parameter):
        if (reason := too_large(value)) is not None:
            text = f"has {reason}. Give a smaller value, or text from which the trial makes it"
            yield Problem(text, parameter.line, parameter=parameter.name)
            return


def _unpicklable_parts(parameter: Parameter) -> Iterator[Problem]:
    if (reason := _unpicklable(parameter.domain)) is None:
        return
    for value in _values(parameter):
        if not is_plain(value) and (own := _unpicklable(value)) is not None:
            text = _not_sent(f"{label(value)} ({_name(value)})", own)
            yield Problem(text, parameter.line, "unpicklable", parameter=parameter.name)
            return
    yield Problem(_not_sent(label(parameter.domain), reason), parameter.line, "unpicklable", parameter=parameter.name)


def _listed(argument: Any) -> list[Any]:
    return argument if isinstance(argument, list) else [argument]


def _name(value: Any) -> str:
    if isinstance(value, Named):
        return value.name
    return str(getattr(value, "__name__", type(value).__qualname__))


def _not_sent(what: str, reason: str) -> str:
    return f"{what} cannot be sent to the driver, which is a process of its own: {reason}"


def _unpicklable(value: Any) -> str | None:
    """Return why a value cannot be pickled and unpickled, or None if it can."""
    import ray.cloudpickle as cloudpickle

    try:
        cloudpickle.loads(cloudpickle.dumps(value))
    except Exception as error:  # a `__reduce__` or `__setstate__` of the user may raise anything
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return None


def _conflicts(spec: Spec, space: Space, name: str, value: Any) -> Iterator[Problem]:
    """Yield what an object's own metric, mode or space contradicts."""
    own = {"metric": own_metric(value), "mode": own_mode(value)}
    several = {"metric": [one.metric for one in spec.several], "mode": [one.mode for one in spec.several]}
    for option, created in own.items():
        if spec.several and name == "scheduler":  # it compares trials by one of them, or by another metric
            break
        given = several[option] if spec.several else getattr(spec, option)
        if created is not None and given is not None and created != given:
            text = (
                f"{_name(value)} was created with {option}={created!r}, but {option_ref(option)} is {given!r}; leave"
                f" {option}=… out where it is created" + _instead(option, created)
            )
            yield Problem(text, code="conflict", option=name)
    if own["metric"] is None and not spec.objectives and compares_trials(value):
        text = f"required by {_name(value)}, which compares trials; give it with {option_ref('mode')}"
        yield Problem(text, code="missing", option="metric")
    if not has_own_space(value):
        return
    if own["metric"] is None and compares_trials(value):
        text = f"{_name(value)} was created with a space, so it needs metric=… and mode=… there as well"
        yield Problem(text, code="missing", option=name)
    if sampled := [parameter.name for parameter in space.parameters if isinstance(parameter.domain, Domain)]:
        text = (
            f"{_name(value)} was created with a space of its own, so it would not sample {', '.join(sampled)}; declare"
            " parameters in one of the two places only"
        )
        yield Problem(text, code="conflict", option=name)


def _instead(option: str, created: Any) -> str:
    return f", or give {option_ref(option, created)}" if isinstance(created, str) else ""
