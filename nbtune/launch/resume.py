"""Coming back to experiments: those that run on the cluster, and those that have come to an end."""

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
from nbtune.launch.registry import known, register

if TYPE_CHECKING:
    from nbtune.engine.protocol.commands import Command
    from nbtune.engine.protocol.source import Source
    from nbtune.engine.storage.storage import Storage
    from nbtune.results.experiment import Experiment

__all__ = ["attach", "follow", "go_on", "live_folders"]


def attach(name: str, storage: str | None = None, filesystem: Any = None) -> Experiment:
    """Come back to an experiment: one that runs on the cluster, or else the latest in storage.

    Args:
        name: its name, or the name or path of its folder.
        storage: the folder or URI to look in for one that does not run; ``~/ray_results`` if None.
        filesystem: the `pyarrow.fs.FileSystem` that `storage` is a path on; None where `storage` says it all.

    Returns:
        Its handle, with everything from the first report on.

    Raises:
        ExperimentError: there is none of this name.
        ClusterError: the cluster cannot be reached.
    """
    from nbtune.cluster.connect import reach
    from nbtune.engine.storage.storage import Storage, default_storage

    folder = PurePosixPath(name).name
    live = live_folders() if reach() else []
    matching = [found for found in live if found == folder or _name_of(found) == folder]
    if matching and (experiment := follow(max(matching))) is not None:
        return experiment
    from nbtune.engine.client.stored import stored_experiments
    from nbtune.launch.api import load

    if "/" in name:
        return load(name, filesystem)
    stored = {where.name: where for where in stored_experiments(Storage(str(storage or default_storage()), filesystem))}
    there = [found for found in stored if found == folder or _name_of(found) == folder]
    if there:
        return load(stored[max(there)].place, filesystem)
    names = sorted({_name_of(found) for found in [*live, *stored]})
    raise ExperimentError(
        f"there is no experiment {name!r}{did_you_mean(name, names)}, neither on the cluster nor in"
        f" {storage or default_storage()}. There are: {', '.join(names) or 'none'}"
    )


def _name_of(folder: str) -> str:
    """Return the name in a folder's name: what stands before the date."""
    return folder.rsplit("_", 2)[0]


def live_folders() -> list[str]:
    """Return the folders' names of the experiments that have a driver on the connected cluster."""
    from nbtune.cluster.connect import NAMESPACE
    from nbtune.engine.client.launch import driver_folders

    return driver_folders(NAMESPACE)


def follow(folder: str) -> Experiment | None:
    """Return the handle on an experiment that runs; None if its driver is gone meanwhile.

    Args:
        folder: the name of its folder.
    """
    from nbtune.cluster.connect import NAMESPACE
    from nbtune.engine.client.launch import find
    from nbtune.engine.client.stored import events_since
    from nbtune.engine.protocol.metadata import Metadata
    from nbtune.results.experiment import Experiment

    running = find(folder, NAMESPACE, events_since)
    if running is None:
        return None
    source, info = running
    where = info.where
    mine = known(where.place)
    if mine is not None and not mine.over:
        return mine
    metadata = Metadata(name=info.name, path=where.place)
    experiment = Experiment(source, where=where, metadata=metadata, fixed=("path",), resume=go_on)
    register(experiment)
    experiment.arrive()
    return experiment


def go_on(
    where: Storage, *, failed: bool = False, commands: Sequence[Command] = ()
) -> tuple[Source, Callable[[], None]]:
    """Start a driver that goes on with an experiment that has come to an end.

    Returns what its events are read from, and what to call when it is over.

    Args:
        where: the experiment's folder.
        failed: whether trials that have failed go on as well, from their last checkpoints.
        commands: what to execute first.

    Raises:
        ExperimentError: nothing is left to do, or what it needs is not in its storage.
        SpecError: its trials can never be placed on this cluster.
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
            f"{where.redacted} cannot be resumed: it does not hold the code that nbtune keeps of its experiments"
        )
    chunks = read_log(filesystem, root)
    past = past_of(chunks)
    over = sum(not trial.is_resumed(failed=failed) for trial in past.trials.values())
    total = max(past.metadata.get("trials", 0), len(past.trials))
    if over >= total and not commands:
        failures = sum(trial.status == "failed" for trial in past.trials.values())
        hint = f", {failures} of them failed: resume(failed=True) tries those again" if failures else ""
        raise ExperimentError(f"nothing is left to do: all {total} trials are over{hint}. extend(samples=…) adds more")
    spec = read_launch(filesystem, root).spec
    max_concurrent = past.metadata.get("max_concurrent", spec.max_concurrent)
    planned = plan_spec(replace(spec, max_concurrent=max_concurrent), max(1, total - over), cluster)
    if planned.problems:
        raise SpecError(planned.problems)
    now = time.time()
    ended = next((float(chunk.time[-1]) for chunk in reversed(chunks) if len(chunk)), now)
    away = past.metadata.get("away", 0.0) + now - ended
    metadata: Metadata = {
        "away": away,
        "path": where.redacted,
        "name": past.metadata.get("name", ""),
        "detached": not cluster.embedded,
        "plan": planned.to_json(),
    }
    plain, secret = object_store_variables(os.environ) if where.local_path is None else ({}, {})
    how = Resume(folder, where.parent, planned.fixed_slots, failed, tuple(commands), metadata, secret)
    warm.began()
    source = resume(how, NAMESPACE, partial(events_since, where), resources=spec.driver_resources, variables=plain)
    return source, warm.ended
