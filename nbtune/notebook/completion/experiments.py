"""The names of experiments: those of the session, and those in the storage folder of the session."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbtune.notebook.completion.candidates import Candidate
from nbtune.notebook.completion.folders import working_folder
from nbtune.notebook.completion.lookup import Lookups
from nbtune.notebook.completion.variables import experiments
from nbtune.spec.options.defaults import session, with_defaults

__all__ = ["named_experiments", "of_notebook", "parameters_of", "stored_folders", "trials_of"]

_FOLDER = re.compile(r"(.+)_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
_LOG, _STATE = "nbtune", "experiment_state-"
_MAX_TRIALS = 300

_stored: Lookups[tuple[str, str]] = Lookups()


def of_notebook(namespace: Mapping[str, Any], *statuses: str) -> list[Candidate]:
    """Return the variables of the notebook that are experiments, those with a status first.

    Args:
        namespace: the notebook's variables.
        statuses: these come first.
    """
    found = experiments(namespace)
    first = [name for name, one in found.items() if one.status in statuses]
    return [Candidate(name, "instance") for name in dict.fromkeys([*first, *found])]


def named_experiments(namespace: Mapping[str, Any], *, running: bool) -> list[Candidate]:
    """Return the names by which ``%tune attach`` and ``%tune resume`` find experiments.

    Nothing is asked of the cluster, and nothing waits for a slow disk; Ray is not started.

    Args:
        namespace: the notebook's variables.
        running: whether those that run come first; else those that are over.
    """
    registry = sys.modules.get("nbtune.launch.registry")
    live = list(registry.running_experiments().values()) if registry is not None else []
    over = [one for one in experiments(namespace).values() if one.over]
    known = [one.name for one in ([*live, *over] if running else [*over, *live])]
    names = [*known, *(name for name, _ in reversed(stored_folders()))]
    return [Candidate(name, "value") for name in dict.fromkeys(names) if isinstance(name, str) and name]


def stored_folders() -> list[tuple[str, str]]:
    """Return the names and folders of the experiments in the storage folder, the latest last.

    The folder is that of the session or the project, if it is on a disk.
    """
    where = (working_folder(), str(session.get("storage")))
    return sorted(_stored(where, _find), key=lambda found: found[1].rpartition("/")[2][-19:])


def trials_of(experiment: Any, *statuses: str) -> list[Candidate]:
    """Return the numbers of an experiment's trials with one of some statuses; of all without any.

    Args:
        experiment: an `Experiment`, or None.
        statuses: the statuses.
    """
    if experiment is None:
        return []
    numbers = [number for number, one in experiment.trials.items() if not statuses or one.status in statuses]
    return [Candidate(str(number), "value") for number in numbers[-_MAX_TRIALS:]]


def parameters_of(experiment: Any) -> list[str]:
    """Return the names of an experiment's parameters.

    Args:
        experiment: an `Experiment`, or None.
    """
    return [] if experiment is None else [str(name) for name in experiment._store.metadata.get("space") or {}]


def _find() -> Iterator[tuple[str, str]]:
    """Yield the name and the folder of each experiment in the storage folder."""
    options, _ = with_defaults({})
    storage = options.get("storage") or str(Path.home() / "ray_results")
    if not isinstance(storage, (str, os.PathLike)) or options.get("storage_filesystem") is not None:
        return
    if "://" in str(storage):
        return
    root = os.path.abspath(os.path.expanduser(str(storage)))
    with os.scandir(root) as entries:
        folders = sorted((entry.name for entry in entries if entry.is_dir()), key=lambda name: name[-19:], reverse=True)
    for name in folders:
        if not name.isprintable():
            continue
        inside = f"{root}/{name}"
        matched = _FOLDER.fullmatch(name)
        if (matched and os.path.isdir(f"{inside}/{_LOG}")) or _has_state(inside):
            yield (matched[1] if matched else name.rsplit("_", 2)[0]), inside


def _has_state(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.startswith(_STATE) for entry in entries)
