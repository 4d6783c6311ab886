"""What Tune sees of a report: a result of Tune's, with the user's metrics beside Tune's own entries.

Tune keeps its own entries ("done", "training_iteration", "pid"…) at the top level of a result, and takes what it finds
there under these names for its own. So a metric of such a name is called "nbtune/NAME" there. All others have their own
names: schedulers, search algorithms, stop conditions and ``result.json`` find them.
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

__all__ = ["ADDED_UP", "REPORT", "TUNES", "as_reported", "complete", "counted", "for_tune", "names_of", "tune_name"]

REPORT = "nbtune"
"""Where the report itself is in a result, from the trial to the recorder."""
_PREFIX = f"{REPORT}/"
ADDED_UP = frozenset({TIMESTEPS_THIS_ITER, EPISODES_THIS_ITER})
"""What Tune adds up, for schedulers that count by the total. Totals that are reported it leaves alone."""
TUNES = frozenset(
    {*AUTO_RESULT_KEYS, *DEBUG_METRICS, DONE, SHOULD_CHECKPOINT, EXPERIMENT_TAG, RESULT_DUPLICATE, *ADDED_UP, REPORT}
    - {TIMESTEPS_TOTAL, EPISODES_TOTAL}
)
"""Entries of a result that are Tune's own, or nbtune's."""


def tune_name(metric: str) -> str:
    """Return what a metric is called at the top level of a result."""
    # "config/lr" is Tune's as well: a parameter.
    return f"{_PREFIX}{metric}" if metric.partition("/")[0] in TUNES else metric


def for_tune(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a result of Tune's has at its top level of a trial's metrics.

    Args:
        metrics: as `nbtune.engine.protocol.metrics.reported` returns them.
    """
    added_up = {name: metrics[name] for name in ADDED_UP & metrics.keys() if type(metrics[name]) in (int, float)}
    return {**{tune_name(name): value for name, value in metrics.items()}, **added_up}


def complete(result: dict[str, Any], metric: str | None) -> None:
    """Add the experiment's metric to a result where it is none of the user's, but an entry of Tune's."""
    if metric is not None and (name := tune_name(metric)) != metric and not _has(result, name):
        found = dict(flat({key: value for key, value in result.items() if not key.startswith(_PREFIX)}))
        if metric in found:
            result[name] = found[metric]


def as_reported(result: dict[str, Any], metrics: Iterable[str] | None = None) -> dict[str, Any]:
    """Return a result with the user's metrics under their own names, in the place of Tune's entries.

    Args:
        result: one of Tune's.
        metrics: the names of those that are wanted; all of them if None.
    """
    names = [key.removeprefix(_PREFIX) for key in result if key.startswith(_PREFIX)] if metrics is None else metrics
    found = {name: result[f"{_PREFIX}{name}"] for name in names if f"{_PREFIX}{name}" in result}
    # Else this very one: a scheduler may write into it what its search algorithm is to read (HyperBandForBOHB).
    return {**result, **found} if found else result


def names_of(metric: Any) -> list[str]:
    """Return the metrics that a scheduler or search algorithm says it looks at: none, one, or several."""
    if metric is None:
        return []
    return [metric] if isinstance(metric, str) else list(metric)


def counted(metrics: Mapping[str, Any], iteration: int, seconds: float) -> dict[str, Any]:
    """Return a result of Tune's of a report that is known from the event log only.

    Args:
        metrics: the user's.
        iteration: how many reports there were with it.
        seconds: how long the trial had trained.
    """
    result = {**for_tune(metrics), TRAINING_ITERATION: iteration, "time_total_s": seconds}
    for name in (TRAINING_ITERATION, "time_total_s"):
        complete(result, name)
    return result


def _has(result: Mapping[str, Any], name: str) -> bool:
    return any(known == name for known, _ in flat(result))
