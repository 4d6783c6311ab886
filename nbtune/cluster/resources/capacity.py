"""What a cluster has to spare: what is free on its nodes now, and which nodes it may still start."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from nbtune.cluster.link.link import Cluster
from nbtune.spec.plan.plan import NodeType

__all__ = ["free_now", "growth"]

_READ_ONLY = "node_"  # how the types of nodes are called that Ray's autoscaler only looks at


def free_now(ray: Any) -> list[Mapping[str, float]] | None:
    """Return what is free on each node that is alive, in the order of `ray.nodes()`.

    Other experiments' and other people's trials hold the rest. None over Ray Client, which does not tell.
    """
    if ray.util.client.ray.is_connected():
        return None
    from nbtune.engine._ray.core import available_resources_per_node

    free = available_resources_per_node()
    return [free.get(node["NodeID"], {}) for node in ray.nodes() if node["Alive"]]


def growth(ray: Any, cluster: Cluster) -> tuple[NodeType, ...] | None:
    """Return the nodes that a cluster may still start by itself; none where it does not say which.

    Returns:
        None for a cluster that has the nodes that it has.
    """
    if cluster.embedded or cluster.local:
        return None
    with suppress(Exception):  # it is none of Ray's public answers, and no experiment may fail for want of it
        if not ray.util.client.ray.is_connected():
            return _read()
        # Only processes of the cluster itself can ask for it.
        return ray.get(ray.remote(_read).options(num_cpus=0).remote(), timeout=60)  # type: ignore[no-any-return]
    return None


def _read() -> tuple[NodeType, ...] | None:
    import ray

    from nbtune.engine._ray.core import global_state

    config = global_state.get_cluster_config()
    present = [node for node in ray.nodes() if node["Alive"]]
    if config is not None and config.node_group_configs:
        kinds = [(group.name, dict(group.resources), group.max_count) for group in config.node_group_configs]
        return tuple(_more(kinds, present)) or None
    if not any(name and not name.startswith(_READ_ONLY) for name in _node_types(ray)):
        return None
    kinds = _from_file(ray.get_runtime_context().gcs_address)
    return (tuple(_more(kinds, present)) or None) if kinds else ()


def _node_types(ray: Any) -> Iterable[str]:
    """Return how the autoscaler calls the types of the nodes that are there; nothing where there is no autoscaler."""
    from nbtune.cluster.link._ray import (
        DEBUG_AUTOSCALING_STATUS,
        GCS_AUTOSCALER_STATE_NAMESPACE,
        GCS_AUTOSCALER_V2_ENABLED_KEY,
        internal_kv_get,
    )

    if internal_kv_get(GCS_AUTOSCALER_V2_ENABLED_KEY, namespace=GCS_AUTOSCALER_STATE_NAMESPACE) == b"1":
        from ray.autoscaler.v2.sdk import get_cluster_status

        status = get_cluster_status(ray.get_runtime_context().gcs_address)
        return [node.ray_node_type_name for node in (*status.active_nodes, *status.idle_nodes)]
    told = internal_kv_get(DEBUG_AUTOSCALING_STATUS)
    report = json.loads(told).get("autoscaler_report") if told else None
    return list((report or {}).get("active_nodes", {}))


def _from_file(address: str) -> list[tuple[str, dict[str, float], int]]:
    """Return the node types in the autoscaler's file, if this is the machine that it runs on."""
    import yaml  # type: ignore[import-untyped]

    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if f"--gcs-address={address}" not in words:
            continue
        for word in words:
            flag, _, path = word.partition("=")
            if flag == "--autoscaling-config" and path:
                with suppress(OSError, ValueError, KeyError, AttributeError, yaml.YAMLError):
                    config = yaml.safe_load(Path(path).expanduser().read_text("utf-8"))
                    most = int(config.get("max_workers", 2))  # Ray's own default
                    return [
                        (name, dict(kind.get("resources", {})), min(most, int(kind.get("max_workers", most))))
                        for name, kind in config["available_node_types"].items()
                        if name != config.get("head_node_type")
                    ]
    return []


def _more(
    kinds: Sequence[tuple[str, Mapping[str, float], int]], present: Sequence[Mapping[str, Any]]
) -> Iterable[NodeType]:
    """Yield the kinds of which more may start than there are."""
    for name, resources, most in kinds:
        there = sum(_is(node, name, resources) for node in present)
        if most < 0 or most > there:
            yield NodeType(resources, most if most < 0 else most - there)


def _is(node: Mapping[str, Any], name: str, resources: Mapping[str, float]) -> bool:
    group = (node.get("Labels") or {}).get("ray.io/node-group")
    if group:
        return bool(group == name)
    return all(node["Resources"].get(key) == amount for key, amount in resources.items())
