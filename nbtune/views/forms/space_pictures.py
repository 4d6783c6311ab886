"""Histograms of a parameter's samples: the heights of the bars, and a description."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from nbtune.spec.space.domain import Domain, alternatives
from nbtune.spec.space.space import Space
from nbtune.spec.space.values import label, same
from nbtune.views.text import number

__all__ = ["pictures"]

_BARS = 24
_MAX_INTEGERS = 24  # so many different integers have a bar each


def pictures(space: Space, columns: dict[str, Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """Return the histogram of each parameter.

    Args:
        space: the space.
        columns: parameter -> its samples; None where its condition is false.

    Returns:
        Parameter -> `counts`, the heights of the bars; `labels`, their values, or None for intervals; `none`, the
        number of samples without a value; `text`, a description.
    """
    return {
        parameter.name: _picture(parameter.domain, columns[parameter.name])
        for parameter in space.parameters
        if parameter.name in columns
    }


def _picture(domain: Any, samples: Sequence[Any]) -> dict[str, Any]:
    parts = [part for part in alternatives(domain) if isinstance(part, Domain)]
    present = [value for value in samples if value is not None and not (isinstance(value, float) and math.isnan(value))]
    none = len(samples) - len(present)
    numbers = [float(value) for value in present if isinstance(value, (int, float)) and not isinstance(value, bool)]
    categorical = any(part.kind in ("choice", "grid_search") for part in parts) or len(numbers) < len(present)
    few_integers = all(value.is_integer() for value in numbers) and len(set(numbers)) <= _MAX_INTEGERS
    if not present:
        counts, labels, text = [], None, "no sample has a value"
    elif categorical or few_integers:
        values = sorted(set(numbers)) if not categorical else _distinct([*_listed(parts), *present])
        counts = [sum(same(value, one) or value == one for one in present) for value in values]
        labels = [
            number(value) if not categorical else value if isinstance(value, str) else label(value) for value in values
        ]
        text = ", ".join(
            f"{one} {round(100 * count / len(present))} %" for one, count in zip(labels, counts, strict=True)
        )
    else:
        log = bool(parts) and all("log" in part.kind for part in parts)
        counts, labels = _histogram(numbers, log=log, integers=all(value.is_integer() for value in numbers)), None
        middle = sorted(numbers)[len(numbers) // 2]
        text = f"from {number(min(numbers))} to {number(max(numbers))}{', log scale' if log else ''}"
        text += f", half of them below {number(middle)}"
    share = f"; no value in {round(100 * none / len(samples))} %" if none and present else ""
    return {"counts": counts, "labels": labels, "none": none, "text": f"{len(samples)} samples: {text}{share}"}


def _listed(parts: Iterable[Domain]) -> list[Any]:
    return [value for part in parts for value in part.values or () if part.kind in ("choice", "grid_search")]


def _distinct(values: Iterable[Any]) -> list[Any]:
    distinct: list[Any] = []
    for value in values:
        if not any(same(value, one) for one in distinct):
            distinct.append(value)
    return distinct[:100]


def _histogram(numbers: Sequence[float], *, log: bool, integers: bool) -> list[int]:
    positions = [math.log(value) if log else value for value in numbers]
    low, high = min(positions), max(positions)
    width, bars = (high - low) / _BARS or 1.0, _BARS
    if integers and not log:  # each bar has the same number of integers
        width = math.ceil((high - low + 1) / _BARS)
        bars = math.ceil((high - low + 1) / width)
    counts = [0] * bars
    for position in positions:
        counts[min(bars - 1, int((position - low) / width))] += 1
    return counts
