"""Plans of experiments on the connected cluster: before they start, and of those that run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbtune.errors import Problem, SpecError
from nbtune.launch.prepare import as_space
from nbtune.spec.options.defaults import with_defaults
from nbtune.spec.options.options import Spec, make_spec
from nbtune.spec.plan.plan import Plan, driver_problem, make_plan
from nbtune.spec.plan.shape import Shape
from nbtune.spec.space.space import Space

if TYPE_CHECKING:
    from nbtune.cluster.connect import Cluster
    from nbtune.results.experiment import Experiment

__all__ = ["plan", "plan_spec", "told"]

_MOMENT = 0.3  # seconds after which Ray's nodes have told what they have free


def plan(space: Any = None, **options: Any) -> Plan:
    """Return how an experiment would run on the connected cluster; nothing is started.

    Args:
        space: as for `tune`, so that `grid_search` in it counts; None for one whose trials are `samples`.
        options: as for `tune`: `samples`, `cpus`, `gpus`, `memory`, `resources`, `workers`, `scaling`…

    Raises:
        SpecError: an option is wrong. A shape that does not fit is none: it is in the plan's `problems`.
        ClusterError: no cluster can be reached or started.
    """
    from nbtune.cluster.connect import connect
    from nbtune.engine.search.algorithms import trial_count

    merged, problems = with_defaults(options)
    spec, option_problems = make_spec(merged)
    problems += option_problems
    parameters = Space() if space is None else as_space(space, problems)
    problems += parameters.problems()
    try:
        spec = spec.within(parameters)
    except SpecError as error:
        problems += error.problems
    if problems:
        raise SpecError(problems)
    try:
        trials = trial_count(spec, parameters)
    except ValueError as error:
        raise SpecError([Problem(str(error))]) from None
    cluster = connect()
    planned = plan_spec(spec, trials, cluster)
    if planned.at_first < planned.concurrent:  # what has just been given back counts as used for a moment
        time.sleep(_MOMENT)
        planned = plan_spec(spec, trials, cluster)
    return planned


def plan_spec(spec: Spec, trials: int, cluster: Cluster) -> Plan:
    """Return the plan of an experiment.

    Args:
        spec: its options.
        trials: how many trials it will have, or has still to run.
        cluster: where.
    """
    from nbtune.cluster.connect import import_ray
    from nbtune.cluster.resources.capacity import free_now, growth

    ray = import_ray()
    free = free_now(ray)
    around: dict[str, Any] = {"free": free if free is not None and len(free) == len(cluster.nodes) else None}
    planned = _first_that_fits(spec, trials, cluster, around)
    # Over Ray Client the question costs a process on the cluster: it is asked where the answer matters.
    if planned.problems or free is not None:
        around["growth"] = growth(ray, cluster)
        if around["growth"] is not None:
            planned = _first_that_fits(spec, trials, cluster, around)
    nowhere = driver_problem(spec.driver_resources, cluster.nodes)
    return replace(planned, problems=(*planned.problems, nowhere)) if nowhere else planned


def _first_that_fits(spec: Spec, trials: int, cluster: Cluster, around: Mapping[str, Any]) -> Plan:
    """Return the plan with as many workers as fit, where a run takes more or fewer; else the one with the most."""

    def made(shape: Shape) -> Plan:
        return make_plan(shape, cluster.nodes, trials, spec.max_concurrent, **around)

    whole = made(spec.shape)
    group = spec.worker_group
    if group is None or group.elastic is None:
        return whole
    least, most = group.elastic
    for count in range(most - 1, least - 1, -1):
        if not whole.problems:
            break
        fewer = made(group.shape(count))
        if not fewer.problems:
            return fewer
    return whole


def told(experiment: Experiment) -> str:
    """Return an experiment's plan, how far it is and the time that it has left, as text."""
    planned = experiment.plan
    plan_text = str(planned) if planned is not None else "no plan is known of it: nbtune has not started it"
    over, total = experiment._store.progress()
    left = experiment.time_left
    return f"{plan_text}\n{experiment.status}, {over} of {total} trials are over{f', {left}' if left else ''}"
