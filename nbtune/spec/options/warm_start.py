"""The option `warm_start`: what an experiment learns from earlier trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

from nbtune.spec.space.values import label

__all__ = ["Evaluation", "WarmStart", "is_study", "read_warm_start"]


@dataclass(frozen=True)
class Evaluation:
    """One earlier trial.

    Attributes:
        point: parameter -> value; nested parameters have joined names, "a/b".
        values: its value of each objective.
    """

    point: Mapping[str, Any]
    values: tuple[float, ...]


@dataclass(frozen=True)
class WarmStart:
    """Earlier trials whose points are in the space of an experiment, with their values of its objectives.

    Attributes:
        source: where they are from.
        trials: the trials.
    """

    source: str
    trials: tuple[Evaluation, ...]

    def __str__(self) -> str:
        return f"{len(self.trials)} trial{'' if len(self.trials) == 1 else 's'} of {self.source}"


def read_warm_start(value: Any) -> Any:
    """Read an experiment, its name or path, an `optuna.Study` or a DataFrame."""
    is_frame = hasattr(value, "to_dict") and hasattr(value, "columns")
    if isinstance(value, PathLike) or (isinstance(value, str) and value):
        return str(value)
    if isinstance(value, WarmStart) or is_frame or is_study(value) or hasattr(type(value), "to_optuna"):
        return value
    raise ValueError(
        "expected an experiment, its name or path, an optuna.Study, or a DataFrame with a column for each parameter and"
        f" metric, got {label(value)}"
    )


def is_study(value: Any) -> bool:
    """Tell whether a value is an `optuna.Study`, without importing Optuna.

    Args:
        value: any value.
    """
    return any(base.__name__ == "Study" and base.__module__.startswith("optuna.") for base in type(value).__mro__)
