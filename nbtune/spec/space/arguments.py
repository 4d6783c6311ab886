"""The arguments of space functions: which numbers are allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbtune.errors import Code
from nbtune.spec.space.values import is_finite, is_number, label

__all__ = ["InvalidArgument", "invalid_number", "number_problem"]


@dataclass(frozen=True)
class InvalidArgument:
    """An argument of a space function that is not allowed.

    Attributes:
        name: the argument's name.
        message: what is allowed and what was given, without the argument's name.
        code: what kind of mistake it is.
    """

    name: str
    message: str
    code: Code = "invalid"


def number_problem(kind: str, value: Any) -> str | None:
    """Return what is wrong with an argument that must be a number, or None.

    Args:
        kind: the space function.
        value: the argument's value.
    """
    if isinstance(value, bool) or not is_number(value) or not is_finite(value):
        return f"expected a finite number, got {label(value)}"
    if "int" in kind:
        try:
            is_integer = bool(int(value) == value)
        except Exception:  # a number of the user's own class
            is_integer = False
        return None if is_integer else f"expected an integer, got {label(value)}"
    return None


def invalid_number(kind: str, given: Mapping[str, Any], names: Mapping[str, str]) -> InvalidArgument | None:
    """Return the first number that is out of range, or does not go together with another one; None if all are allowed.

    Args:
        kind: the space function.
        given: argument -> number, for all of its arguments.
        names: argument -> what the message calls it.
    """
    try:
        return _invalid_number(kind, given, names)
    except Exception as error:  # numbers of the user's own class, or of two types that cannot be compared
        return InvalidArgument(next(iter(given)), f"cannot be compared: {type(error).__name__}: {error}")


def _invalid_number(kind: str, given: Mapping[str, Any], names: Mapping[str, str]) -> InvalidArgument | None:
    if "lower" in given:
        if given["lower"] >= given["upper"]:
            message = f"must be less than {names['upper']} ({label(given['upper'])}), got {label(given['lower'])}"
            return InvalidArgument("lower", message)
        if "log" in kind and given["lower"] <= 0:
            return InvalidArgument("lower", f"must be > 0 in a log space, got {label(given['lower'])}")
    for name in ("q", "sd"):
        if name in given and given[name] <= 0:
            return InvalidArgument(name, f"must be > 0, got {label(given[name])}")
    if "q" in given and "lower" in given and "int" not in kind:
        for name in ("lower", "upper"):
            steps = given[name] / given["q"]
            if not math.isclose(steps, round(steps)):
                message = f"must be a multiple of {names['q']} ({label(given['q'])}), got {label(given[name])}"
                return InvalidArgument(name, message)
    return None
