"""Durations, sizes and key=value lists as a person writes them on a magic line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

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
    rest = number[:-1]  # the "0" above only ends the last unit
    if rest:
        parts.append((float(rest), ""))
    return parts


def parse_duration(value: Any) -> float:
    """Return seconds for ``90``, ``"90"``, ``"90s"``, ``"30m"``, ``"1h30m"`` or a ``timedelta``.

    Raises:
        ValueError: it is none of these, or not above zero.
    """
    message = f"{value!r} is no duration; write seconds, or '90s', '30m', '1h30m', '2d'"
    try:
        if hasattr(value, "total_seconds"):
            seconds = float(value.total_seconds())
        elif isinstance(value, str):
            parts = _numbers_and_units(value)
            seconds = sum(n * _SECONDS[unit or "s"] for n, unit in parts) if parts else math.nan
        else:
            seconds = math.nan if isinstance(value, bool) else float(value)
    except (KeyError, TypeError, ValueError):
        raise ValueError(message) from None
    if not 0 < seconds < math.inf:
        raise ValueError(message)
    return seconds


def parse_size(value: Any) -> int:
    """Return bytes for ``1024``, ``"500MB"`` or ``"2GiB"``.

    Raises:
        ValueError: it is none of these, or not above zero.
    """
    message = f"{value!r} is no size; write bytes, or '500MB', '2GiB'"
    try:
        if isinstance(value, str):
            ((number, unit),) = _numbers_and_units(value)
            size = number * _BYTES[unit or "b"]
        else:
            size = math.nan if isinstance(value, bool) else float(value)
    except (KeyError, TypeError, ValueError):
        raise ValueError(message) from None
    if not 1 <= size < math.inf:
        raise ValueError(message)
    return int(size)


def parse_pairs(value: Any) -> dict[str, float]:
    """Return a dictionary for one, or for ``"safe_node=1,special=0.5"``.

    Raises:
        ValueError: a part is not NAME=NUMBER.
    """
    message = f"{value!r} is not NAME=NUMBER, or several joined by commas"
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
    except (TypeError, ValueError):
        raise ValueError(message) from None


def _number(value: Any) -> float:
    number = float(value)
    return int(number) if number.is_integer() else number


def format_duration(seconds: float) -> str:
    """Return ``"0:09"``, ``"1:12"`` or ``"2:03:04"``."""
    whole = int(seconds)
    minutes, hours = whole // 60 % 60, whole // 3600
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def format_size(size: float) -> str:
    """Return ``"312 B"``, ``"1.5 MB"`` or ``"2.0 GB"`` (powers of ten, as file managers show)."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
