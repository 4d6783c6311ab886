"""Attaches to experiments that run on the cluster, and resumes those that are over.

Resuming imports what takes long, and attaching does not need.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from nbtune.errors import ExperimentError, SpecError, did_you_mean
from nbtune.launch.registry import lookup, register
from nbtune.shell import say

if TYPE_CHECKING:
    from nbtune.engine.client.drivers import BrokenDriver
    from nbtune.engine.client.launch import Remote
    from nbtune.engine.driver.info import DriverInfo
    from nbtune.engine.protocol.commands import Command
    from nbtune.engine.protocol.metadata import Metadata
    from nbtune.engine.protocol.source import Source
    from nbtune.engine.protocol.trust import Trust
    from nbtune.engine.storage.storage import Storage
    from nbtune.launch.past import Stored
    from nbtune.results.experiment import Experiment

__all__ = ["attach", "attach_to_drivers", "name_of", "resume_experiment"]

_EVENTS_TIMEOUT = 30.0  # seconds for the first events of all experiments that are attached to at once


def attach(name: str, storage: str | None = None, filesystem: Any = None) -> Experiment:
    """Return an experiment that runs on the cluster, or else the latest of its name in storage.

    Args:
        name: the experiment's name, or the name or path of its folder.
        storage: the folder or URI to search if it does not run; ``~/ray_results`` if None.
        filesystem: the `pyarrow.fs.FileSystem` that `storage` is a path on; None for a local folder or a URI.

    Returns:
        The experiment, with all events from its start on.

    Raises:
        ExperimentError: no experiment has this name.
        ClusterError: the cluster cannot be reached.
    """
    from nbtune.cluster.connect import reach
    from nbtune.engine.client.identity import same_place
    from nbtune.engine.client.stored import stored_experiments
    from nbtune.engine.storage.storage import Storage, default_storage
    from nbtune.launch.load import load

    wanted, is_path = PurePosixPath(name).name, "/" in name
    running: list[str] = []  # the folders of all experiments on the cluster

    def is_wanted(info: DriverInfo) -> bool:
        running.append(info.where.name)
        return wanted in (info.where.name, name_of(info.where.name))

    experiments, problems = attach_to_drivers(is_wanted) if reach() else ([], [])
    for experiment in reversed(experiments):  # a copy of a running experiment has the same folder name
        where = experiment.where
        if not is_path or (where is not None and same_place(where, Storage(name, filesystem))):
            return experiment
    for problem in problems:
        say(f"a driver on the cluster, whose experiment is not known, cannot be reached: {problem.reason}")
    if is_path:
        return load(name, filesystem)
    root = str(storage or default_storage())
    stored = {where.name: where for where in stored_experiments(Storage(root, filesystem))}
    matching = [folder for folder in stored if wanted in (folder, name_of(folder))]
    if matching:
        return load(stored[max(matching)].place, filesystem)
    names = sorted({name_of(folder) for folder in [*running, *stored]})
    raise ExperimentError(
        f"there is no experiment {name!r}{did_you_mean(name, names)} on the cluster or in {root}; the experiments are"
        f" {', '.join(names) or 'none'}"
    )


def name_of(folder: str) -> str:
    """Return the experiment's name in the name of its folder, NAME_DATE_TIME.

    Args:
        folder: the name of the folder.
    """
    return folder.rsplit("_", 2)[0]


def attach_to_drivers(
    wanted: Callable[[DriverInfo], bool] = lambda info: True,
) -> tuple[list[Experiment], list[BrokenDriver]]:
    """Return the experiments that drivers on the cluster run, the latest last, and the drivers that do not work.

    Args:
        wanted: whether to return an experiment.
    """
    from nbtune.engine.client.drivers import find
    from nbtune.engine.client.stored import events_since
    from nbtune.engine.protocol.environment import NAMESPACE
    from nbtune.engine.protocol.metadata import Metadata
    from nbtune.results.experiment import Experiment

    experiments: list[Experiment] = []
    found = find(NAMESPACE, events_since, wanted)
    for source, info in found.drivers:
        experiment = lookup(info.where.place)
        if experiment is None or experiment.over:
            metadata = Metadata(name=info.name, path=info.where.place)
            experiment = Experiment(
                source, where=info.where, metadata=metadata, fixed=("path",), resume=resume_experiment
            )
            register(experiment)
        experiments.append(experiment)
    deadline = time.monotonic() + _EVENTS_TIMEOUT
    for experiment in experiments:
        experiment.wait_for_events(max(0.0, deadline - time.monotonic()))
    return experiments, found.broken


def _driver_at(where: Storage) -> tuple[Remote, DriverInfo] | None:
    """Return the driver on the cluster that runs the experiment of a folder, and what it runs; or None."""
    from nbtune.engine.client.drivers import find
    from nbtune.engine.client.identity import same_place
    from nbtune.engine.client.stored import events_since
    from nbtune.engine.protocol.environment import NAMESPACE

    found = find(NAMESPACE, events_since, lambda info: same_place(info.where, where))
    return found.drivers[-1] if found.drivers else None


def resume_experiment(
    where: Storage, *, trust: Trust, failed: bool = False, commands: Sequence[Command] = (), code: str = "stored"
) -> tuple[Source, Callable[[], None]]:
    """Start a driver that resumes an experiment that is over. Tell how the present code differs from the stored one.

    Args:
        where: the experiment's folder.
        trust: whose code is run.
        failed: whether failed trials are resumed as well, from their last checkpoints.
        commands: the commands to execute first.
        code: "stored", or "new" for the present text of its cell or function.

    Returns:
        The source of its events, and what to call when it is over.

    Raises:
        ElsewhereError: it runs elsewhere.
        ExperimentError: all trials are over, another kernel resumes it at the same time, the folder does not contain
            the experiment's code, or this kernel does not have the new code.
        SpecError: the cluster can never run its trials, or the new code cannot be sent to them.
        UntrustedError: its code, or an object among its parameters, is not trusted.
        ClusterError: no cluster can be reached or started.
    """
    from nbtune.cluster.connect import connect
    from nbtune.engine.client.launch import resume
    from nbtune.engine.client.processes import Placement
    from nbtune.engine.client.stored import events_since
    from nbtune.engine.client.variables import changed_variables
    from nbtune.engine.protocol.environment import NAMESPACE
    from nbtune.engine.protocol.trust import EVERYTHING, experiment_key
    from nbtune.engine.storage.credentials import object_store_variables
    from nbtune.engine.storage.launch_spec import Resume
    from nbtune.launch.code import choose_code
    from nbtune.launch.data import check_blocks
    from nbtune.launch.past import read_stored, remaining_trials, stored_launch
    from nbtune.launch.planning import plan_spec

    stored_launch(where, trust)  # before anything starts
    cluster = connect()
    if (running := _join_driver(where, commands)) is not None:
        if code == "new":
            say(f"{name_of(where.name)} was resumed by another kernel, with the code that it has stored")
        return running, lambda: None
    stored = read_stored(where, trust)
    check_blocks(stored.launch.datasets)
    spec, past = stored.launch.spec, stored.past
    remaining = remaining_trials(past, failed=failed, is_needed=not commands)
    max_concurrent = past.metadata.get("max_concurrent", spec.max_concurrent)
    planned = plan_spec(replace(spec, max_concurrent=max_concurrent), max(1, remaining), cluster)
    if planned.problems:
        raise SpecError(planned.problems)
    chosen = choose_code(stored.launch, past.metadata, code)
    metadata: Metadata = {**_next_metadata(where, stored), "detached": not cluster.embedded, "plan": planned}
    metadata |= chosen.metadata
    plain, secret = object_store_variables(os.environ) if where.local_path is None else ({}, {})
    variables = {**secret, **changed_variables(same_machine=cluster.embedded)}
    key = experiment_key(stored.launch.metadata.get("id", ""), accepts_all=trust is EVERYTHING)
    if missing := [name for name in stored.launch.variables_set if name not in {*os.environ, *spec.env}]:
        say(
            f"{metadata['name']} was started with environment variables that are not set here, so that its trials do"
            f" not have them: {', '.join(missing)}. Their values are not stored"
        )
    request = Resume(
        where.name,
        where.parent,
        planned.fixed_slots,
        key,
        stored.epoch,
        failed,
        tuple(commands),
        metadata,
        variables,
        chosen.code,
    )
    placement = Placement(spec.driver_resources or {}, variables=plain)
    return resume(request, chosen.large, NAMESPACE, partial(events_since, where), placement)


def _join_driver(where: Storage, commands: Sequence[Command]) -> Source | None:
    """Return the source of the driver that another kernel has resumed the experiment with, after it has got the
    commands; None if there is none. One that has ended its experiment, and waits for readers, exits.
    """
    from nbtune.engine.client.drivers import end_driver

    if (running := _driver_at(where)) is None:
        return None
    source, info = running
    if info.over:
        end_driver(source)
        return None
    for command in commands:
        source.send(command)
    return source


def _next_metadata(where: Storage, stored: Stored) -> Metadata:
    """Return what the first event of the next driver records of the experiment, without what the cluster decides."""
    from nbtune.engine.client.drivers import find
    from nbtune.engine.client.identity import identity
    from nbtune.engine.client.stored import events_since
    from nbtune.engine.protocol.environment import NAMESPACE

    past = stored.past.metadata
    own = identity(where, past)
    # That of another folder with this id may run.
    if find(NAMESPACE, events_since, lambda info: info.experiment == own["id"]).drivers:
        own = identity(where, past, is_taken=True)
    metadata: Metadata = {
        **stored.lost,
        **own,
        "interruptions_s": past.get("interruptions_s", 0.0) + time.time() - stored.ended,
        "path": where.redacted,
        "name": past.get("name", ""),
    }
    return metadata
