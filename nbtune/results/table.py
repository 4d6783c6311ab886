"""The table of the trials: one row for each, with parameters, metrics and state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nbtune.engine.protocol.recorded_space import RecordedParameter, has_numbers
from nbtune.results.columns import ABSENT, column_of, headings, index_of
from nbtune.results.state import TrialState
from nbtune.results.values import column_name

__all__ = ["trial_table"]

_FIXED = frozenset({"status", "iterations", "time_s", "checkpoint", "error"})


def trial_table(
    states: Sequence[TrialState],
    space: Mapping[str, RecordedParameter],
    metrics: Sequence[str],
    scoped: tuple[str, str] | None = None,
) -> pd.DataFrame:
    """Return one row for each trial, with the columns of `Experiment.df`.

    Parameters and metrics have their columns before the first trial and report. Those without any value are of type
    float64 if they are numbers, so that code for the table works at any time.

    Args:
        states: the trials.
        space: the parameters of the space.
        metrics: the metrics that were reported or are expected.
        scoped: the experiment's metric and scope, or None. A scope other than "last" has a column of its own.
    """
    configs = [state.parameters for state in states]
    parameters = list(dict.fromkeys([*space, *(name for config in configs for name in config)]))
    columns: dict[str, list[Any]] = {"status": [state.status for state in states]}
    empty = {"iterations": "int64", "time_s": "float64"}  # column -> its type without any value
    shown_metrics = headings(metrics, "metrics", _FIXED)
    for name, shown in headings(parameters, "config", {*_FIXED, *shown_metrics.values()}).items():
        columns[shown] = [config.get(name, ABSENT) for config in configs]
        empty[shown] = "float64" if has_numbers(space.get(name)) else "object"
    for name, shown in shown_metrics.items():
        columns[shown] = [state.metrics.get(name, ABSENT) for state in states]
        empty[shown] = "float64"
    if scoped is not None and scoped[1] != "last":
        taken = {*_FIXED, *columns}
        own = [column_name(*scoped), *(["best_iteration"] if scoped[1] == "all" else [])]
        heading = headings(own, "trial", taken)
        for name, attribute, empty_type in zip(own, ("value", "value_iteration"), ("float64", "Int64"), strict=False):
            found = [getattr(state, attribute) for state in states]
            columns[heading[name]] = [ABSENT if value is None else value for value in found]
            empty[heading[name]] = empty_type
    columns["iterations"] = [state.iterations for state in states]
    columns["time_s"] = [state.time_s for state in states]
    columns["checkpoint"] = [state.checkpoints[-1].path if state.checkpoints else None for state in states]
    columns["error"] = [state.error for state in states]
    index = pd.Index([state.number for state in states], name="trial", dtype="int64")
    typed = [column_of(values, index, empty.get(name, "object")) for name, values in columns.items()]
    return pd.DataFrame(dict(enumerate(typed)), index=index).set_axis(index_of(columns), axis="columns")
