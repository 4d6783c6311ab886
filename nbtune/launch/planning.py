"""Plans of experiments on the connected cluster, before they start and while they run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbtune.bad_input import readable_input
from nbtune.errors import Problem, SpecError
from nbtune.launch.check_space import as_space
from nbtune.spec.options.defaults import with_defaults
from nbtune.spec.options.options import Spec, make_spec
from nbtune.spec.plan.ingest import Ingest
from nbtune.spec.plan.plan import Plan, driver_problem, make_plan
from nbtune.spec.plan.shape import Shape
from nbtune.spec.space.space import Space

if TYPE_CHECKING:
    from nbtune.cluster.connect import Cluster
    from nbtune.results.experiment import Experiment

__all__ = ["describe_progress", "plan", "plan_spec"]

_RELEASE_DELAY = 0.3  # seconds until Ray's nodes have reported resources that were just released


@readable_input()
def plan(space: Any = None, **options: Any) -> Plan:
    """Return the plan of an experiment on the connected cluster, without starting it.

    Args:
        space: as for `tune`, for the number of trials that `grid_search` makes; None for a plan of `samples` trials.
        options: as for `tune`: `samples`, `cpus`, `gpus`, `memory`, `resources`, `workers`, `scaling`…

    Raises:
        SpecError: an option is invalid. Resources that no node has are not an error: the plan's `problems` name them.
        ClusterError: no cluster can be reached or started.
    """
    from nbtune.cluster.connect import connect
    from nbtune.engine.search.grids import trial_count

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
    if planned.at_first < planned.concurrent:  # resources that were just released may still count as used
        time.sleep(_RELEASE_DELAY)
        planned = plan_spec(spec, trials, cluster)
    return replace(planned, repeat=spec.repeat)


def plan_spec(spec: Spec, trials: int, cluster: Cluster) -> Plan:
    """Return the plan of an experiment.

    Args:
        spec: the options.
        trials: the number of trials that the experiment will have, or of those that remain.
        cluster: the cluster.
    """
    from nbtune.cluster.connect import import_ray
    from nbtune.cluster.resources.capacity import autoscaling_nodes, available_per_node

    ray = import_ray()
    free = available_per_node(ray)
    state: dict[str, Any] = {"free": free if free is not None and len(free) == len(cluster.nodes) else None}
    planned = _plan_with_most_workers(spec, trials, cluster, state)
    # Over Ray Client, asking for the growth starts a process on the cluster, so it is done only where it matters.
    if planned.problems or free is not None:
        state["growth"] = autoscaling_nodes(ray, cluster)
        if state["growth"] is not None:
            planned = _plan_with_most_workers(spec, trials, cluster, state)
    problem = driver_problem(spec.driver_resources, cluster.nodes)
    return replace(planned, problems=(*planned.problems, problem)) if problem else planned


def _plan_with_most_workers(spec: Spec, trials: int, cluster: Cluster, state: Mapping[str, Any]) -> Plan:
    """Return the plan; that of an elastic run has the largest number of workers that fits.

    If no number fits, it is the plan with the maximum, whose problems say why.
    """
    ingest = Ingest(spec.data_cpus) if spec.reads_data else None

    def plan_shape(shape: Shape) -> Plan:
        return make_plan(shape, cluster.nodes, trials, spec.max_concurrent, ingest=ingest, **state)

    planned = plan_shape(spec.shape)
    group = spec.worker_group
    if group is None or group.elastic is None or not planned.problems:
        return planned
    minimum, maximum = group.elastic
    for count in range(maximum - 1, minimum - 1, -1):
        with_fewer = plan_shape(group.shape(count))
        if not with_fewer.problems:
            return with_fewer
    return planned


def describe_progress(experiment: Experiment) -> str:
    """Return an experiment's plan, its progress and its remaining time, as text.

    Args:
        experiment: the experiment.
    """
    planned = experiment.plan
    plan_text = str(planned) if planned is not None else "no plan: nbtune has not started this experiment"
    over, total = experiment._store.progress()
    remaining = experiment.time_left
    text = f"{experiment.status}, {over} of {total} trials are over"
    return f"{plan_text}\n{text}" + (f", {remaining}" if remaining else "")
