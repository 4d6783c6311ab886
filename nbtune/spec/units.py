"""Durations, sizes and ``NAME=NUMBER`` lists: from and to the text of a magic line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nbtune.spec.space.values import label

__all__ = ["format_duration", "format_size", "parse_duration", "parse_pairs", "parse_size"]

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


def _numbers_and_units(text: str) -> list[tuple[float, str]]:
    """Split ``"1h30m"`` into ``[(1.0, "h"), (30.0, "m")]``."""
    parts: list[tuple[float, str]] = []
    number = unit = ""
    for character in text.replace(" ", "").lower() + "0":
        if character.isdigit() or character == ".":
            if unit:
                parts.append((float(number), unit))
                number = unit = ""
            number += character
        else:
            unit += character
    without_unit = number[:-1]  # the "0" above only ends the last unit
    if without_unit:
        parts.append((float(without_unit), ""))
    return parts


def parse_duration(value: Any) -> float:
    """Return a duration in seconds.

    Args:
        value: ``90``, ``"90"``, ``"90s"``, ``"30m"``, ``"1h30m"``, ``"2d"`` or a ``timedelta``.

    Raises:
        ValueError: it is none of these, or not positive.
    """
    message = f"expected a duration > 0: seconds, or '90s', '30m', '1h30m', '2d'; got {label(value)}"
    try:
        if hasattr(value, "total_seconds"):
            seconds = float(value.total_seconds())
        elif isinstance(value, str):
            parts = _numbers_and_units(value)
            seconds = sum(n * _SECONDS[unit or "s"] for n, unit in parts) if parts else math.nan
        else:
            seconds = math.nan if isinstance(value, bool) else float(value)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(message) from None
    if not 0 < seconds < math.inf:
        raise ValueError(message)
    return seconds


def parse_size(value: Any) -> int:
    """Return a size in bytes.

    Args:
        value: ``1024``, ``"500MB"`` (powers of 1000) or ``"2GiB"`` (powers of 1024).

    Raises:
        ValueError: it is none of these, or less than one byte.
    """
    message = f"expected a size > 0: bytes, or '500MB', '2GiB'; got {label(value)}"
    try:
        if isinstance(value, str):
            ((number, unit),) = _numbers_and_units(value)
            size = number * _BYTES[unit or "b"]
        else:
            size = math.nan if isinstance(value, bool) else float(value)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(message) from None
    if not 1 <= size < math.inf:
        raise ValueError(message)
    return int(size)


def parse_pairs(value: Any) -> dict[str, float]:
    """Return a dictionary, name -> number.

    Args:
        value: such a dictionary, or its text: ``"safe_node=1,special=0.5"``.

    Raises:
        ValueError: a part is not NAME=NUMBER.
    """
    message = f"expected NAME=NUMBER,…, got {label(value)}"
    if isinstance(value, Mapping):
        pairs = [(str(name), number) for name, number in value.items()]
    elif isinstance(value, str):
        pairs = []
        for part in value.split(","):
            name, equals, number = part.partition("=")
            if not (name.strip() and equals):
                raise ValueError(message)
            pairs.append((name.strip(), number))
    else:
        raise ValueError(message)
    try:
        return {name: _number(number) for name, number in pairs}
    except (TypeError, ValueError, OverflowError):
        raise ValueError(message) from None


def _number(value: Any) -> float:
    number = float(value)
    return int(number) if number.is_integer() else number


def format_duration(seconds: float) -> str:
    """Return a duration as text: ``"0:09"``, ``"1:12"`` or ``"2:03:04"``.

    Args:
        seconds: the duration; fractions of a second are cut off.
    """
    total = int(seconds)
    minutes, hours = total // 60 % 60, total // 3600
    return f"{hours}:{minutes:02}:{total % 60:02}" if hours else f"{minutes}:{total % 60:02}"


def format_size(size: float) -> str:
    """Return a size as text: ``"312 B"``, ``"1.5 MB"`` or ``"2.0 GB"``.

    Args:
        size: the size in bytes; the units are powers of 1000.
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
