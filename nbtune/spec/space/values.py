"""Values of parameters: formatting and comparison."""

from __future__ import annotations

import math
from typing import Any

from nbtune.bad_input import shortened
from nbtune.shown import shown

__all__ = ["is_finite", "is_number", "is_plain", "label", "literal", "same"]


def label(value: Any) -> str:
    """Return a text of at most 60 characters for a value.

    Args:
        value: any value. A class or function is shown by its name, a scalar of NumPy's as a number, other values by
            `repr`.
    """
    try:
        name = getattr(value, "__name__", None)
        if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
            value = value.item()
        text = shown(name if isinstance(name, str) and callable(value) else repr(value))
    except Exception as error:  # an experiment must be displayable even if a `repr` fails
        text = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return shortened(text)


def literal(value: Any) -> str:
    """Return a value as Python source of any length.

    Args:
        value: any value. A class or function is written by its name, other values by `repr`.
    """
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) and callable(value) else repr(value)


def same(one: Any, other: Any) -> bool:
    """Tell whether two values have the same type and are equal; NaN equals NaN.

    Args:
        one: any value.
        other: any value.
    """
    if type(one) is not type(other):
        return False
    try:
        if isinstance(one, (list, tuple)):
            return len(one) == len(other) and all(map(same, one, other))
        if isinstance(one, dict):
            return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
        equal = one == other
        if hasattr(equal, "shape") and hasattr(one, "dtype"):  # arrays and tensors
            return one.shape == other.shape and one.dtype == other.dtype and bool(equal.all())
        return one is other or bool(equal) or bool(one != one and other != other)
    except Exception:  # objects that cannot be compared
        return False


def is_plain(value: Any) -> bool:
    """Tell whether a value is None, a bool, a number or text of Python's own types, not of a subclass.

    Args:
        value: any value.
    """
    return value is None or type(value) in (bool, int, float, str)


def is_number(value: Any) -> bool:
    """Tell whether a value is a scalar number, also one of NumPy's or a bool.

    Args:
        value: any value.
    """
    try:
        return hasattr(value, "__float__") and getattr(value, "ndim", 0) == 0
    except Exception:  # an attribute of the user's class
        return False


def is_finite(value: Any) -> bool:
    """Tell whether a number is finite and not above the largest float.

    Args:
        value: a number.
    """
    try:
        return math.isfinite(value)
    except Exception:  # OverflowError, or the `__float__` of the user's class
        return False
