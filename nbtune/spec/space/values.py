"""Values of parameters: how they are shown, and when two are the same."""

from __future__ import annotations

from typing import Any

__all__ = ["label", "literal", "same"]


def label(value: Any) -> str:
    """Return a short text for any value: a class or function by its name, the rest by `repr`."""
    name = getattr(value, "__name__", None)
    try:
        text = name if isinstance(name, str) and callable(value) else repr(value)
    except Exception as error:  # whatever shows an experiment must be able to
        text = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= 60 else text[:57] + "..."


def literal(value: Any) -> str:
    """Return a value as Python source that is not shortened: a class or function by its name."""
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) and callable(value) else repr(value)


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same: 1, 1.0 and True are not; NaN is itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    try:
        return one is other or bool(one == other) or bool(one != one and other != other)
    except Exception:  # arrays, and whatever cannot be compared
        return False
