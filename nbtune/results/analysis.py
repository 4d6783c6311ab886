"""Analysis with Optuna: an experiment as a study, and figures of it."""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from nbtune.engine.protocol.recorded_space import recorded_domain
from nbtune.errors import ExperimentError, did_you_mean
from nbtune.results.no_best import why_no_best
from nbtune.results.population_figures import FIGURES, mark_curves
from nbtune.results.state import TrialState
from nbtune.results.store import Store
from nbtune.spec.space.values import is_plain, label

__all__ = ["PLOTS", "plot", "to_study"]

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


def to_study(store: Store, *, for_figures: bool = False, reported: str | None = None) -> Any:
    """Return an `optuna.Study` with every trial of an experiment.

    The values of each are `Trial.values`. Trials that were stopped early are pruned ones for Optuna. The user
    attributes "trial" and "status" of each trial are those of the experiment.

    Args:
        store: the experiment's state.
        for_figures: whether all trials with a value are complete, except failed ones. Optuna's figures leave out all
            others, with a scheduler that stops most trials nearly everything.
        reported: the metric whose reports are the intermediate values; the first objective if None.

    Raises:
        ExperimentError: the experiment has no metric.
    """
    objectives = store.objectives
    if not objectives:
        raise ExperimentError(
            why_no_best(store, None)
            if store.metadata.get("foreign")
            else "the experiment has no metric: start it with metric= and mode= to compare its trials"
        )
    import optuna
    from optuna.study import StudyDirection

    metric = reported or objectives[0].metric
    history = store.history()
    reports: dict[int, dict[int, float]] = {}
    if metric in history:
        rows = history[["trial", "iteration", metric]].dropna()
        for trial, iteration, value in rows.itertuples(index=False):
            if isinstance(value, (int, float)):
                reports.setdefault(trial, {})[iteration] = float(value)
    states = store.states()
    space = store.metadata.get("space", {})
    configs = {state.number: _suggested(store.value_configuration(state).parameters, space) for state in states}
    distributions = _distributions(space, list(configs.values()))
    with warnings.catch_warnings():
        # Categories that are classes or functions are represented by their names.
        warnings.simplefilter("ignore")
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        direction = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}
        directions = [direction[objective.mode] for objective in objectives]
        study = optuna.create_study(study_name=store.metadata.get("name"), directions=directions)
        optuna.logging.set_verbosity(verbosity)
        study.set_metric_names([objective.metric for objective in objectives])
        study.add_trials(
            [
                _frozen(
                    state,
                    len(objectives),
                    configs[state.number],
                    distributions,
                    reports.get(state.number, {}),
                    for_figures,
                )
                for state in states
            ]
        )
    return study


def _suggested(parameters: Mapping[str, Any], space: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial's parameters as values that Optuna supports, without those whose condition is not met."""
    return {
        name: _supported(value)
        for name, value in parameters.items()
        if value is not None or space.get(name, {}).get("kind") != "derived"
    }


def _supported(value: Any) -> Any:
    """Return a value that Optuna supports: the value itself, or its label."""
    return value if is_plain(value) else label(value)


def _distributions(space: Mapping[str, Any], configs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an Optuna distribution that contains all values, for each parameter that varies."""
    import optuna.distributions as od

    distributions: dict[str, Any] = {}
    for name in dict.fromkeys(name for config in configs for name in config):
        values = [config[name] for config in configs if name in config]
        domain = recorded_domain(space.get(name))
        if domain is None and len({repr(value) for value in values}) < 2:
            continue  # a constant
        numeric = all(type(value) in (int, float) and math.isfinite(value) for value in values)
        if not numeric or (domain and domain["kind"] in {"choice", "grid_search"}):
            choices = [_supported(value) for value in (domain or {}).get("values", [])]
            distributions[name] = od.CategoricalDistribution(list({repr(v): v for v in [*choices, *values]}.values()))
            continue
        bounds = [*values, *(domain[end] for end in ("lower", "upper") if domain and end in domain)]
        low, high = min(bounds), max(bounds)
        log = bool(domain and "log" in domain["kind"] and low > 0)
        kind = od.IntDistribution if all(type(value) is int for value in values) else od.FloatDistribution
        distributions[name] = kind(
            math.floor(low) if kind is od.IntDistribution else low,
            math.ceil(high) if kind is od.IntDistribution else high,
            log=log,
        )
    return distributions


def _frozen(
    state: TrialState,
    objectives: int,
    config: dict[str, Any],
    distributions: Mapping[str, Any],
    reports: dict[int, float],
    for_figures: bool,
) -> Any:
    import optuna
    from optuna.trial import TrialState as OptunaState

    numbers = [float(one.value) for one in state.values if one.value is not None]
    values = numbers if len(numbers) == objectives else None
    status = {
        "pending": OptunaState.WAITING,
        "running": OptunaState.RUNNING,
        "paused": OptunaState.RUNNING,
        "failed": OptunaState.FAIL,
        "stopped": OptunaState.PRUNED,
    }.get(state.status, OptunaState.COMPLETE)
    if status == OptunaState.COMPLETE and values is None:
        status = OptunaState.FAIL
    if for_figures and values is not None and status != OptunaState.FAIL:
        status = OptunaState.COMPLETE
    parameters = {name: config[name] for name in distributions if name in config}
    trial = optuna.trial.create_trial(
        state=status,
        values=values if status in (OptunaState.COMPLETE, OptunaState.PRUNED) else None,
        params=parameters,
        distributions={name: distributions[name] for name in parameters},
        intermediate_values={step: report for step, report in reports.items() if not math.isnan(report)},
        user_attrs={
            "trial": state.number,
            "status": state.status,
            **{name: v for name, v in state.metrics.items() if type(v) in (bool, int, float, str)},
        },
    )
    trial.datetime_start = None if state.started is None else datetime.fromtimestamp(state.started)
    if status.is_finished():
        # For a figure, a trial that still runs has ended now.
        trial.datetime_complete = datetime.now() if state.ended is None else datetime.fromtimestamp(state.ended)
    else:
        trial.datetime_complete = None
    return trial


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
