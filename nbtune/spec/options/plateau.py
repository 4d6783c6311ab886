"""The calls in a stop condition: ``plateau(loss, 5)``, and ``experiment_plateau(loss, 10)`` of all trials."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Any

__all__ = ["CALLS", "ExperimentPlateau", "Plateau", "read_plateau"]

CALLS = ("plateau", "experiment_plateau")
"""What can be called in a condition."""


@dataclass(frozen=True)
class Plateau:
    """A call of ``plateau``: whether a metric of a trial has stopped changing, as Ray's `TrialPlateauStopper` decides.

    Attributes:
        metric: the metric.
        reports: the number of the last values that are compared.
        std: their standard deviation must be below this.
        grace: the number of values before which the trial is not on a plateau.
    """

    metric: str
    reports: int
    std: float
    grace: int


@dataclass(frozen=True)
class ExperimentPlateau:
    """A call of ``experiment_plateau``: whether the best values of all trials are close to each other.

    Ray's `ExperimentPlateauStopper` decides it, and the experiment ends with it.

    Attributes:
        metric: the metric.
        top: the number of the best values that are compared.
        std: their standard deviation must be at most this.
        patience: in how many reports in a row that must be so.
        mode: "min" or "max"; empty for that of the objective, and "max" for a metric that is none.
    """

    metric: str
    top: int
    std: float
    patience: int
    mode: str


def read_plateau(node: ast.Call, written: str) -> Plateau | ExperimentPlateau:
    """Return the plateau that a call stands for.

    Args:
        node: the call. A metric is a constant text.
        written: how it is written.

    Raises:
        ValueError: it is another call, or one with other arguments.
    """
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in CALLS:
        raise ValueError(f"only {CALLS[0]}(…) and {CALLS[1]}(…) can be called, got {written}")
    is_trials = name == CALLS[0]
    more = "std=0.01, grace=N" if is_trials else "std=0.001, patience=0, mode=min"
    usage = f"expected {name}(METRIC, N, {more}), got {written}"
    if len(node.args) != 2:
        raise ValueError(usage)
    given = {str(keyword.arg): _literal(keyword.value) for keyword in node.keywords}
    metric, number = map(_literal, node.args)
    std = given.pop("std", 0.01 if is_trials else 0.001)
    wait = given.pop("grace", number) if is_trials else given.pop("patience", 0)
    mode = "" if is_trials else given.pop("mode", "")
    if given or type(metric) is not str or type(number) is not int or type(wait) is not int:
        raise ValueError(usage)
    if type(std) not in (int, float) or mode not in ("", "min", "max"):
        raise ValueError(usage)
    if number < 2:
        which = "last" if is_trials else "best"
        raise ValueError(f"{usage}; N is the number of the {which} values that are compared, at least 2")
    if not 0 < std < math.inf or wait < 0:
        raise ValueError(f"{usage}; std is a number > 0, and {'grace' if is_trials else 'patience'} one >= 0")
    if is_trials:
        return Plateau(metric, number, float(std), wait)
    return ExperimentPlateau(metric, number, float(std), wait, mode)


def _literal(node: ast.expr) -> Any:
    return node.value if isinstance(node, ast.Constant) else node.id if isinstance(node, ast.Name) else None
