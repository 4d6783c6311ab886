"""Search spaces as JSON, and back.

{"parameters": [{"name": "lr", "domain": {"loguniform": {"lower": 0.0001, "upper": 0.1}}, "default": 0.01},
                {"name": "momentum", "domain": {"if": "optimizer == 'sgd'", "then": ..., "else": {"value": null}}}],
 "require": ["batch_size * workers <= 1024"]}
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

from nbtune.errors import Problem, SpecError
from nbtune.spec.space.domain import MISSING, SPACE_FUNCTIONS, Conditional, Domain
from nbtune.spec.space.expression import Expression, safe_expression
from nbtune.spec.space.space import Constraint, Parameter, Space, top_level
from nbtune.spec.space.values import label

__all__ = ["Named", "space_from_json", "space_to_json"]


class Named:
    """Stands for an object of which only its name was kept.

    Args:
        name: its name, or how it looked.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def space_to_json(space: Space, *, names: bool = False) -> dict[str, Any]:
    """Return a space as what `json.dumps` takes.

    Args:
        space: the space.
        names: whether of objects that JSON has nothing for (classes, functions) the names are kept.

    Raises:
        SpecError: there are such objects, and their names are not to be kept.
    """
    problems: list[Problem] = []

    def other(value: Any) -> Any:
        if not names:
            problems.append(Problem(f"{name}: {label(value)} ({type(value).__name__}) cannot be kept as JSON"))
        return {"name": label(value)}

    parameters = []
    for parameter in space.parameters:
        name = parameter.name
        entry = {"name": name, "domain": _domain_to_json(parameter.domain, other)}
        if parameter.default is not MISSING:
            entry["default"] = _value_to_json(parameter.default, other)
        parameters.append(entry)
    for constraint in space.constraints:
        name = str(constraint)
        _captured(constraint.test, other)
    if problems:
        raise SpecError(problems)
    return {"parameters": parameters, "require": [constraint.test.text for constraint in space.constraints]}


def space_from_json(data: Mapping[str, Any], *, show: bool = False) -> Space:
    """Return the space that `space_to_json` has written. Its expressions may compute, but call nothing else.

    Args:
        data: what it has written.
        show: whether an expression that could do more is kept to be shown, not refused.

    Raises:
        SpecError: it is no such JSON, or an expression in it could do more than compute.
    """
    try:
        names = {top_level(entry["name"]) for entry in data["parameters"]}
        read = functools.partial(safe_expression, parameters=names, show=show)
        parameters = tuple(
            Parameter(
                str(entry["name"]),
                _domain_from_json(entry["domain"], read),
                _value_from_json(entry["default"], read) if "default" in entry else MISSING,
            )
            for entry in data["parameters"]
        )
        constraints = tuple(Constraint(read(text)) for text in data.get("require", []))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SpecError([f"this is no search space as JSON: {type(error).__name__}: {error}"]) from error
    return Space(parameters, constraints)


Other = Callable[[Any], Any]
Read = Callable[[str], Expression]


def _captured(expression: Expression, other: Other) -> str:
    for value in expression.values.values():
        other(value)
    return expression.text


def _domain_to_json(domain: Any, other: Other) -> dict[str, Any]:
    if isinstance(domain, Conditional):
        return {
            "if": _captured(domain.test, other),
            "then": _domain_to_json(domain.then, other),
            "else": _domain_to_json(domain.otherwise, other),
        }
    if isinstance(domain, Domain) and domain.kind != "custom":
        return {domain.kind: {name: _value_to_json(value, other) for name, value in domain.arguments.items()}}
    return {"value": _value_to_json(domain, other)}


def _domain_from_json(data: Mapping[str, Any], read: Read) -> Any:
    if "if" in data:
        parts = (_domain_from_json(data[part], read) for part in ("then", "else"))
        return Conditional(read(data["if"]), *parts)
    ((kind, arguments),) = data.items()
    if kind == "value":
        return _value_from_json(arguments, read)
    if kind not in SPACE_FUNCTIONS:
        raise ValueError(f"there is no space function {kind!r}")
    return Domain.call(kind, **{name: _value_from_json(value, read) for name, value in arguments.items()})


def _value_to_json(value: Any, other: Other) -> Any:
    if isinstance(value, Expression):
        return {"expression": _captured(value, other)}
    if isinstance(value, Named):
        return {"name": value.name}
    if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
        return value
    if type(value) is float:
        return {"float": repr(value)}
    if type(value) is list:
        return [_value_to_json(item, other) for item in value]
    if type(value) is tuple:
        return {"tuple": [_value_to_json(item, other) for item in value]}
    if type(value) is dict:
        return {"dict": [[_value_to_json(part, other) for part in pair] for pair in value.items()]}
    return other(value)


def _value_from_json(data: Any, read: Read) -> Any:
    if isinstance(data, list):
        return [_value_from_json(item, read) for item in data]
    if not isinstance(data, Mapping):
        return data
    ((kind, value),) = data.items()
    kinds: dict[str, Callable[[], Any]] = {
        "expression": lambda: read(value),
        "name": lambda: Named(value),
        "float": lambda: float(value),
        "tuple": lambda: tuple(_value_from_json(item, read) for item in value),
        "dict": lambda: {_value_from_json(key, read): _value_from_json(item, read) for key, item in map(tuple, value)},
    }
    return kinds[kind]()
