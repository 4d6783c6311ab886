"""Starts a prepared experiment, or does a dry run of it."""

from __future__ import annotations

import inspect
import os
import platform
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from nbtune.engine.client.variables import changed_variables
from nbtune.errors import ExperimentError, SpecError, Spelling, spell
from nbtune.launch.check_objects import given_objects
from nbtune.launch.code import remember_start
from nbtune.launch.planning import plan_spec
from nbtune.launch.prepare import Prepared
from nbtune.launch.registry import register
from nbtune.passwords import without_passwords
from nbtune.shell import can_interact, cell_label, notebook_id
from nbtune.spec.options.options import OPTIONS, Spec
from nbtune.spec.plan.plan import Plan
from nbtune.spec.plan.shape import format_factory, is_factory

if TYPE_CHECKING:
    from nbtune.cluster.connect import Cluster
    from nbtune.engine.protocol.metadata import Metadata
    from nbtune.engine.storage.storage import Storage
    from nbtune.results.experiment import Experiment

__all__ = ["dry_run", "launch_prepared", "recorded_options", "should_wait", "wait_for_end"]


def launch_prepared(prepared: Prepared) -> Experiment:
    """Start an experiment, on the connected cluster or on one that is started for it.

    Args:
        prepared: the experiment.

    Raises:
        SpecError: the cluster can never run its trials, or not all nodes see its storage.
        ClusterError: no cluster can be reached or started.
        ExperimentError: its storage cannot be written.
    """
    from nbtune.cluster.connect import connect
    from nbtune.cluster.resources.shared import check_storage
    from nbtune.engine.protocol.environment import NAMESPACE
    from nbtune.results.experiment import Experiment

    began = time.time()
    cluster = connect()
    planned = plan_prepared(prepared, cluster)
    if planned.problems:
        raise SpecError(planned.problems)
    from nbtune.engine.client.launch import launch
    from nbtune.engine.client.processes import Placement
    from nbtune.engine.client.stored import events_since
    from nbtune.engine.protocol.trust import experiment_key, key_note
    from nbtune.engine.storage.credentials import object_store_variables
    from nbtune.engine.storage.launch_spec import Launch
    from nbtune.engine.storage.storage import Storage, default_storage
    from nbtune.engine.trial.payload import code_sources
    from nbtune.launch.resume import resume_experiment

    if planned.shape.workers or planned.data_cpus:  # else trials could hold what others wait for
        prepared = replace(prepared, spec=replace(prepared.spec, max_concurrent=planned.max_concurrent))
    spec = prepared.spec
    storage = Storage(spec.storage or default_storage(), spec.storage_filesystem)
    place = check_storage(storage, checkpoints=prepared.checkpoints, retries=spec.max_failures != 0)
    planned = replace(planned, notes=(*planned.notes, *place.notes))
    plain, secret = object_store_variables(os.environ) if storage.local_path is None else ({}, {})
    changed = changed_variables(same_machine=cluster.embedded)
    folder = _folder(spec.name)
    where = storage.join(folder)
    if note := key_note():
        planned = replace(planned, notes=(*planned.notes, note))
    identifier = uuid.uuid4().hex
    start = Launch(
        # The driver need not unpickle the data sets.
        spec=replace(spec, datasets=prepared.datasets.about, dataset_config=None) if prepared.datasets else spec,
        space=prepared.space,
        data=prepared.packed.data,
        large_count=len(prepared.packed.large),
        folder=folder,
        storage=storage,
        slots=planned.fixed_slots,
        metadata={
            "id": identifier,
            "started": began,
            "detached": not cluster.embedded,
            **_metadata(prepared, planned, where),
        },
        environment={**secret, **changed},
        sources={**prepared.packed.sources, **code_sources(given_objects(spec, prepared.space), cell_label)},
        version=prepared.packed.version,
        variable=prepared.origin.variable,
        entry=prepared.entry,
        key=experiment_key(identifier),
        datasets=prepared.datasets,
        variables_set=tuple(name for name, value in changed.items() if value is not None),
    )
    remember_start(identifier, prepared.origin)
    source, on_end = launch(
        start,
        prepared.packed.large,
        NAMESPACE,
        partial(events_since, where),
        Placement(spec.driver_resources or {}, place.node, plain),
    )
    metadata: Metadata = {**start.metadata, "path": where.place}  # the event log has the path without passwords
    experiment = Experiment(
        source,
        plan=planned,
        where=where,
        on_end=on_end,
        metadata=metadata,
        fixed=("path",),
        resume=resume_experiment,
    )
    register(experiment)
    return experiment


