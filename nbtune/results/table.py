"""The table of the trials: one row for each, with parameters, metrics and state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nbtune.engine.protocol.recorded_space import RecordedParameter, has_numbers
from nbtune.results.columns import ABSENT, column_of, headings, index_of
from nbtune.results.state import NO_VALUE, TrialState
from nbtune.results.values import column_name
from nbtune.spec.options.objectives import Objective

__all__ = ["trial_table"]

_FIXED = frozenset({"trial", "status", "iterations", "time_s", "checkpoint", "error"})
"""What no metric and no parameter has as its heading. "trial" is the index, which `reset_index` makes a column."""
_OWN_TYPES = {"best_iteration": "Int64", "pareto": "bool", "configuration": "int64", "repeat": "int64"}


def trial_table(
    states: Sequence[TrialState],
    space: Mapping[str, RecordedParameter],
    metrics: Sequence[str],
    objectives: Sequence[Objective] = (),
    scope: str = "all",
    front: Sequence[TrialState] | None = None,
    *,
    repeats: bool = False,
) -> pd.DataFrame:
    """Return one row for each trial, with the columns of `Experiment.df`.

    Parameters and metrics have their columns before the first trial and report. Those without any value are of type
    float64 if they are numbers, so that code for the table works at any time.

    Args:
        states: the trials.
        space: the parameters of the space.
        metrics: the metrics that were reported or are expected.
        objectives: the experiment's objectives.
        scope: its scope. One other than "last" has a column for each objective.
        front: the trials on the Pareto front; None without several objectives.
        repeats: whether each configuration is trained several times.
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
    own: dict[str, list[Any]] = {}
    for position, objective in enumerate(objectives if scope != "last" else ()):
        values = [state.values[position] if state.values else NO_VALUE for state in states]
        own[column_name(objective.metric, scope)] = [ABSENT if one.value is None else one.value for one in values]
        if scope == "all" and len(objectives) == 1:
            own["best_iteration"] = [ABSENT if one.iteration is None else one.iteration for one in values]
    if front is not None:
        on_front = {state.number for state in front}
        own["pareto"] = [state.number in on_front for state in states]
    if repeats:
        own["configuration"] = [ABSENT if state.configuration is None else state.configuration for state in states]
        own["repeat"] = [state.repeat for state in states]
    for name, shown in headings(own, "trial", {*_FIXED, *columns}).items():
        columns[shown] = own[name]
        empty[shown] = _OWN_TYPES.get(name, "float64")
    columns["iterations"] = [state.iterations for state in states]
    columns["time_s"] = [state.time_s for state in states]
    columns["checkpoint"] = [state.checkpoints[-1].path if state.checkpoints else None for state in states]
    columns["error"] = [state.error for state in states]
    index = pd.Index([state.number for state in states], name="trial", dtype="int64")
    typed = [column_of(values, index, empty.get(name, "object")) for name, values in columns.items()]
    return pd.DataFrame(dict(enumerate(typed)), index=index).set_axis(index_of(columns), axis="columns")
