"""A cell or function that is started again while its experiment runs, and other experiments of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from nbtune.engine.protocol.metrics import plain
from nbtune.errors import ClusterError, ExperimentError, option_ref, spell
from nbtune.launch.prepare import Prepared
from nbtune.launch.registry import running_experiments
from nbtune.launch.start import recorded_options
from nbtune.passwords import without_passwords
from nbtune.shell import can_interact, cell_id, notebook_id, say
from nbtune.spec.cell.versions import without_magic
from nbtune.spec.space.json import space_to_json

if TYPE_CHECKING:
    from nbtune.results.experiment import Experiment

__all__ = ["find_running", "free_name", "is_same", "namesake_note", "remember_cell"]


_cells: WeakKeyDictionary[Experiment, str | None] = WeakKeyDictionary()
"""Experiment -> the id of the cell of this session that has started it, if the frontend tells."""


def remember_cell(experiment: Experiment) -> None:
    """Remember that the present cell has started an experiment.

    Args:
        experiment: the experiment.
    """
    _cells[experiment] = cell_id()


def find_running(prepared: Prepared, namespace: Mapping[str, Any], *, replaced: bool) -> Experiment | None:
    """Return the running experiment of an earlier execution of the present cell, after a notice; or None.

    One that is being stopped is waited for, so that the cell can start anew.

    Args:
        prepared: the experiment that the cell starts.
        namespace: the notebook's variables.
        replaced: whether to stop the running experiment and to wait for its end.

    Raises:
        ExperimentError: another cell has started it, or nobody can read the notice.
        WaitInterrupted: the user has interrupted the waiting.
    """
    running = _namesake(prepared, namespace)
    if running is None:
        return None
    if replaced or running.stop_requested:
        if not running.stop_requested:
            running.stop()
        running.wait()
        return None
    name, same, cells = prepared.spec.name, is_same(running, prepared), (_cells.get(running), cell_id())
    choices = (
        f"To stop it and to start this cell, add {option_ref('replace')}; to start this cell beside it under another"
        f" name, add {option_ref('new')}"
    )
    if not can_interact() or (not same and None not in cells and cells[0] != cells[1]):
        raise ExperimentError(f"the variable {name} is an experiment that is {running.status}. {choices}")
    over, total = running._store.progress()
    text = "this cell" if same else "an earlier text of this cell, so its changes are not part of it"
    notice = (
        f"{name} is {running.status}, {over} of {total} trials. It was started by {text}; nothing new was started."
        f" {choices}."
    )
    say(spell(notice, "line"))
    return running


def _namesake(prepared: Prepared, namespace: Mapping[str, Any]) -> Experiment | None:
    """Return the running experiment in whose place the cell would start one, or None.

    That is the one that the variable refers to. After a restart of the kernel it is the one that was started in the
    same notebook by the same code with the same options: anything else on a shared cluster may be somebody else's.
    """
    from nbtune.results.experiment import Experiment

    name, notebook = prepared.spec.name, notebook_id()
    bound = namespace.get(name)
    if isinstance(bound, Experiment) and not bound.over:
        return bound
    if not notebook:
        return None
    candidates = (experiment for experiment in _on_cluster(name) if not experiment.over)
    return next((one for one in candidates if one.notebook == notebook and is_same(one, prepared)), None)


def is_same(experiment: Experiment, prepared: Prepared) -> bool:
    """Tell whether an experiment was started by the same code, with the same space and options.

    Args:
        experiment: the experiment.
        prepared: what is about to be started.
    """
    metadata = experiment._store.metadata
    return (
        without_magic(metadata.get("source", "")) == without_magic(without_passwords(prepared.source))
        and {**metadata.get("options", {}), "wait": None} == {**recorded_options(prepared.spec), "wait": None}
        and metadata.get("definition") == plain(space_to_json(prepared.space, keep_names=True))
    )


def free_name(name: str, namespace: Mapping[str, Any]) -> str:
    """Return the name, with a number if it is a variable already.

    Args:
        name: the wanted name.
        namespace: the notebook's variables.
    """
    number = 1
    free = name
    while free in namespace:
        number += 1
        free = f"{name}_{number}"
    return free


def namesake_note(name: str) -> str | None:
    """Return a note on a running experiment of this session that has the same name, or None.

    Args:
        name: the name of the experiment that is about to be started.
    """
    others = [experiment for experiment in running_experiments().values() if experiment.name == name]
    if not others:
        return None
    folder = others[-1].path.rpartition("/")[2]
    return f"another experiment named {name} is {others[-1].status}: nbtune.attach({folder!r}) returns it"


def _on_cluster(name: str) -> list[Experiment]:
    """Return the experiments of a name that have a driver on the cluster, the latest first."""
    from nbtune.cluster.connect import reach
    from nbtune.launch.resume import attach_to_drivers

    with suppress(ClusterError):  # the launch itself reports it
        if reach():
            return attach_to_drivers(lambda info: info.name == name)[0][::-1]
    return []
