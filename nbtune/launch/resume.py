"""Attaches to experiments that run on the cluster, and resumes those that are over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from nbtune.errors import ExperimentError, SpecError, did_you_mean
from nbtune.launch.planning import plan_spec
from nbtune.launch.registry import lookup, register

if TYPE_CHECKING:
    from nbtune.engine.protocol.commands import Command
    from nbtune.engine.protocol.source import Source
    from nbtune.engine.storage.storage import Storage
    from nbtune.results.experiment import Experiment

__all__ = ["attach", "attach_to_driver", "name_of", "resume_experiment", "running_folders"]


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
    from nbtune.engine.storage.storage import Storage, default_storage

    wanted = PurePosixPath(name).name
    running = running_folders() if reach() else []
    matching = [folder for folder in running if wanted in (folder, name_of(folder))]
    if matching and (experiment := attach_to_driver(max(matching))) is not None:
        return experiment
    from nbtune.engine.client.stored import stored_experiments
    from nbtune.launch.api import load

    if "/" in name:
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


def running_folders() -> list[str]:
    """Return the folder names of the experiments that have a driver on the connected cluster."""
    from nbtune.cluster.connect import NAMESPACE
    from nbtune.engine.client.launch import driver_folders

    return driver_folders(NAMESPACE)


def attach_to_driver(folder: str) -> Experiment | None:
    """Return an experiment that runs, or None if its driver has ended.

    Args:
        folder: the name of its folder.
    """
    from nbtune.cluster.connect import NAMESPACE
    from nbtune.engine.client.launch import find
    from nbtune.engine.client.stored import events_since
    from nbtune.engine.protocol.metadata import Metadata
    from nbtune.results.experiment import Experiment

    driver = find(folder, NAMESPACE, events_since)
    if driver is None:
        return None
    source, info = driver
    where = info.where
    registered = lookup(where.place)
    if registered is not None and not registered.over:
        return registered
    metadata = Metadata(name=info.name, path=where.place)
    experiment = Experiment(source, where=where, metadata=metadata, fixed=("path",), resume=resume_experiment)
    register(experiment)
    experiment.wait_for_events()
    return experiment


def resume_experiment(
    where: Storage, *, failed: bool = False, commands: Sequence[Command] = ()
) -> tuple[Source, Callable[[], None]]:
    """Start a driver that resumes an experiment that is over.

    Args:
        where: the experiment's folder.
        failed: whether failed trials are resumed as well, from their last checkpoints.
        commands: the commands to execute first.

    Returns:
        The source of its events, and what to call when it is over.

    Raises:
        ExperimentError: all trials are over, or the folder does not contain the experiment's code.
        SpecError: the cluster can never run its trials.
        ClusterError: no cluster can be reached or started.
    """
    from nbtune.cluster.connect import NAMESPACE, connect
    from nbtune.cluster.embedded import warm
    from nbtune.engine.client.launch import end_driver, find, resume
    from nbtune.engine.client.stored import events_since
    from nbtune.engine.protocol.metadata import Metadata
    from nbtune.engine.protocol.replay import past_of
    from nbtune.engine.storage.credentials import object_store_variables
    from nbtune.engine.storage.launch_spec import Resume
    from nbtune.engine.storage.log import read_log
    from nbtune.engine.storage.snapshot import has_launch, read_launch

    cluster = connect()
    folder = where.name
    running = find(folder, NAMESPACE, events_since)
    if running is not None and not running[1].over:  # it was already resumed by another kernel
        source, _ = running
        for command in commands:
            source.send(command)
        return source, lambda: None
    end_driver(folder, NAMESPACE)
    filesystem, root = where.open()
    if not has_launch(filesystem, root):
        raise ExperimentError(
            f"{where.redacted} cannot be resumed: it does not contain the code of the experiment, which nbtune stores"
            " with the experiments that it starts"
        )
    chunks = read_log(filesystem, root)
    past = past_of(chunks)
    over = sum(not trial.is_resumed(failed=failed) for trial in past.trials.values())
    total = max(past.metadata.get("trials", 0), len(past.trials))
    if over >= total and not commands:
        failures = sum(trial.status == "failed" for trial in past.trials.values())
        hint = f"; resume(failed=True) retries the {failures} that failed" if failures else ""
        raise ExperimentError(f"nothing to resume: all {total} trials are over{hint}; extend(samples=…) adds trials")
    spec = read_launch(filesystem, root).spec
    max_concurrent = past.metadata.get("max_concurrent", spec.max_concurrent)
    planned = plan_spec(replace(spec, max_concurrent=max_concurrent), max(1, total - over), cluster)
    if planned.problems:
        raise SpecError(planned.problems)
    now = time.time()
    ended = next((float(chunk.time[-1]) for chunk in reversed(chunks) if len(chunk)), now)
    interruptions_s = past.metadata.get("interruptions_s", 0.0) + now - ended
    metadata: Metadata = {
        "interruptions_s": interruptions_s,
        "path": where.redacted,
        "name": past.metadata.get("name", ""),
        "detached": not cluster.embedded,
        "plan": planned,
    }
    plain, secret = object_store_variables(os.environ) if where.local_path is None else ({}, {})
    request = Resume(folder, where.parent, planned.fixed_slots, failed, tuple(commands), metadata, secret)
    warm.experiment_started()
    source = resume(request, NAMESPACE, partial(events_since, where), resources=spec.driver_resources, variables=plain)
    return source, warm.experiment_ended
