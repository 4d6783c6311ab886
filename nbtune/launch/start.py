"""From what was prepared to a running experiment, or to a dry run of it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from nbtune.errors import ExperimentError, SpecError
from nbtune.launch.planning import plan_spec
from nbtune.launch.prepare import Prepared
from nbtune.launch.registry import register
from nbtune.shell import can_interact
from nbtune.spec.options.options import OPTIONS
from nbtune.spec.plan.plan import Plan
from nbtune.spec.plan.shape import format_factory, is_factory

if TYPE_CHECKING:
    from nbtune.cluster.connect import Cluster
    from nbtune.engine.protocol.metadata import Metadata
    from nbtune.engine.storage.storage import Storage
    from nbtune.results.experiment import Experiment

__all__ = ["dry_run", "finish", "launch_prepared", "must_wait"]


def launch_prepared(prepared: Prepared) -> Experiment:
    """Start what was prepared, on the connected cluster or on one started for it.

    Raises:
        SpecError: it can never be placed on this cluster, or not be kept there.
        ClusterError: no cluster can be reached or started.
        ExperimentError: its storage cannot be written.
    """
    from nbtune.cluster.connect import NAMESPACE, connect
    from nbtune.cluster.embedded import warm
    from nbtune.cluster.resources.shared import settle
    from nbtune.results.experiment import Experiment

    began = time.time()
    cluster = connect()
    planned = plan_prepared(prepared, cluster)
    if planned.problems:
        raise SpecError(planned.problems)
    from nbtune.engine.client.launch import launch
    from nbtune.engine.client.stored import events_since
    from nbtune.engine.storage.credentials import object_store_variables
    from nbtune.engine.storage.launch_spec import Launch
    from nbtune.engine.storage.storage import Storage, default_storage
    from nbtune.launch.resume import go_on

    if planned.shape.workers:  # nobody else keeps trials from holding what others wait for
        prepared = replace(prepared, spec=replace(prepared.spec, max_concurrent=planned.max_concurrent))
    spec = prepared.spec
    storage = Storage(spec.storage or default_storage(), spec.storage_filesystem)
    found = settle(storage, checkpoints=prepared.checkpoints, retries=spec.max_failures != 0)
    planned = replace(planned, notes=(*planned.notes, *found.notes))
    plain, secret = object_store_variables(os.environ) if storage.local_path is None else ({}, {})
    folder = _folder(spec.name)
    where = storage.join(folder)
    start = Launch(
        spec=spec,
        space=prepared.space,
        data=prepared.packed.data,
        large_count=len(prepared.packed.large),
        folder=folder,
        storage=storage,
        slots=planned.fixed_slots,
        metadata={"began": began, "detached": not cluster.embedded, **_metadata(prepared, planned, where)},
        environment=secret,
    )
    warm.began()
    source = launch(
        start,
        prepared.packed.large,
        NAMESPACE,
        partial(events_since, where),
        resources=spec.driver_resources,
        node=found.node,
        variables=plain,
    )
    metadata: Metadata = {**start.metadata, "path": where.place}  # its events have it without passwords
    experiment = Experiment(
        source, plan=planned, where=where, on_end=warm.ended, metadata=metadata, fixed=("path",), resume=go_on
    )
    register(experiment)
    return experiment


def must_wait(prepared: Prepared) -> bool:
    """Tell whether to wait for the end: as was said, or else where nobody can interact."""
    return not can_interact() if prepared.spec.wait is None else prepared.spec.wait


def finish(experiment: Experiment) -> Experiment:
    """Wait for an experiment's end.

    Raises:
        ExperimentError: it failed, was lost, or nbtune has failed to read it.
    """
    experiment.wait()
    if experiment.status in {"failed", "lost", "unread"}:
        raise ExperimentError(repr(experiment))
    return experiment


def plan_prepared(prepared: Prepared, cluster: Cluster) -> Plan:
    """Return the plan of what was prepared, on a cluster."""
    from nbtune.engine.search.algorithms import trial_count

    planned = plan_spec(prepared.spec, trial_count(prepared.spec, prepared.space), cluster)
    return replace(planned, notes=(*planned.notes, *prepared.notes))


def _folder(name: str) -> str:
    """Return a folder's name that no earlier experiment has."""
    now = time.time()
    return f"{name}_{datetime.fromtimestamp(now):%Y-%m-%d_%H-%M-%S}-{int(now * 1000) % 1000:03}"


