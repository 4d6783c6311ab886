"""A cluster's capacity for trials: what is free on its nodes now, and which nodes it may still start."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from nbtune.cluster.link.link import Cluster
from nbtune.spec.plan.plan import NodeType

__all__ = ["autoscaling_nodes", "available_per_node"]

_READ_ONLY = "node_"  # prefix of the node types that Ray's autoscaler does not manage


def available_per_node(ray: Any) -> list[Mapping[str, float]] | None:
    """Return the free resources of each living node, in the order of `ray.nodes()`.

    Args:
        ray: the module.

    Returns:
        None with Ray Client, which has no such function.
    """
    if ray.util.client.ray.is_connected():
        return None
    from nbtune.engine._ray.core import available_resources_per_node

    free = available_resources_per_node()
    return [free.get(node["NodeID"], {}) for node in ray.nodes() if node["Alive"]]


def autoscaling_nodes(ray: Any, cluster: Cluster) -> tuple[NodeType, ...] | None:
    """Return the nodes that a cluster may still start by itself.

    Args:
        ray: the module.
        cluster: the connected cluster.

    Returns:
        None for a cluster without an autoscaler; an empty tuple if the nodes are not known.
    """
    if cluster.embedded or cluster.local:
        return None
    with suppress(Exception):  # this is not public in Ray, and no experiment may fail because of it
        if not ray.util.client.ray.is_connected():
            return _read_node_types()
        # Only processes of the cluster itself can read it.
        return ray.get(ray.remote(_read_node_types).options(num_cpus=0).remote(), timeout=60)  # type: ignore[no-any-return]
    return None


def _read_node_types() -> tuple[NodeType, ...] | None:
    import ray

    from nbtune.engine._ray.core import global_state

    config = global_state.get_cluster_config()
    present = [node for node in ray.nodes() if node["Alive"]]
    if config is not None and config.node_group_configs:
        types = [(group.name, dict(group.resources), group.max_count) for group in config.node_group_configs]
        return tuple(_remaining(types, present)) or None
    if not any(name and not name.startswith(_READ_ONLY) for name in _active_node_types(ray)):
        return None
    types = _read_autoscaler_file(ray.get_runtime_context().gcs_address)
    return (tuple(_remaining(types, present)) or None) if types else ()


def _active_node_types(ray: Any) -> Iterable[str]:
    """Return the autoscaler's names of the existing nodes' types; empty without an autoscaler."""
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
    text = internal_kv_get(DEBUG_AUTOSCALING_STATUS)
    report = json.loads(text).get("autoscaler_report") if text else None
    return list((report or {}).get("active_nodes", {}))


def _read_autoscaler_file(address: str) -> list[tuple[str, dict[str, float], int]]:
    """Return the node types of the autoscaler's file, if the autoscaler runs on this machine.

    Returns:
        For each type its name, resources and maximal number.
    """
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
                    limit = int(config.get("max_workers", 2))  # Ray's default
                    return [
                        (name, dict(spec.get("resources", {})), min(limit, int(spec.get("max_workers", limit))))
                        for name, spec in config["available_node_types"].items()
                        if name != config.get("head_node_type")
                    ]
    return []


def _remaining(
    types: Sequence[tuple[str, Mapping[str, float], int]], present: Sequence[Mapping[str, Any]]
) -> Iterable[NodeType]:
    """Yield the node types of which more nodes may start. A negative number stands for no limit."""
    for name, resources, limit in types:
        existing = sum(_has_type(node, name, resources) for node in present)
        if limit < 0 or limit > existing:
            yield NodeType(resources, limit if limit < 0 else limit - existing)


def _has_type(node: Mapping[str, Any], name: str, resources: Mapping[str, float]) -> bool:
    group = (node.get("Labels") or {}).get("ray.io/node-group")
    if group:
        return bool(group == name)
    return all(node["Resources"].get(key) == amount for key, amount in resources.items())
