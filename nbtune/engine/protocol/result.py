"""What Tune sees of a report: a result with the user's metrics beside Tune's own entries.

Tune's own entries ("done", "training_iteration", "pid"…) are at the top level of a result, and Tune takes a metric with
such a name for its own entry. So it is named "nbtune/NAME" there. All other metrics keep their names: schedulers,
search algorithms, stop conditions and ``result.json`` find them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ray.tune.result import (
    AUTO_RESULT_KEYS,
    DEBUG_METRICS,
    DONE,
    EPISODES_THIS_ITER,
    EPISODES_TOTAL,
    EXPERIMENT_TAG,
    RESULT_DUPLICATE,
    SHOULD_CHECKPOINT,
    TIMESTEPS_THIS_ITER,
    TIMESTEPS_TOTAL,
    TRAINING_ITERATION,
)

from nbtune.engine.protocol.metrics import flat

__all__ = [
    "REPORT",
    "SUMMED_ENTRIES",
    "TUNE_ENTRIES",
    "add_metric",
    "as_reported",
    "as_users_result",
    "has_metrics",
    "metric_names",
    "tune_metrics",
    "tune_name",
    "tune_result",
    "user_metrics",
]

REPORT = "nbtune"
"""The entry of a result with the report itself, from the trial to the recorder."""
_PREFIX = f"{REPORT}/"
SUMMED_ENTRIES = frozenset({TIMESTEPS_THIS_ITER, EPISODES_THIS_ITER})
"""Entries that Tune sums over the reports, for schedulers that use the total. It does not change reported totals."""
TUNE_ENTRIES = frozenset(
    {
        *AUTO_RESULT_KEYS,
        *DEBUG_METRICS,
        DONE,
        SHOULD_CHECKPOINT,
        EXPERIMENT_TAG,
        RESULT_DUPLICATE,
        *SUMMED_ENTRIES,
        REPORT,
    }
    - {TIMESTEPS_TOTAL, EPISODES_TOTAL}
)
"""Entries of a result that belong to Tune or to nbtune."""


def tune_name(metric: str) -> str:
    """Return the name of a metric at the top level of a result.

    Args:
        metric: its name in the report.
    """
    # "config/lr" is an entry of Tune's as well: a parameter.
    return f"{_PREFIX}{metric}" if metric.partition("/")[0] in TUNE_ENTRIES else metric


def tune_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a result for a trial's metrics.

    Args:
        metrics: metric -> value, as `nbtune.engine.protocol.metrics.reported` returns them.
    """
    metrics = _without_complex(metrics)
    summed = {name: metrics[name] for name in SUMMED_ENTRIES & metrics.keys() if type(metrics[name]) in (int, float)}
    return {**{tune_name(name): value for name, value in metrics.items()}, **summed}


def has_metrics(result: Mapping[str, Any], metrics: Iterable[str]) -> bool:
    """Return whether a result has a number for each metric.

    Schedulers and search algorithms fail for other values, some of them also for NaN.

    Args:
        result: a result of Tune's, with the metrics under the names that are looked for.
        metrics: these names.
    """
    values = (result.get(name) for name in metrics)
    return all(isinstance(value, (int, float)) and value == value for value in values)


def _without_complex(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics with text in place of complex numbers: Tune computes the extremes of all numbers, and fails."""
    return {
        name: _without_complex(value)
        if isinstance(value, Mapping)
        else repr(value)
        if isinstance(value, complex)
        else value
        for name, value in metrics.items()
    }


def add_metric(result: dict[str, Any], metric: str) -> None:
    """Add a metric of the experiment to a result under the name that schedulers look for, if it is an entry of Tune's.

    Args:
        result: a result, which is changed.
        metric: the metric. If the user reports it, the result is not changed.
    """
    if (name := tune_name(metric)) != metric and not _has(result, name):
        entries = dict(flat({key: value for key, value in result.items() if not key.startswith(_PREFIX)}))
        if metric in entries:
            result[name] = entries[metric]


def as_reported(result: dict[str, Any], metrics: Iterable[str] | None = None) -> dict[str, Any]:
    """Return a result with the user's metrics under their own names. They replace entries of Tune's with these names.

    Args:
        result: a result of Tune's.
        metrics: the names of the metrics to rename; all of them if None.

    Returns:
        A new result, or the same object if it has no such metric.
    """
    names = [key.removeprefix(_PREFIX) for key in result if key.startswith(_PREFIX)] if metrics is None else metrics
    renamed = {name: result[f"{_PREFIX}{name}"] for name in names if f"{_PREFIX}{name}" in result}
    # The same object if possible: a scheduler may write entries for its search algorithm into it (HyperBandForBOHB).
    return {**result, **renamed} if renamed else result


def as_users_result(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result as Ray Tune would give it to a callback: with the user's metrics under their own names only.

    Args:
        result: a result of Tune's, without its report.

    Returns:
        A new result, or the same object if all metrics have their own names.
    """
    renamed = as_reported(result)
    return result if renamed is result else {name: value for name, value in renamed.items() if not _is_renamed(name)}


def user_metrics(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user's metrics of a result, without Tune's entries: what `tune_metrics` was given.

    Args:
        result: a result of Tune's.
    """
    others = {name: value for name, value in result.items() if name not in TUNE_ENTRIES and not _is_renamed(name)}
    renamed = {name.removeprefix(_PREFIX): value for name, value in result.items() if _is_renamed(name)}
    # `add_metric` adds entries of Tune under such names as well.
    return others | {name: value for name, value in renamed.items() if name not in result or result[name] != value}


def metric_names(metric: Any) -> list[str]:
    """Return the names of the metrics that a scheduler or search algorithm uses.

    Args:
        metric: its attribute: None, a name or a list of names.
    """
    if metric is None:
        return []
    return [metric] if isinstance(metric, str) else list(metric)


def tune_result(metrics: Mapping[str, Any], iteration: int, seconds: float) -> dict[str, Any]:
    """Return Tune's result of a report that is known from the event log.

    Args:
        metrics: metric -> value of the report.
        iteration: the number of reports including this one.
        seconds: the seconds that the trial had trained.
    """
    result = {**tune_metrics(metrics), TRAINING_ITERATION: iteration, "time_total_s": seconds}
    for name in (TRAINING_ITERATION, "time_total_s"):
        add_metric(result, name)
    return result


def _is_renamed(name: str) -> bool:
    return name.startswith(_PREFIX)


def _has(result: Mapping[str, Any], name: str) -> bool:
    return any(known == name for known, _ in flat(result))