def should_wait(prepared: Prepared) -> bool:
    """Tell whether to wait for the end: as the option `wait` says, or by default where nobody can interact.

    Args:
        prepared: the experiment.
    """
    return not can_interact() if prepared.spec.wait is None else prepared.spec.wait


def wait_for_end(experiment: Experiment, *, line: bool = True) -> Experiment:
    """Wait until an experiment is over, and return it.

    Args:
        experiment: the experiment.
        line: whether a line shows the progress meanwhile.

    Raises:
        ExperimentError: it failed, was lost, or nbtune failed to read it.
        WaitInterrupted: the user has interrupted the waiting.
    """
    if line:
        experiment.wait()
    else:
        experiment._wait()
    if experiment.status in {"failed", "lost", "unread", "running elsewhere"}:
        raise ExperimentError(repr(experiment))
    return experiment


def plan_prepared(prepared: Prepared, cluster: Cluster) -> Plan:
    """Return the plan of an experiment, with the notes on its space.

    Args:
        prepared: the experiment.
        cluster: the cluster.
    """
    from nbtune.engine.search.grids import trial_count

    planned = plan_spec(prepared.spec, trial_count(prepared.spec, prepared.space), cluster)
    spelling: Spelling = "line" if prepared.origin.is_cell else "python"
    notes = tuple(spell(note, spelling) for note in (*planned.notes, *prepared.notes))
    return replace(planned, notes=notes, repeat=prepared.spec.repeat)


def _folder(name: str) -> str:
    """Return a new folder name: the experiment's name and the time, in milliseconds."""
    now = time.time()
    return f"{name}_{datetime.fromtimestamp(now):%Y-%m-%d_%H-%M-%S}-{int(now * 1000) % 1000:03}"


def _metadata(prepared: Prepared, planned: Plan, where: Storage) -> Metadata:
    """Return the metadata of the log's first event."""
    import ray

    from nbtune.cluster.link.imports import version
    from nbtune.engine.protocol.recorded_space import recorded
    from nbtune.engine.search.grids import trial_count
    from nbtune.spec.space.json import space_to_json

    spec = prepared.spec
    return {
        "name": spec.name,
        "path": where.redacted,
        "notes": list(planned.notes),
        "metric": spec.metric,
        "mode": spec.mode,
        "objectives": [[objective.metric, objective.mode] for objective in spec.several],
        "scope": spec.scope,
        "metrics": list(prepared.metrics),
        "trials": planned.trials,
        "concurrent": planned.concurrent,
        "max_concurrent": spec.max_concurrent,
        "workers": str(spec.worker_group or ""),
        "plan": planned,
        "space": recorded(prepared.space),
        "definition": space_to_json(prepared.space, keep_names=True),
        "trials_per_sample": trial_count(replace(spec, samples=1, points=()), prepared.space),
        "repeat": spec.repeat,
        "datasets": {name: info.to_json() for name, info in prepared.datasets.about.items()}
        if prepared.datasets
        else {},
        "options": recorded_options(spec),
        "source": without_passwords(prepared.source),
        "notebook": notebook_id(),
        "versions": {"python": platform.python_version(), "ray": ray.__version__, "nbtune": version()},
    }


def recorded_options(spec: Spec) -> dict[str, int | float | str]:
    """Return the options that were given, as the event log has them: text where they are neither numbers nor text.

    Args:
        spec: the options.
    """
    from nbtune.engine.storage.storage import Storage

    given = {name: value for name in OPTIONS if (value := getattr(spec, name)) not in (None, (), {})}
    options = {name: _recorded(name, value) for name, value in given.items()}
    if spec.several:
        options["metric"] = ",".join(objective.metric for objective in spec.several)
        options["mode"] = ",".join(objective.mode for objective in spec.several)
    if is_factory(spec.resources):
        options["resources"] = format_factory(spec.resources)
    if spec.storage is not None:
        options["storage"] = Storage(spec.storage, spec.storage_filesystem).redacted
    return options


