"""The options of checkpoints: which ones are kept, and what contradicts each other in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtune.errors import Problem, option_ref
from nbtune.spec.space.values import label

if TYPE_CHECKING:
    from nbtune.spec.options.options import Spec

__all__ = ["LATEST", "checkpoint_problems", "kept_by", "read_keep_by"]

LATEST = "latest"
"""The value of `keep_by` that keeps the latest checkpoints."""


def read_keep_by(value: object) -> str:
    """Read which checkpoints are kept: "latest", or the best by a metric, "min NAME" or "max NAME".

    Args:
        value: the given value.

    Raises:
        ValueError: it is neither.
    """
    if value == LATEST:
        return LATEST
    order, _, metric = value.partition(" ") if isinstance(value, str) else ("", "", "")
    if order not in ("min", "max") or not metric.strip():
        raise ValueError(f'expected "latest", "min NAME" or "max NAME" with the name of a metric, got {label(value)}')
    return f"{order} {metric.strip()}"


def kept_by(spec: Spec) -> tuple[str | None, str]:
    """Return the metric by which checkpoints are kept, None for the latest ones, and "min" or "max".

    Args:
        spec: the options.
    """
    if spec.keep_checkpoints is None or spec.keep_by == LATEST:
        return None, "max"
    if spec.keep_by is None:
        return spec.metric, spec.mode or "max"
    order, _, metric = spec.keep_by.partition(" ")
    return metric, order


def checkpoint_problems(spec: Spec, named: set[str]) -> list[Problem]:
    """Return the problems of the options of checkpoints that are valid one by one.

    Args:
        spec: the options.
        named: the names of those that were given.
    """
    if "keep_by" in named and "keep_checkpoints" not in named:
        text = f"given without {option_ref('keep_checkpoints')}: all checkpoints are kept; give how many to keep"
        return [Problem(text, code="missing", option="keep_by")]
    return []
