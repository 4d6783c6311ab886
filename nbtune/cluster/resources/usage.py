"""The resources of a cluster's nodes, how much of them is in use, and what each experiment has reserved."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from nbtune.cluster.link.address import UnreachableError, check_reachable, parse
from nbtune.cluster.link.link import current_link
from nbtune.engine.protocol.environment import NAMESPACE
from nbtune.errors import ClusterError

__all__ = ["Node", "Reservation", "Usage", "cluster_usage", "total_of"]

_TIMEOUT = 10.0  # seconds for a query through Ray Client
_ACCELERATOR = "accelerator_type:"
_DEATHS = {
    1: "it was removed from the cluster",
    2: "it has failed",
    3: "it was preempted",
    4: "it was idle, and removed by the autoscaler",
}
"""Descriptions of Ray's `NodeDeathInfo.Reason`."""


@dataclass(frozen=True)
class Node:
    """One node of a cluster.

    Attributes:
        id: Ray's node id, hexadecimal.
        name: the name given to `ray start`, or the address.
        head: whether it is the head node.
        alive: whether it is alive; a dead node has no resources.
        why: why it is dead, as far as Ray knows.
        accelerator: Ray's accelerator type; empty without accelerators.
        total: the node's resources, by Ray's names; memory and object store in bytes.
        used: how much of them is in use, by the same names.
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
class Reservation:
    """The resources that Ray has reserved for an experiment.

    Attributes:
        trials: number of trials with reserved resources.
        resources: the amounts, by Ray's names.
    """

    trials: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """The use of a cluster, at the time of a call of `cluster_usage`.

    Attributes:
        address: HOST:PORT.
        kind: "embedded", "local" or "attached".
        nodes: all nodes that Ray knows, dead ones too.
        reservations: those of experiments, by the names of their drivers' processes.
    """

    address: str
    kind: str
    nodes: tuple[Node, ...]
    reservations: Mapping[str, Reservation]


def cluster_usage() -> Usage | None:
    """Return the use of the connected cluster, which takes some milliseconds; None without a connection.

    Raises:
        ClusterError: the cluster has ended, or does not answer.
    """
    ray: Any = sys.modules.get("ray")
    if not getattr(ray, "is_initialized", bool)():  # another thread may be importing it
        return None
    try:
        outside = bool(ray.util.client.ray.is_connected())
        address = str(ray.get_runtime_context().gcs_address)
        if outside:
            tables = ray.get(_task().remote(), timeout=_TIMEOUT)
        else:
            check_reachable(parse(address))  # Ray itself would wait for minutes if the cluster has ended
            tables = _read_tables()
        from nbtune.cluster.link._ray import is_own_head_node

        link = current_link(ray)
        kind = link.kind if link else "embedded" if is_own_head_node() else "attached"
    except UnreachableError as error:
        raise ClusterError(f"the cluster at {address} has ended: nothing answers at its address") from error
    except Exception as error:  # of many types, while another thread connects or disconnects
        if not ray.is_initialized():
            return None
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ClusterError(f"the cluster's resources cannot be read: {why}") from error
    return Usage(address, kind, _nodes(tables), _reservations(tables))


@cache
def _task() -> Any:
    import ray

    return ray.remote(num_cpus=0, max_retries=0)(_read_tables)


def _read_tables() -> dict[str, Any]:
    """Read Ray's tables, in this process or, for Ray Client, in a task: there may be no dashboard to ask."""
    from nbtune.engine._ray.core import REMOVED, actor_table, global_state, placement_group_table

    actors = actor_table()
    # Ray keeps removed placement groups, so their table grows: it is read only if needed.
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


def _nodes(tables: Mapping[str, Any]) -> tuple[Node, ...]:
    return tuple(_node(record, tables["free"].get(record["NodeID"])) for record in tables["nodes"])


def _node(record: Mapping[str, Any], free: Mapping[str, float] | None) -> Node:
    name = record.get("NodeName") or record["NodeManagerAddress"]
    if not record["Alive"]:
        reason = _DEATHS.get(record.get("DeathReason", 0), "")
        message = " ".join(str(record.get("DeathReasonMessage") or "").split())
        return Node(record["NodeID"], name, alive=False, why=": ".join(filter(None, [reason, message])))
    names = sorted(record["Resources"])
    total = {name: record["Resources"][name] for name in names if not name.startswith(("node:", _ACCELERATOR))}
    # Ray may not know yet what is free on a new node. A resource that is used up has no entry.
    used = {name: 0.0 if free is None else max(0.0, amount - free.get(name, 0.0)) for name, amount in total.items()}
    kinds = [name.removeprefix(_ACCELERATOR) for name in names if name.startswith(_ACCELERATOR)]
    head = "node:__internal_head__" in record["Resources"]
    return Node(record["NodeID"], name, head, accelerator=", ".join(kinds), total=total, used=used)


def _reservations(tables: Mapping[str, Any]) -> dict[str, Reservation]:
    """Return the reservation of each experiment: the placement groups of its driver and of its trials."""
    drivers = {worker: name for _, worker, _, namespace, name in tables["actors"] if _is_driver(namespace, name)}
    process = {actor: worker for actor, worker, *_ in tables["actors"]}
    owner = {worker: owner for _, worker, owner, *_ in tables["actors"]}
    bundles: dict[str, list[Mapping[str, float]]] = {name: [] for name in drivers.values()}
    trials = dict.fromkeys(bundles, 0)
    for creator, placed in tables["groups"]:
        creator_worker = process.get(creator, b"")
        name = _driver_of(creator_worker, drivers, owner)
        if name is not None and placed:
            bundles[name] += placed
            trials[name] += creator_worker in drivers
    return {name: Reservation(trials[name], total_of(reserved)) for name, reserved in bundles.items()}


def _is_driver(namespace: str, name: str) -> bool:
    return namespace == NAMESPACE and name != "" and not name.startswith("_")  # helper actors


def _driver_of(worker: bytes, drivers: Mapping[bytes, str], owner: Mapping[bytes, bytes]) -> str | None:
    """Return the experiment of a process: that of the driver which has started it, directly or not."""
    seen = set()
    while worker and worker not in seen:
        if worker in drivers:
            return drivers[worker]
        seen.add(worker)
        worker = owner.get(worker, b"")
    return None


def total_of(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the sums of amounts.

    Args:
        parts: amounts, by their names.
    """
    total: dict[str, float] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, 0.0) + amount
    return total
