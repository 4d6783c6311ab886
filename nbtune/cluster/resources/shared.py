"""Whether all nodes of a cluster see the folder that an experiment is to be kept in: found out by looking."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from nbtune.errors import ExperimentError, Problem, SpecError, option_ref

if TYPE_CHECKING:  # the nodes' processes import this module, and need no more of it than `_sees`
    from nbtune.engine.storage.storage import Storage

__all__ = ["Place", "settle"]

WITHIN = 8.0
"""Seconds that the nodes have for their answers: a process may have to start there."""
_INSTEAD = (
    "Give a folder that all nodes share (NFS), a URI (s3://BUCKET/FOLDER, gs://BUCKET/FOLDER), or"
    f" {option_ref('storage_filesystem')}"
)


@dataclass(frozen=True)
class Place:
    """What was found.

    Attributes:
        node: the id of the node that the driver has to run on, since the storage is there; None for any.
        notes: what a person should know, one sentence each.
    """

    node: str | None = None
    notes: tuple[str, ...] = ()


def settle(storage: Storage, *, checkpoints: bool, retries: bool) -> Place:
    """See that an experiment can be kept in a storage, whichever nodes its trials run on.

    Args:
        storage: where to keep it.
        checkpoints: whether its trials may report checkpoints.
        retries: whether failed trials are tried again, perhaps on another node.

    Raises:
        SpecError: it is a folder that some nodes do not see and would have to, or that the kernel does not see.
        ExperimentError: it cannot be written.
    """
    import ray

    outside = bool(ray.util.client.ray.is_connected())  # by ray://
    if storage.local_path is None:
        storage.probe()
        return Place()
    path = storage.local_path
    nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
    home = _head(nodes) if outside else ray.get_runtime_context().get_node_id()
    others = [node for node in nodes if node != home]
    marker = f"{path}/.nbtune-shared-{uuid4().hex}"
    if not outside:
        storage.probe()
        if not others:
            return Place()
        Path(marker).touch()
    else:
        _mark_from(home, path, marker)
        if not os.path.exists(marker):
            _unmark_from(home, marker)
            text = (
                f"{path} would be a folder of the cluster's node {_name(nodes[home])}, which this kernel, outside of"
                f" the cluster, cannot read. {_INSTEAD}"
            )
            raise SpecError([Problem(text, option="storage")])
    try:
        apart, silent = _ask(others, marker)
    finally:
        with suppress(OSError):
            os.remove(marker)
    names = ([_name(nodes[node]) for node in found] for found in (apart, silent))
    notes = _judge(path, *names, checkpoints=checkpoints, retries=retries)
    return Place(home if notes else None, notes)  # where all see it, the driver may go to any


def _judge(path: str, apart: list[str], silent: list[str], *, checkpoints: bool, retries: bool) -> tuple[str, ...]:
    """Return what to tell a person.

    Raises:
        SpecError: it cannot go well.
    """
    blind = f"{', '.join(apart)} {'does' if len(apart) == 1 else 'do'} not see {path}"
    if apart and (checkpoints or retries):
        retry = f"{option_ref('max_failures')} may restart a trial on another node"
        why = "the code may report checkpoints" if checkpoints else retry
        text = f"{blind}, and {why}: trials there could not save or find checkpoints. {_INSTEAD}"
        raise SpecError([Problem(text, option="storage")])
    notes = []
    if apart:
        notes.append(f"{blind}: what trials print on {'it' if len(apart) == 1 else 'them'} stays there")
    if silent:
        notes.append(
            f"{', '.join(silent)} {'has' if len(silent) == 1 else 'have'} not said within {WITHIN:g} s whether"
            f" {path} is there"
        )
    return tuple(notes)


def _ask(nodes: list[str], marker: str) -> tuple[list[str], list[str]]:
    """Return which nodes do not see a file, and which have not answered."""
    import ray

    asked = {_on(node, _sees).remote(marker): node for node in nodes}
    answered, late = ray.wait(list(asked), num_returns=len(asked), timeout=WITHIN) if asked else ([], [])
    apart, silent = [], [asked[answer] for answer in late]
    for answer in answered:
        try:
            if not ray.get(answer):
                apart.append(asked[answer])
        except Exception:  # the node has gone, or has no nbtune: its trials will say so
            silent.append(asked[answer])
    for answer in late:
        with suppress(Exception):
            ray.cancel(answer)
    return apart, silent


def _on(node: str, function: Any) -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    return ray.remote(num_cpus=0, max_retries=0)(function).options(scheduling_strategy=there)


def _sees(marker: str) -> bool:
    """On another node: tell whether a file is there, in a folder that can be written."""
    return os.path.exists(marker) and os.access(os.path.dirname(marker), os.W_OK)


def _mark(folder: str, marker: str) -> str | None:
    """On the driver's node: make a folder and a file in it; return why that does not work."""
    try:
        os.makedirs(folder, exist_ok=True)
        Path(marker).touch()
    except OSError as error:
        return str(error)
    return None


def _mark_from(node: str, folder: str, marker: str) -> None:
    import ray

    problem = ray.get(_on(node, _mark).remote(folder, marker))
    if problem:
        text = f"cannot write to {folder!r} on the cluster: {problem}. Give a writable folder or URI"
        raise ExperimentError(Problem(text, option="storage"))


def _unmark_from(node: str, marker: str) -> None:
    import ray

    with suppress(Exception):
        ray.get(_on(node, os.remove).remote(marker), timeout=WITHIN)


def _head(nodes: dict[str, Any]) -> str:
    return next(
        (name for name, node in nodes.items() if "node:__internal_head__" in node["Resources"]), next(iter(nodes))
    )


def _name(node: Any) -> str:
    """Return a node as a person knows it: several may have one address."""
    return f"{node['NodeManagerAddress']} ({node['NodeID'][:6]})"
