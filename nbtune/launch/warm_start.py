"""Warm start: the trials of an earlier experiment, study or table as points and values for the search algorithm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nbtune.engine.search.codecs import NATIVE
from nbtune.engine.search.encoding import Encoding, encoding_problem
from nbtune.engine.search.registry import ALGORITHMS, algorithm_of
from nbtune.engine.search.tokens import Tokens
from nbtune.errors import NbtuneError, Problem
from nbtune.results.columns import groups
from nbtune.results.front import on_front
from nbtune.spec.options.named import Named
from nbtune.spec.options.objectives import Objective
from nbtune.spec.options.options import Spec
from nbtune.spec.options.warm_start import Evaluation, WarmStart, is_study
from nbtune.spec.space.domain import Domain
from nbtune.spec.space.space import Parameter, Space, nested

if TYPE_CHECKING:
    from nbtune.results.store import Store

__all__ = ["with_warm_start"]


def with_warm_start(spec: Spec, space: Space, problems: list[Problem]) -> tuple[Spec, list[str]]:
    """Return the options with the earlier trials that `warm_start` stands for, and notes on them.

    Args:
        spec: the options.
        space: the search space.
        problems: receives the problems.
    """
    if spec.warm_start is None or isinstance(spec.warm_start, WarmStart) or not spec.objectives:
        return spec, []
    try:
        source, trials, ignored = _read(spec.warm_start, spec, space)
    except (NbtuneError, ValueError) as error:
        problems.append(Problem(str(error), option="warm_start"))
        return spec, []
    usable = list(_within(trials, space))
    metrics = " and ".join(objective.metric for objective in spec.objectives)
    if not usable:
        what = "no trial whose parameters are in the space" if trials else f"no trial with a finite value of {metrics}"
        problems.append(Problem(f"{source} has {what}", option="warm_start"))
        return spec, []
    start = WarmStart(source, tuple(usable))
    first = [evaluation.point for evaluation in _best(usable, spec.objectives)[: spec.try_best or 0]]
    notes = [_note(spec, start, len(first))]
    if ignored:
        notes.append(f"{ignored} of the trials of {source} left out: no finite value of {metrics}")
    if outside := len(trials) - len(usable):
        notes.append(f"{outside} of the trials of {source} left out: parameters that are not in the space")
    if unknown := sorted({name for trial in trials for name in trial.point}.difference(space.names)):
        notes.append(f"parameters of {source} that are not in the space are ignored: {', '.join(unknown)}")
    return replace(spec, warm_start=start, points=(*spec.points, *first)), notes


def _note(spec: Spec, start: WarmStart, tried: int) -> str:
    """Return what the search algorithm does with the trials."""
    entry = algorithm_of(spec.search)
    name = spec.search.name if isinstance(spec.search, Named) else type(spec.search).__name__
    if entry is not None and entry.learns:
        return f"{name} learns from {start}" + (f"; the best {tried} are tried first" if tried else "")
    able = ", ".join(one.name for one in ALGORITHMS.values() if one.learns)
    instead = f"the best {tried} of {start} are tried first" if tried else "with the option try_best its best are tried"
    return f"{name} does not learn from earlier results, as {able} do; {instead}" + ("" if tried else " first")


def _read(value: Any, spec: Spec, space: Space) -> tuple[str, list[Evaluation], int]:
    """Return what the earlier trials are called, those with a value of each objective, and how many have none.

    Raises:
        ExperimentError: there is no such experiment.
        ValueError: the value does not have the objectives.
    """
    if isinstance(value, str):
        from nbtune.launch.resume import attach

        value = attach(value, spec.storage, spec.storage_filesystem) if "/" not in value else _load(value)
    if is_study(value):
        return f"the study {value.study_name}", *_complete(_of_study(value, spec.objectives))
    if hasattr(value, "columns"):
        return f"a DataFrame of {len(value)} rows", *_complete(_of_frame(value, spec, space.names))
    return value.name, *_complete(_of_store(value._store, spec))


def _load(path: str) -> Any:
    from nbtune.launch.load import load

    return load(path)


_Row = tuple[Mapping[str, Any], Sequence[Any]]
"""The parameters of a trial, by joined names, and its value of each objective."""


def _complete(rows: Iterable[_Row]) -> tuple[list[Evaluation], int]:
    """Return the trials that have a finite number as the value of each objective, and how many have not."""
    found, others = [], 0
    for point, values in rows:
        if all(isinstance(value, (int, float, np.number)) and math.isfinite(value) for value in values):
            found.append(Evaluation(dict(point), tuple(float(value) for value in values)))
        else:
            others += 1
    return found, others


def _of_store(store: Store, spec: Spec) -> Iterator[_Row]:
    """Yield the trials of an experiment; their values are those of the metrics and the scope of the present one.

    Raises:
        ValueError: no trial has reported one of the metrics.
    """
    from nbtune.results.state import NO_VALUE, TrialState
    from nbtune.results.values import TrialValues

    reported = store.metrics()
    for objective in spec.objectives:
        if objective.metric not in reported:
            raise ValueError(
                f"no trial has reported {objective.metric}; it reported {', '.join(reported) or 'nothing'}"
            )
    valued: dict[int, TrialState] = {}
    states = store.states()
    values, repeating = TrialValues(spec.objectives, spec.scope), _repeating(store, spec.objectives)
    values.update(store.reports, lambda number: valued.setdefault(number, TrialState(number)), 0, repeating)
    repeated: dict[int, list[tuple[TrialState, list[float | None]]]] = {}
    for state in states:
        found = valued[state.number].values if state.number in valued else ()
        own = [value.value for value in found or (NO_VALUE,) * len(spec.objectives)]
        if state.status == "failed":
            continue
        if state.configuration is None:
            yield state.parameters, own
        elif None not in own:
            repeated.setdefault(state.configuration, []).append((state, own))
    for trials in repeated.values():  # a point of its own each, with the mean of its repeats
        columns = zip(*(own for _, own in trials), strict=True)
        yield trials[0][0].parameters, [float(np.mean(column)) for column in columns]


def _repeating(store: Store, objectives: Sequence[Objective]) -> set[int]:
    """Return the trials that have repeated reports after a restart."""
    repeating: set[int] = set()
    for objective in objectives:
        trials, iterations, _, _ = store.reports.numbers(objective.metric, 0)
        repeating |= {trial for trial, at in groups(trials) if (np.diff(iterations[at]) <= 0).any()}
    return repeating


def _of_study(study: Any, objectives: Sequence[Objective]) -> Iterator[_Row]:
    """Yield the complete trials of a study.

    Raises:
        ValueError: it has other objectives.
    """
    names, modes = (
        study.metric_names,
        [{"MINIMIZE": "min", "MAXIMIZE": "max"}.get(one.name) for one in study.directions],
    )
    wanted = [objective.metric for objective in objectives]
    if names is not None and set(wanted) <= set(names):
        positions = [names.index(metric) for metric in wanted]
    elif len(modes) == len(wanted):
        positions = list(range(len(wanted)))
    else:
        raise ValueError(
            f"the study has {len(modes)} objectives ({', '.join(names or ['unnamed'])}), not {', '.join(wanted)}"
        )
    for position, objective in zip(positions, objectives, strict=True):
        if modes[position] != objective.mode:
            direction = "minimizes" if modes[position] == "min" else "maximizes"
            raise ValueError(f"the study {direction} what is {objective.metric} with mode {objective.mode} here")
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name == "COMPLETE":
            yield trial.params, [trial.values[position] for position in positions]


def _of_frame(frame: Any, spec: Spec, names: Iterable[str]) -> Iterator[_Row]:
    """Yield the rows of a table such as `Experiment.df`, with the named parameters.

    Raises:
        ValueError: it has no column for one of the metrics.
    """
    from nbtune.results.values import column_name

    columns = [str(name) for name in frame.columns]
    metrics = []
    for objective in spec.objectives:
        own = [name for name in (column_name(objective.metric, spec.scope), objective.metric) if name in columns]
        if not own:
            raise ValueError(f"the DataFrame has no column {objective.metric!r}; it has {', '.join(columns)}")
        metrics.append(own[0])
    for values in frame.itertuples(index=False, name=None):
        row = dict(zip(columns, values, strict=True))
        if row.get("status") == "failed":
            continue
        cells = {name: row.get(f"config/{name}", row.get(name)) for name in names}  # as `df` names them
        point = {name: cell.item() if isinstance(cell, np.generic) else cell for name, cell in cells.items()}
        missing = {name for name, cell in point.items() if isinstance(cell, float) and math.isnan(cell)}
        yield {name: cell for name, cell in point.items() if name not in missing}, [row[metric] for metric in metrics]


def _within(trials: Iterable[Evaluation], space: Space) -> Iterator[Evaluation]:
    """Yield the trials whose points are in the space, without parameters that it does not have."""
    searched = [
        parameter for parameter in space.parameters if isinstance(parameter.domain, Domain) or parameter.depends
    ]
    constants = {p.name: p.domain for p in space.parameters if p not in searched}
    dependent = {parameter.name for parameter in searched if parameter.depends}
    tokens = Tokens(Space(tuple(_checked(searched)), ()))
    encoding = Encoding(tokens.space, NATIVE)
    for trial in trials:
        # A parameter whose condition is not met is None there.
        known = {p.name: trial.point[p.name] for p in searched if p.name in trial.point}
        point = {name: value for name, value in known.items() if value is not None or name not in dependent}
        try:
            encoding.encode({**constants, **tokens.encode(point)})
            if space.violated(nested({**constants, **point})) is None:
                yield Evaluation(point, trial.values)
        except ValueError:  # a parameter is missing, or has a value that its domain does not have
            continue


def _checked(parameters: Iterable[Parameter]) -> Iterator[Parameter]:
    """Yield the parameters whose values can be checked, grids as choices."""
    for parameter in parameters:
        domain = parameter.domain
        if isinstance(domain, Domain) and domain.kind == "grid_search":
            parameter = replace(parameter, domain=Domain("choice", {"categories": domain.arguments["values"]}))
        if encoding_problem(parameter, NATIVE) is None:
            yield parameter


def _best(trials: Sequence[Evaluation], objectives: Sequence[Objective]) -> list[Evaluation]:
    """Return the trials, the best first; of several objectives, those on the Pareto front."""
    losses = np.array([trial.values for trial in trials]) * [objective.sign for objective in objectives]
    is_first = on_front(losses) if len(objectives) > 1 else np.zeros(len(trials), bool)
    return [trials[position] for position in np.lexsort([losses[:, 0], ~is_first])]
