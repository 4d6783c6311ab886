"""What a cluster's nodes have and what of it is given away, as Ray itself accounts, and which experiments hold it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from nbtune.cluster.link.address import UnreachableError, listening, parse
from nbtune.cluster.link.attach import NAMESPACE
from nbtune.cluster.link.link import current
from nbtune.errors import ClusterError

__all__ = ["Held", "Node", "Usage", "look", "total_of"]

_WITHIN = 10.0  # seconds that a cluster behind Ray Client has for its answer
_ACCELERATOR = "accelerator_type:"
_DEATHS = {
    1: "it was taken out of the cluster",
    2: "it has failed",
    3: "it was preempted",
    4: "it was idle, and taken away by the autoscaler",
}
"""Ray's reasons for a node's death, in words."""


@dataclass(frozen=True)
class Node:
    """One node of a cluster.

    Attributes:
        id: Ray's, hexadecimal.
        name: the name that it was started with, or its address.
        head: whether it is the head node.
        alive: whether it is; a dead one has nothing.
        why: why it is dead, as far as Ray knows.
        accelerator: the type of its accelerators, as Ray calls it; empty where it has none.
        total: what it has, by Ray's names; memory and object store in bytes.
        used: what of that is given away, by the same names.
    """

    id: str
    name: str
    head: bool = False
    alive: bool = True
    why: str = ""
    accelerator: str = ""
    total: Mapping[str, float] = field(default_factory=dict)
    used: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """What an experiment holds: Ray has reserved it for its trials.

    Attributes:
        trials: for how many trials.
        resources: how much, by Ray's names.
    """

    trials: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """A cluster as it was when asked.

    Attributes:
        address: its address, host:port.
        kind: "embedded", "local" or "attached".
        nodes: every node that Ray knows, dead ones too.
        held: what experiments hold, by the names of their folders.
    """

    address: str
    kind: str
    nodes: tuple[Node, ...]
    held: Mapping[str, Held]


def look() -> Usage | None:
    """Ask the connected cluster, some milliseconds; None where this kernel is connected to none.

    Raises:
        ClusterError: it is gone, or does not answer.
    """
    ray: Any = sys.modules.get("ray")
    if not getattr(ray, "is_initialized", bool)():  # it may be about to be imported, on another thread
        return None
    try:
        outside = bool(ray.util.client.ray.is_connected())
        address = str(ray.get_runtime_context().gcs_address)
        if outside:
            facts = ray.get(_task().remote(), timeout=_WITHIN)
        else:
            listening(parse(address))  # Ray itself would wait for one that is gone, for minutes and longer
            facts = _read()
        from nbtune.cluster.link._ray import is_own_head_node

        link = current(ray)
        kind = link.kind if link else "embedded" if is_own_head_node() else "attached"
    except UnreachableError as error:
        raise ClusterError(f"the cluster at {address} is no more: nobody answers there") from error
    except Exception as error:  # of many kinds, where the connection is just being made or given up
        if not ray.is_initialized():
            return None
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ClusterError(f"the cluster does not say what it has: {why}") from error
    return Usage(address, kind, _nodes(facts), _held(facts))


@cache
def _task() -> Any:
    import ray

    return ray.remote(num_cpus=0, max_retries=0)(_read)


def _read() -> dict[str, Any]:
    """Read Ray's tables, in this process or, for Ray Client, in one of the cluster. There is no dashboard to ask."""
    from nbtune.engine._ray.core import REMOVED, actor_table, global_state, placement_group_table

    actors = actor_table()
    # Ray keeps every placement group that there was, so their table grows: read only where it is needed.
    groups = placement_group_table() if any(_is_driver(a.ray_namespace, a.name) for a in actors) else []
    return {
        "nodes": global_state.node_table(),
        "free": global_state.available_resources_per_node(),
        "actors": [
            (a.actor_id, a.address.worker_id, a.owner_address.worker_id, a.ray_namespace, a.name) for a in actors
        ],
        "groups": [
            (group.creator_actor_id, [dict(bundle.unit_resources) for bundle in group.bundles if bundle.node_id])
            for group in groups
            if group.state != REMOVED
        ],
    }


def _nodes(facts: Mapping[str, Any]) -> tuple[Node, ...]:
    return tuple(_node(one, facts["free"].get(one["NodeID"])) for one in facts["nodes"])


def _node(one: Mapping[str, Any], free: Mapping[str, float] | None) -> Node:
    name = one.get("NodeName") or one["NodeManagerAddress"]
    if not one["Alive"]:
        known = _DEATHS.get(one.get("DeathReason", 0), "")
        told = " ".join(str(one.get("DeathReasonMessage") or "").split())
        return Node(one["NodeID"], name, alive=False, why=": ".join(filter(None, [known, told])))
    names = sorted(one["Resources"])
    total = {name: one["Resources"][name] for name in names if not name.startswith(("node:", _ACCELERATOR))}
    # Of a node that has just come Ray may know nothing yet. Where nothing is left of a resource, it is not named.
    used = {name: 0.0 if free is None else max(0.0, amount - free.get(name, 0.0)) for name, amount in total.items()}
    kinds = [name.removeprefix(_ACCELERATOR) for name in names if name.startswith(_ACCELERATOR)]
    head = "node:__internal_head__" in one["Resources"]
    return Node(one["NodeID"], name, head, accelerator=", ".join(kinds), total=total, used=used)


def _held(facts: Mapping[str, Any]) -> dict[str, Held]:
    """Return what each experiment holds: its driver's placement groups, and those that its trials have made."""
    drivers = {worker: name for _, worker, _, namespace, name in facts["actors"] if _is_driver(namespace, name)}
    process = {actor: worker for actor, worker, *_ in facts["actors"]}
    owner = {worker: owner for _, worker, owner, *_ in facts["actors"]}
    bundles: dict[str, list[Mapping[str, float]]] = {name: [] for name in drivers.values()}
    trials = dict.fromkeys(bundles, 0)
    for creator, placed in facts["groups"]:
        made_by = process.get(creator, b"")
        folder = _driver_of(made_by, drivers, owner)
        if folder is not None and placed:
            bundles[folder] += placed
            trials[folder] += made_by in drivers
    return {folder: Held(trials[folder], total_of(found)) for folder, found in bundles.items()}


def _is_driver(namespace: str, name: str) -> bool:
    return namespace == NAMESPACE and name != "" and not name.startswith("_")  # those are helpers


def _driver_of(worker: bytes, drivers: Mapping[bytes, str], owner: Mapping[bytes, bytes]) -> str | None:
    """Return the experiment that a process works for: what has started it, or has started that."""
    seen = set()
    while worker and worker not in seen:
        if worker in drivers:
            return drivers[worker]
        seen.add(worker)
        worker = owner.get(worker, b"")
    return None


def total_of(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the sum of amounts, by their names."""
    total: dict[str, float] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, 0.0) + amount
    return total
