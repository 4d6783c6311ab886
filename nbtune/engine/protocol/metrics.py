"""The user's metrics on their way from `report` to the event: one nested value.

So they never share a namespace with Tune's own entries of a result, and a metric may have any name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from nbtune.bad_input import too_large

__all__ = ["Report", "Share", "flat", "plain", "reported"]


@dataclass(frozen=True)
class Share:
    """One worker's part of a report.

    Attributes:
        metrics: metric -> value, as `reported` returns them.
        took: measurement -> seconds; see `nbtune.engine.protocol.events.WorkerReported`.
    """

    metrics: Mapping[str, Any]
    took: Mapping[str, float]


@dataclass(frozen=True)
class Report:
    """One report of a trial, on its way through Tune.

    Attributes:
        metrics: metric -> value of the trial, as `reported` returns them.
        shares: the parts of the workers of a distributed trial, by rank.
        iteration: the number of reports including this one, if Tune does not count them; else None.
        is_last: whether the trial ends after it, since its function has returned it.
    """

    metrics: Mapping[str, Any]
    shares: tuple[Share, ...] = ()
    iteration: int | None = None
    is_last: bool = False


def reported(metrics: Mapping[Any, Any]) -> dict[str, Any]:
    """Return metrics with text as names and plain values. Nested dictionaries remain nested.

    Args:
        metrics: what the user reports. A name may be any text or object.

    Raises:
        ValueError: two of them have the same name as text, or one cannot be written.
    """
    for name, value in metrics.items():
        if (reason := too_large(value)) is not None:
            raise ValueError(f"the metric {name!r} has {reason}. Report a float, text or something smaller")
    duplicates = [name for name, count in Counter(name for name, _ in flat(metrics)).items() if count > 1]
    if duplicates:
        raise ValueError(
            f"two metrics of this report have the name {duplicates[0]!r}. Names become text, and the names in a nested"
            ' dictionary are joined to its own by "/". Rename one of the two'
        )
    return {str(name): plain(value) for name, value in metrics.items()}


def plain(value: Any) -> Any:
    """Return a metric's value as plain Python, if it has an equivalent there.

    NumPy scalars, decimals, fractions, and arrays and tensors with a single element become numbers, other arrays and
    tensors lists. The items of dictionaries, lists and tuples are converted in the same way. Everything else is
    returned as it is.

    Args:
        value: any value.
    """
    if isinstance(value, (bool, int, float, str, type(None))) and type(value).__module__ == "builtins":
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a tensor
        value = value.detach().cpu()
        return value.item() if value.numel() == 1 else value.tolist()
    if isinstance(value, (np.generic, np.ndarray)):
        return value.item() if value.size == 1 else value.tolist()
    return float(value) if isinstance(value, (Decimal, Fraction)) else value


def flat(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the names and values of metrics or parameters. The names of nested ones are joined by "/".

    Args:
        values: name -> value or nested mapping.
        prefix: text before each name.
    """
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value