_NAMES: Mapping[str, Callable[[Any], Iterable[str]]] = {
    "env": list,  # values may be secret
    "worker_env": list,
    "datasets": list,  # the text of a data set has its first rows, for which Ray executes it
    "dataset_config": lambda config: config if isinstance(config, tuple) else [f"{type(config).__name__}(…)"],
    "callbacks": lambda callbacks: [type(one).__name__ for one in callbacks],
}
"""Options of which names are recorded, and what returns them."""


def _recorded(name: str, value: Any) -> int | float | str:
    """Return what is recorded of an option; of the user's own objects only the class, since they may have secrets."""
    if name in _NAMES:
        return ", ".join(_NAMES[name](value))
    if isinstance(value, (int, float, str)):
        return value
    if inspect.isroutine(value):
        return f"{value.__qualname__}(…)"
    package = type(value).__module__.partition(".")[0]
    return str(value) if package in {"builtins", "ray", "nbtune"} else f"{type(value).__name__}(…)"


def dry_run(prepared: Prepared) -> str:
    """Run the program once in this process, with the default parameters, to its first report.

    Args:
        prepared: the experiment.

    Returns:
        The parameters, the report, the variables that are sent to the trials, and the plan, as text.

    Raises:
        ExperimentError: the program raises, or ends without a report.
    """
    import ray

    from nbtune.cluster.connect import connect
    from nbtune.engine.protocol.failures import format_error
    from nbtune.engine.protocol.metrics import flat
    from nbtune.engine.search.sampling import default_config
    from nbtune.engine.trial.datasets import Datasets, provided
    from nbtune.engine.trial.payload import describe_captured, unpack
    from nbtune.engine.trial.program import call
    from nbtune.engine.trial.session import DryRunSession, FirstReport, set_session
    from nbtune.engine.tune.class_trial import first_step

    try:
        config = default_config(prepared.space)
    except ValueError as error:
        raise ExperimentError(f"the dry run failed: no default parameters: {error}") from None
    # Packed and unpacked as for a trial, so that a dry run does not change the notebook's variables.
    unpacked = unpack(prepared.packed.data, lambda position: _read_only(prepared.packed.large[position]))
    packed = prepared.datasets
    large = packed.large if packed is not None else ()
    datasets = Datasets(packed, lambda position: large[position], lambda position: ray.put(large[position]))
    previous = set_session(DryRunSession())
    began = time.perf_counter()
    try:
        with provided(datasets), _as_worker(prepared):
            result = first_step(unpacked, config) if prepared.entry.is_class else call(unpacked, config)
    except FirstReport as first:
        result = first.metrics
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also sys.exit() and the user's own subclasses of BaseException
        raise ExperimentError(f"the dry run failed\n{format_error(error, prepared.packed.sources)}") from None
    finally:
        set_session(previous)
    seconds = time.perf_counter() - began
    if not isinstance(result, Mapping) or not result:
        raise ExperimentError("the dry run ended without a report")
    names = {name for name, _ in flat(result)}
    for metric in (objective.metric for objective in prepared.spec.objectives):
        if metric not in names:
            raise ExperimentError(f"the first report has no metric {metric!r}; it has {', '.join(result)}")
    shown = ", ".join(f"{name}={value!r}" for name, value in config.items())
    reported = ", ".join(f"{name}={value!r}" for name, value in result.items())
    planned = plan_prepared(prepared, connect())
    return "\n".join(
        [
            f"ran once here with {shown}",
            f"first report after {seconds:.2f} s: {reported}",
            describe_captured(prepared.packed.captured),
            f"plan: {planned}",
        ]
    )


def _as_worker(prepared: Prepared) -> AbstractContextManager[None]:
    """Return a context in which code for workers of Ray Train runs in this process, as the only worker."""
    if prepared.spec.worker_group is None and prepared.datasets is None:
        return nullcontext()
    from nbtune.engine.train.alone import without_workers

    return without_workers(prepared.spec.name)


def _read_only(value: Any) -> Any:
    """Return a read-only view of an array, as trials have it."""
    if not hasattr(value, "setflags"):
        return value
    view = value.view()
    view.setflags(write=False)
    return view
