"""Checks by trying whether all nodes of a cluster can access the folder where an experiment is stored."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from nbtune.errors import ExperimentError, Problem, SpecError, option_ref

if TYPE_CHECKING:  # processes on the nodes import this module, and only for `_can_access`
    from nbtune.engine.storage.storage import Storage

__all__ = ["StoragePlacement", "check_storage"]

TIMEOUT = 8.0
"""Seconds for the nodes to answer, which may include starting a process."""
_VALID_FOR = 600.0
"""Seconds for which a node is not asked again about a folder that it could access. An answer needs a process there."""
_ALTERNATIVES = (
    "Use a folder that all nodes share (NFS), a URI (s3://BUCKET/FOLDER, gs://BUCKET/FOLDER), or"
    f" {option_ref('storage_filesystem')}"
)


_accessible: dict[tuple[str, str], float] = {}
"""(id of a node, folder that it shares with this kernel) -> when it has said so, by `time.monotonic`."""


@dataclass(frozen=True)
class StoragePlacement:
    """Where a storage can be accessed.

    Attributes:
        node: the id of the node where the driver has to run; None for any node.
        notes: sentences for the user.
    """

    node: str | None = None
    notes: tuple[str, ...] = ()


def check_storage(storage: Storage, *, checkpoints: bool, retries: bool) -> StoragePlacement:
    """Check that an experiment can be stored, whichever nodes its trials run on.

    Args:
        storage: where to store it.
        checkpoints: whether its trials may report checkpoints.
        retries: whether failed trials may be restarted, perhaps on another node.

    Raises:
        SpecError: the storage is a folder that some nodes would have to access and cannot, or the kernel cannot.
        ExperimentError: the storage is not writable.
    """
    import ray

    outside = bool(ray.util.client.ray.is_connected())  # through ray://
    if storage.local_path is None:
        storage.probe()
        return StoragePlacement()
    path = storage.local_path
    nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
    home = _head(nodes) if outside else ray.get_runtime_context().get_node_id()
    others = [node for node in nodes if node != home and not _is_known(node, path)]
    marker = f"{path}/.nbtune-shared-{uuid4().hex}"
    if not outside or _is_known(home, path):
        storage.probe()
        if not others:
            return StoragePlacement()
        Path(marker).touch()
    else:
        _create_marker(home, path, marker)
        if not os.path.exists(marker):
            _remove_marker(home, marker)
            text = (
                f"{path} would be a folder on the cluster's node {_name(nodes[home])}, which this kernel cannot read"
                f" from outside of the cluster. {_ALTERNATIVES}"
            )
            raise SpecError([Problem(text, option="storage")])
        _accessible[home, path] = time.monotonic()
    try:
        without_access, unknown = _query_nodes(others, marker)
    finally:
        with suppress(OSError):
            os.remove(marker)
    for node in set(others).difference(without_access, unknown):
        _accessible[node, path] = time.monotonic()
    names = ([_name(nodes[node]) for node in group] for group in (without_access, unknown))
    notes = _notes(path, *names, checkpoints=checkpoints, retries=retries)
    return StoragePlacement(home if notes else None, notes)  # if all nodes have access, the driver may run anywhere


def _notes(
    path: str, without_access: list[str], unknown: list[str], *, checkpoints: bool, retries: bool
) -> tuple[str, ...]:
    """Return sentences for the user.

    Raises:
        SpecError: trials would fail.
    """
    problem = f"{', '.join(without_access)} cannot access {path}"
    if without_access and (checkpoints or retries):
        retry = f"{option_ref('max_failures')} may restart a trial on another node"
        why = "the code may report checkpoints" if checkpoints else retry
        text = f"{problem}, and {why}: trials there could not save or find checkpoints. {_ALTERNATIVES}"
        raise SpecError([Problem(text, option="storage")])
    notes = []
    if without_access:
        notes.append(f"{problem}: the output of trials on {'it' if len(without_access) == 1 else 'them'} stays there")
    if unknown:
        notes.append(
            f"{', '.join(unknown)} {'has' if len(unknown) == 1 else 'have'} not answered within {TIMEOUT:g} s whether"
            f" {path} exists there"
        )
    return tuple(notes)


def _is_known(node: str, path: str) -> bool:
    """Tell whether a node has said recently that it can access a folder."""
    return time.monotonic() - _accessible.get((node, path), -_VALID_FOR) < _VALID_FOR


def _query_nodes(nodes: list[str], marker: str) -> tuple[list[str], list[str]]:
    """Return which nodes cannot access a file, and which have not answered."""
    import ray

    tasks = {_task(node, _can_access).remote(marker): node for node in nodes}
    done, pending = ray.wait(list(tasks), num_returns=len(tasks), timeout=TIMEOUT) if tasks else ([], [])
    without_access, unknown = [], [tasks[task] for task in pending]
    for task in done:
        try:
            if not ray.get(task):
                without_access.append(tasks[task])
        except Exception:  # the node has ended, or has no nbtune, which its trials will report
            unknown.append(tasks[task])
    for task in pending:
        with suppress(Exception):
            ray.cancel(task)
    return without_access, unknown


def _task(node: str, function: Any) -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    strategy = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    return ray.remote(num_cpus=0, max_retries=0)(function).options(scheduling_strategy=strategy)


def _can_access(marker: str) -> bool:
    """Tell, on another node, whether a file exists in a writable folder."""
    return os.path.exists(marker) and os.access(os.path.dirname(marker), os.W_OK)


def _mark(folder: str, marker: str) -> str | None:
    """Create a folder and a file in it, on the driver's node; return the error, or None."""
    try:
        os.makedirs(folder, exist_ok=True)
        Path(marker).touch()
    except OSError as error:
        return str(error)
    return None


def _create_marker(node: str, folder: str, marker: str) -> None:
    import ray

    problem = ray.get(_task(node, _mark).remote(folder, marker))
    if problem:
        text = f"cannot write to {folder!r} on the cluster: {problem}. Use a writable folder or URI"
        raise ExperimentError(Problem(text, option="storage"))


def _remove_marker(node: str, marker: str) -> None:
    import ray

    with suppress(Exception):
        ray.get(_task(node, os.remove).remote(marker), timeout=TIMEOUT)


def _head(nodes: dict[str, Any]) -> str:
    return next(
        (name for name, node in nodes.items() if "node:__internal_head__" in node["Resources"]), next(iter(nodes))
    )


def _name(node: Any) -> str:
    """Return a node's address and id: several nodes may have the same address."""
    return f"{node['NodeManagerAddress']} ({node['NodeID'][:6]})"
