"""Optuna's figures of an experiment."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nbtune.errors import ExperimentError, did_you_mean
from nbtune.results.population_figures import FIGURES, mark_curves
from nbtune.results.store import Store
from nbtune.results.study import to_study

__all__ = ["PLOTS", "plot"]

PLOTS = {
    "curves": "plot_intermediate_values",
    "history": "plot_optimization_history",
    "parallel": "plot_parallel_coordinate",
    "importance": "plot_param_importances",
    "slice": "plot_slice",
    "contour": "plot_contour",
    "rank": "plot_rank",
    "timeline": "plot_timeline",
    "edf": "plot_edf",
    "pareto": "plot_pareto_front",
    "hypervolume": "plot_hypervolume_history",
}
"""Kind of a figure -> the function of `optuna.visualization` that draws it."""


_ONE_VALUE = frozenset({"history", "parallel", "importance", "slice", "contour", "rank", "edf"})
"""The figures that show one value of each trial."""
_STATUSES = {"stopped": "stopped early", "running": "still running", "paused": "paused", "pending": "pending"}
"""The status of a trial that has not finished -> how the title of a figure counts it."""
_SYMBOLS = {"stopped": ("square", "■"), "running": ("triangle-up", "▲"), "paused": ("diamond", "◆")}
"""Status -> the symbol of plotly's with which the figures of single trials mark it, and as text. Others are circles."""


def plot(store: Store, kind: str, options: Mapping[str, Any]) -> Any:
    """Return a plotly figure of an experiment.

    Args:
        store: the experiment's state.
        kind: a key of `PLOTS` or `FIGURES`.
        options: arguments of Optuna's function, or of that of `FIGURES`; and `metric`, the objective that a figure of
            one value shows.

    Raises:
        ExperimentError: there is no such kind of figure, or no data for it yet.
    """
    if kind not in (kinds := [*PLOTS, *FIGURES]):
        raise ExperimentError(f"there is no plot {kind!r}{did_you_mean(kind, kinds)}; there are {', '.join(kinds)}")
    if kind in FIGURES:
        try:
            return FIGURES[kind](store, **options)
        except TypeError as error:  # an option that the function does not have
            raise ExperimentError(f"plot {kind!r}: {error}") from error
    import optuna

    options, metric = _for_objectives(store, kind, options)
    study = to_study(store, for_figures=kind not in {"curves", "timeline"}, reported=metric)  # these show all trials
    done = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    shown = " and ".join(objective.metric for objective in store.objectives)
    if not done and kind not in {"curves", "timeline"}:
        raise ExperimentError(f"plot {kind!r} needs at least one trial with a finite value of {shown}")
    if kind == "importance" and len(done) < 2:
        raise ExperimentError(f"plot 'importance' needs at least two trials with a finite value of {shown}")
    if kind == "hypervolume":
        options = {"reference_point": _worst(study, done), **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator computes the importances")
        if kind == "importance":
            options = {"evaluator": optuna.importance.PedAnovaImportanceEvaluator(), **options}
        try:
            figure = getattr(optuna.visualization, PLOTS[kind])(study, **options)
            if kind == "curves":
                figure.update_layout(yaxis_title=metric)
        except (ValueError, TypeError) as error:  # an option that Optuna does not support
            raise ExperimentError(f"plot {kind!r}: {error}") from error
    if kind == "curves":
        mark_curves(figure, store)
    others = Counter(trial.user_attrs["status"] for trial in done if trial.user_attrs["status"] != "finished")
    is_marked = others and _mark(figure, {trial.number: trial.user_attrs["status"] for trial in done})
    counts = [
        f"{_SYMBOLS[status][1]} {count} {_STATUSES[status]}"
        if is_marked and status in _SYMBOLS
        else f"{count} {_STATUSES[status]}"
        for status, count in others.items()
    ]
    if store.repeat > 1:
        counts.insert(0, f"means of {store.repeat} repeats")
    marked = f" ({', '.join(counts)})" if counts else ""
    figure.update_layout(title=f"{store.metadata.get('name', '')}: {figure.layout.title.text or kind}{marked}")
    return figure


def _for_objectives(store: Store, kind: str, options: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return the options of Optuna's function for the objectives of an experiment, and the metric that it shows.

    Raises:
        ExperimentError: the experiment has too few objectives, or no such one.
    """
    own = [objective.metric for objective in store.objectives]
    options = dict(options)
    metric = options.pop("metric", None)
    if kind in {"pareto", "hypervolume"}:
        if len(own) < 2:
            text = f"plot {kind!r} needs several objectives; {store.metadata.get('name', 'the experiment')} has"
            raise ExperimentError(f"{text} {', '.join(own) or 'none'}: start it with metric=[…] and mode=[…]")
        if metric is not None:
            raise ExperimentError(f"plot {kind!r} shows all objectives ({', '.join(own)}); leave out metric=…")
        return options, None
    if metric is not None and metric not in own:
        hint = did_you_mean(str(metric), own)
        raise ExperimentError(f"plot {kind!r}: {metric!r} is no objective{hint}; there are {', '.join(own)}")
    if len(own) > 1 and kind in _ONE_VALUE and "target" not in options:
        position = own.index(metric) if metric is not None else 0
        # The evaluator of importances looks at the smallest values.
        sign = store.objectives[position].sign if kind == "importance" else 1
        options = {"target": lambda trial: sign * trial.values[position], "target_name": own[position], **options}
    return options, metric


def _worst(study: Any, done: Sequence[Any]) -> list[float]:
    """Return the worst value of each objective, a little beyond the trials: the reference point of the hypervolume."""
    values = np.array([trial.values for trial in done], float)
    sign = np.array([1.0 if direction.name == "MINIMIZE" else -1.0 for direction in study.directions])
    worst, best = (values * sign).max(axis=0), (values * sign).min(axis=0)
    beyond = worst + np.where(worst > best, (worst - best) / 10, np.maximum(np.abs(worst) / 10, 1e-9))
    return [float(number) for number in beyond * sign]


def _mark(figure: Any, statuses: Mapping[int, str]) -> bool:
    """Give each trial that a figure shows as a point the symbol of its status. Return whether it shows any.

    Args:
        figure: one of Optuna's.
        statuses: the number of a trial -> its status.
    """
    is_marked = False
    for trace in figure.data:
        numbers = _numbers_of(trace) if trace.type == "scatter" and trace.mode == "markers" else []
        if numbers and all(number in statuses for number in numbers):
            trace.marker.symbol = [_SYMBOLS.get(statuses[number], ("circle", ""))[0] for number in numbers]
            is_marked = True
    return is_marked


def _numbers_of(trace: Any) -> list[int]:
    """Return the numbers of the trials that are the points of a trace; none if they are not known."""
    points = len(trace.x) if trace.x is not None else 0
    if trace.name == "Objective Value":  # the history: over the numbers
        return [int(number) for number in trace.x]
    colours = trace.marker.color if isinstance(trace.marker.color, (list, tuple)) else ()
    if len(colours) == points and all(isinstance(number, (int, np.integer)) for number in colours):
        return [int(number) for number in colours]  # slices are coloured by them
    found = [re.match(r"Trial #(\d+)<br>", text) for text in trace.hovertext or ()]  # ranks
    return [int(match[1]) for match in found if match] if points == len(found) else []
