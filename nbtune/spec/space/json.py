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

__all__ = ["NamedObject", "space_from_json", "space_to_json"]


class NamedObject:
    """A placeholder for an object that cannot be stored as JSON.

    Args:
        name: the name of the object, or its `repr`.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedObject) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def space_to_json(space: Space, *, keep_names: bool = False) -> dict[str, Any]:
    """Convert a space to a dictionary for `json.dumps`.

    Args:
        space: the space.
        keep_names: whether to store the names of objects that JSON cannot represent (classes, functions), which
            `space_from_json` returns as `NamedObject`.

    Raises:
        SpecError: the space has such objects, and `keep_names` is false.
    """
    problems: list[Problem] = []

    def encode_object(value: Any) -> Any:
        if not keep_names:
            problems.append(Problem(f"{name}: {label(value)} ({type(value).__name__}) cannot be stored as JSON"))
        return {"name": label(value)}

    parameters = []
    for parameter in space.parameters:
        name = parameter.name
        entry = {"name": name, "domain": _domain_to_json(parameter.domain, encode_object)}
        if parameter.default is not MISSING:
            entry["default"] = _value_to_json(parameter.default, encode_object)
        parameters.append(entry)
    for constraint in space.constraints:
        name = str(constraint)
        _expression_to_json(constraint.test, encode_object)
    if problems:
        raise SpecError(problems)
    return {"parameters": parameters, "require": [constraint.test.text for constraint in space.constraints]}


def space_from_json(data: Mapping[str, Any], *, display_only: bool = False) -> Space:
    """Return the space for a dictionary from `space_to_json`.

    Args:
        data: the dictionary, which may come from an untrusted source.
        display_only: whether to return unsafe expressions as `DisplayOnlyExpression` instead of raising.

    Raises:
        SpecError: the dictionary has another format, or an expression is unsafe.
    """
    try:
        names = {top_level(entry["name"]) for entry in data["parameters"]}
        read = functools.partial(safe_expression, parameters=names, display_only=display_only)
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
        raise SpecError(
            [f"expected a search space as JSON, as Space.to_json returns it: {type(error).__name__}: {error}"]
        ) from error
    return Space(parameters, constraints)


ObjectEncoder = Callable[[Any], Any]
ExpressionReader = Callable[[str], Expression]


def _expression_to_json(expression: Expression, encode_object: ObjectEncoder) -> str:
    """Return the source of an expression, and encode the variables of the notebook that it uses."""
    for value in expression.values.values():
        encode_object(value)
    return expression.text


def _domain_to_json(domain: Any, encode_object: ObjectEncoder) -> dict[str, Any]:
    if isinstance(domain, Conditional):
        return {
            "if": _expression_to_json(domain.test, encode_object),
            "then": _domain_to_json(domain.then, encode_object),
            "else": _domain_to_json(domain.otherwise, encode_object),
        }
    if isinstance(domain, Domain) and domain.kind != "custom":
        return {domain.kind: {name: _value_to_json(value, encode_object) for name, value in domain.arguments.items()}}
    return {"value": _value_to_json(domain, encode_object)}


def _domain_from_json(data: Mapping[str, Any], read: ExpressionReader) -> Any:
    if "if" in data:
        parts = (_domain_from_json(data[part], read) for part in ("then", "else"))
        return Conditional(read(data["if"]), *parts)
    ((kind, arguments),) = data.items()
    if kind == "value":
        return _value_from_json(arguments, read)
    if kind not in SPACE_FUNCTIONS:
        raise ValueError(f"unknown space function {kind!r}")
    return Domain.call(kind, **{name: _value_from_json(value, read) for name, value in arguments.items()})


def _value_to_json(value: Any, encode_object: ObjectEncoder) -> Any:
    if isinstance(value, Expression):
        return {"expression": _expression_to_json(value, encode_object)}
    if isinstance(value, NamedObject):
        return {"name": value.name}
    if isinstance(value, Domain):  # a value of a choice or grid
        return {"domain": _domain_to_json(value, encode_object)}
    if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
        return value
    if type(value) is float:
        return {"float": repr(value)}
    if type(value) is list:
        return [_value_to_json(item, encode_object) for item in value]
    if type(value) is tuple:
        return {"tuple": [_value_to_json(item, encode_object) for item in value]}
    if type(value) is dict:
        return {"dict": [[_value_to_json(part, encode_object) for part in pair] for pair in value.items()]}
    return encode_object(value)


def _value_from_json(data: Any, read: ExpressionReader) -> Any:
    if isinstance(data, list):
        return [_value_from_json(item, read) for item in data]
    if not isinstance(data, Mapping):
        return data
    ((kind, value),) = data.items()
    kinds: dict[str, Callable[[], Any]] = {
        "expression": lambda: read(value),
        "domain": lambda: _domain_from_json(value, read),
        "name": lambda: NamedObject(value),
        "float": lambda: float(value),
        "tuple": lambda: tuple(_value_from_json(item, read) for item in value),
        "dict": lambda: {_value_from_json(key, read): _value_from_json(item, read) for key, item in map(tuple, value)},
    }
    return kinds[kind]()
