"""The user's metrics as they travel: one value of their own, from `report` to the event.

Whatever stands beside them on the way, Tune's own entries of a result among it, has other names to itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Report", "Share", "flat", "plain", "reported"]


@dataclass(frozen=True)
class Share:
    """One worker's share of a report.

    Attributes:
        metrics: what it has reported, see `reported`.
        took: what the worker was measured at; see `nbtune.engine.protocol.events`.
    """

    metrics: Mapping[str, Any]
    took: Mapping[str, float]


@dataclass(frozen=True)
class Report:
    """What a trial has reported at once, on its way through Tune.

    Attributes:
        metrics: the trial's, see `reported`.
        shares: of each worker of a distributed trial, by rank.
        iteration: how many reports there are with this one, where Tune is not to count them.
    """

    metrics: Mapping[str, Any]
    shares: tuple[Share, ...] = ()
    iteration: int | None = None


def reported(metrics: Mapping[Any, Any]) -> dict[str, Any]:
    """Return metrics as they travel: names are text, values plain; dictionaries among them stay such.

    Args:
        metrics: what the user reports. Any name will do.

    Raises:
        ValueError: two of them would have one name, so one could not be told from the other.
    """
    twice = [name for name, count in Counter(name for name, _ in flat(metrics)).items() if count > 1]
    if twice:
        raise ValueError(
            f"two metrics of this report are called {twice[0]!r}: names are text, and those in a dictionary are joined"
            ' to its own by "/"; give one of them another name'
        )
    return {str(name): plain(value) for name, value in metrics.items()}


def plain(value: Any) -> Any:
    """Return a metric's or parameter's value as plain Python where that loses nothing.

    NumPy scalars and zero-dimensional tensors become numbers, arrays and tensors become lists,
    dictionaries and sequences are walked through; everything else stays what it is.
    """
    if isinstance(value, (bool, int, float, str, type(None))) and type(value).__module__ == "builtins":
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a tensor
        value = value.detach().cpu()
        return value.item() if value.ndim == 0 else value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return value.tolist() if isinstance(value, np.ndarray) else value


def flat(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield metrics or parameters, the names of nested ones joined by "/"."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value
