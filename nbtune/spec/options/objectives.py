"""Objectives: the metrics of an experiment and their modes, read from the options `metric` and `mode`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from nbtune.errors import Problem, did_you_mean, option_ref
from nbtune.spec.space.values import label

__all__ = ["Objective", "combine_objectives", "read_metrics", "read_modes"]


@dataclass(frozen=True)
class Objective:
    """One objective of an experiment.

    Attributes:
        metric: the metric.
        mode: "min" or "max".
    """

    metric: str
    mode: str

    @property
    def sign(self) -> int:
        """The factor that makes smaller values the better ones."""
        return -1 if self.mode == "max" else 1


def read_metrics(value: Any) -> tuple[str, ...]:
    """Read the names of metrics: a text, in which commas separate several, or a list of names."""
    names = _split(value)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"expected a metric, or several, NAME,NAME,… (in Python also a list), got {label(value)}")
    if doubled := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{doubled[0]!r} is given more than once in {label(value)}")
    return tuple(names)


def read_modes(value: Any) -> tuple[str, ...]:
    """Read "min" or "max", or one of them for each metric."""
    modes = _split(value)
    wrong = [mode for mode in modes if not isinstance(mode, str) or mode not in ("min", "max")]
    if wrong or not modes:
        hint = did_you_mean(wrong[0], ("min", "max")) if wrong and isinstance(wrong[0], str) else ""
        raise ValueError(f"expected min or max, with several metrics one for each, max,min; got {label(value)}{hint}")
    return tuple(modes)


def _split(value: Any) -> Sequence[Any]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return value if isinstance(value, (list, tuple)) else ()


def combine_objectives(values: dict[str, Any], given: Collection[str]) -> list[Problem]:
    """Replace the metrics and modes among the values of options by fields of a `Spec`, and return their problems.

    Args:
        values: option -> value, those that could be read. It is changed.
        given: the names of the options that were given, also those that could not be read.
    """
    metrics, modes = values.pop("metric", ()), values.pop("mode", ())
    if len(metrics) > 1:
        filled = [*modes, *["min"] * len(metrics)]  # where modes are missing, for the checks of the metrics
        values["several"] = tuple(map(Objective, metrics, filled))
        values.setdefault("scope", "last")  # so that the values of a trial are those of one report
    else:
        values.update(metric=next(iter(metrics), None), mode=next(iter(modes), None))
    problems = []
    if "scope" in given and "metric" not in given:
        problems.append(_without_metric("scope"))
    if "mode" in given and "metric" not in given:
        problems.append(_without_metric("mode"))
    elif metrics and "mode" not in given:
        shown = f"{option_ref('mode', 'min')} or {option_ref('mode', 'max')}"
        if len(metrics) > 1:
            shown = (
                f"min or max for each, such as {option_ref('mode', ','.join(['max', *['min'] * (len(metrics) - 1)]))}"
            )
        text = f"required with {option_ref('metric')}: give {shown}"
        problems.append(Problem(text, code="missing", option="mode"))
    elif metrics and modes and len(metrics) != len(modes):
        expected = (
            f"a mode for each of the metrics {', '.join(metrics)}" if len(metrics) > 1 else f"one for {metrics[0]}"
        )
        problems.append(Problem(f"expected {expected}, got {', '.join(modes)}", code="conflict", option="mode"))
    return problems


def _without_metric(option: str) -> Problem:
    text = f"given without {option_ref('metric')}; give the metric that it is about"
    return Problem(text, code="missing", option=option)
