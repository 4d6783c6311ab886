"""An experiment as an Optuna study."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from nbtune.engine.protocol.recorded_space import recorded_domain
from nbtune.errors import ExperimentError
from nbtune.results.configurations import Repeated
from nbtune.results.no_best import why_no_best
from nbtune.results.store import ENDED, Store
from nbtune.spec.options.repeat import mean_of
from nbtune.spec.space.values import is_plain, label

__all__ = ["to_study"]

_OVER = ("finished", "stopped", "failed")


def to_study(store: Store, *, for_figures: bool = False, reported: str | None = None) -> Any:
    """Return an `optuna.Study` with every trial of an experiment.

    The values of each are `Trial.values`. Trials that were stopped early are pruned ones for Optuna. The user
    attributes "trial" and "status" of each trial are those of the experiment.

    Where each configuration is trained several times, it is one trial of the study, and its numbers are means. It is
    complete once all of its trials are over.

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
    space = store.metadata.get("space", {})
    is_ended = store.status in ENDED
    trials = [
        _Trained(
            known, _suggested(store.value_configuration(known.states[0]).parameters, space), len(objectives), is_ended
        )
        for known in store.repeated()
    ]
    distributions = _distributions(space, [trial.config for trial in trials])
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
        study.add_trials([trial.frozen(distributions, reports, for_figures) for trial in trials])
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


def _distributions(space: Mapping[str, Any], configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
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


@dataclass(frozen=True)
class _Trained:
    """What becomes a trial of a study: a trial, or a configuration that is trained several times.

    Attributes:
        known: the trials.
        config: the parameters, as Optuna supports them.
        objectives: the number of objectives.
        is_ended: whether the experiment is over.
    """

    known: Repeated
    config: Mapping[str, Any]
    objectives: int
    is_ended: bool

    @property
    def status(self) -> str:
        """The status of a trial; of a complete configuration the first of `_OVER` that any of its trials has."""
        states = self.known.states
        if len(states) == self.known.times == 1:
            return states[0].status
        found = {state.status for state in states}
        if not self.known.is_complete:
            # Trials are missing, were ended with the experiment, or go on.
            rest = next(
                (one for one in ("running", "paused") if one in found), "stopped" if self.is_ended else "running"
            )
            return "pending" if found == {"pending"} else rest
        return next(one for one in _OVER if one in found)

    @property
    def values(self) -> list[float] | None:
        """The value of each objective; None if there is not one of each."""
        means = [replace(self.known, position=position).mean for position in range(self.objectives)]
        numbers = [float(mean) for mean in means if mean is not None]
        return numbers if len(numbers) == self.objectives else None

    def intermediate(self, reports: Mapping[int, Mapping[int, float]]) -> dict[int, float]:
        """Return the mean of the reports of each iteration, up to the last one that all trials with reports have made.

        Args:
            reports: trial -> iteration -> value.
        """
        found = [reports[state.number] for state in self.known.states if reports.get(state.number)]
        steps = sorted({step for values in found for step in values})
        last = min((max(values) for values in found), default=0)
        return {step: mean_of([v[step] for v in found if step in v]) for step in steps if step <= last}

    def metrics(self) -> dict[str, Any]:
        """Return the last value of each metric: the mean of numbers, and texts that are the same in all trials."""
        first, *others = [state.metrics for state in self.known.states if state.metrics] or [{}]
        found: dict[str, Any] = {}
        for name, value in first.items():
            values = [value, *(metrics.get(name) for metrics in others)]
            if not all(type(one) in (bool, int, float, str) for one in values):
                continue
            if len(values) > 1 and all(type(one) in (int, float) for one in values):
                found[name] = mean_of(values)
            elif all(one == value for one in values):
                found[name] = value
        return found

    def frozen(
        self, distributions: Mapping[str, Any], reports: Mapping[int, Mapping[int, float]], for_figures: bool
    ) -> Any:
        """Return the trial of Optuna.

        Args:
            distributions: parameter -> Optuna's distribution.
            reports: trial -> iteration -> value.
            for_figures: as for `to_study`.
        """
        import optuna
        from optuna.trial import TrialState as OptunaState

        values, states = self.values, self.known.states
        status = {
            "pending": OptunaState.WAITING,
            "running": OptunaState.RUNNING,
            "paused": OptunaState.RUNNING,
            "failed": OptunaState.FAIL,
            "stopped": OptunaState.PRUNED,
        }.get(self.status, OptunaState.COMPLETE)
        if status == OptunaState.COMPLETE and values is None:
            status = OptunaState.FAIL
        if for_figures and values is not None and status != OptunaState.FAIL:
            status = OptunaState.COMPLETE
        parameters = {name: self.config[name] for name in distributions if name in self.config}
        own: dict[str, Any] = {"trial": (self.known.typical or states[0]).number, "status": self.status}
        if self.known.times > 1:
            own |= {"configuration": self.known.number, "trials": [state.number for state in states]}
        intermediate = self.intermediate(reports)
        trial = optuna.trial.create_trial(
            state=status,
            values=values if status in (OptunaState.COMPLETE, OptunaState.PRUNED) else None,
            params=parameters,
            distributions={name: distributions[name] for name in parameters},
            intermediate_values={step: report for step, report in intermediate.items() if not math.isnan(report)},
            user_attrs={**own, **self.metrics()},
        )
        started = [state.started for state in states if state.started is not None]
        ended = [state.ended for state in states if state.ended is not None]
        # For a figure, a trial that still runs has ended now.
        end = datetime.fromtimestamp(max(ended)) if len(ended) == len(states) else datetime.now()
        trial.datetime_complete = end if status.is_finished() else None
        start = datetime.fromtimestamp(min(started)) if started else end  # one may end that has never started
        trial.datetime_start = None if status == OptunaState.WAITING else start
        return trial