def _metadata(prepared: Prepared, planned: Plan, where: Storage) -> Metadata:
    """Return what the log's first event tells of an experiment."""
    import ray

    from nbtune.cluster.link.imports import version
    from nbtune.engine.protocol.recorded_space import recorded
    from nbtune.engine.search.algorithms import trial_count
    from nbtune.engine.storage.storage import Storage
    from nbtune.spec.space.json import space_to_json

    spec = prepared.spec
    plain_options = {
        name: value if isinstance(value, (int, float, str)) else repr(value)
        for name in OPTIONS
        if (value := getattr(spec, name)) not in (None, (), {})
    }
    if is_factory(spec.resources):
        plain_options["resources"] = format_factory(spec.resources)
    if spec.storage is not None:
        plain_options["storage"] = Storage(spec.storage, spec.storage_filesystem).redacted
    return {
        "name": spec.name,
        "path": where.redacted,
        "notes": list(planned.notes),
        "metric": spec.metric,
        "mode": spec.mode,
        "trials": planned.trials,
        "concurrent": planned.concurrent,
        "max_concurrent": spec.max_concurrent,
        "workers": str(spec.worker_group or ""),
        "plan": planned.to_json(),
        "space": recorded(prepared.space),
        "definition": space_to_json(prepared.space, keep_names=True),
        "per_sample": trial_count(replace(spec, samples=1, points=()), prepared.space),
        "options": plain_options,
        "source": prepared.source,
        "versions": {"python": platform.python_version(), "ray": ray.__version__, "nbtune": version()},
    }


def dry_run(prepared: Prepared) -> str:
    """Run a program here, once, with the defaults, to its first report; return what a person should know.

    Raises:
        ExperimentError: the program raises, or ends without a report.
    """
    from nbtune.cluster.connect import connect
    from nbtune.engine.protocol.failures import format_error
    from nbtune.engine.search.sampling import default_config
    from nbtune.engine.trial.payload import describe_captured, unpack
    from nbtune.engine.trial.program import call
    from nbtune.engine.trial.session import DryRunSession, FirstReport, set_session

    try:
        config = default_config(prepared.space)
    except ValueError as error:
        raise ExperimentError(f"the dry run failed: there is no configuration to run with: {error}") from None
    # Packed and unpacked, as for a trial: a dry run must not change the notebook.
    unpacked = unpack(prepared.packed.data, lambda position: _read_only(prepared.packed.large[position]))
    previous = set_session(DryRunSession())
    began = time.perf_counter()
    try:
        with _as_worker(prepared):
            result = call(unpacked, config)
    except FirstReport as first:
        result = first.metrics
    except Exception as error:
        raise ExperimentError(f"the dry run failed\n{format_error(error, prepared.program.sources)}") from None
    finally:
        set_session(previous)
    took = time.perf_counter() - began
    if not isinstance(result, Mapping) or not result:
        raise ExperimentError("the dry run came to its end without a report")
    metric = prepared.spec.metric
    if metric is not None and metric not in result:
        raise ExperimentError(f"the first report does not have the metric {metric!r}; it has {', '.join(result)}")
    shown = ", ".join(f"{name}={value!r}" for name, value in config.items())
    reported = ", ".join(f"{name}={value!r}" for name, value in result.items())
    planned = plan_prepared(prepared, connect())
    return "\n".join(
        [
            f"ran once here with {shown}",
            f"first report after {took:.2f} s: {reported}",
            describe_captured(prepared.packed.captured),
            f"plan: {planned}",
        ]
    )


def _as_worker(prepared: Prepared) -> AbstractContextManager[None]:
    """Return what lets code that is written for workers of Ray Train run here."""
    if prepared.spec.worker_group is None:
        return nullcontext()
    from nbtune.engine.train.worker import alone

    return alone(prepared.spec.name)


def _read_only(value: Any) -> Any:
    """Return an array as trials see it: shared, not to be changed."""
    if not hasattr(value, "setflags"):
        return value
    view = value.view()
    view.setflags(write=False)
    return view
