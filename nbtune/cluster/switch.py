"""Switching from one cluster to another: the kernel disconnects only if the other cluster is available."""

from __future__ import annotations

from collections.abc import Sequence

from nbtune.cluster.connect import connect, is_connected_to
from nbtune.cluster.link import address as addresses
from nbtune.cluster.link.address import Address
from nbtune.cluster.link.attach import disconnect_if_gone
from nbtune.cluster.link.imports import import_ray
from nbtune.cluster.link.link import Cluster, describe
from nbtune.cluster.link.probe import probe
from nbtune.cluster.local import state
from nbtune.errors import ClusterError

__all__ = ["switch"]


def switch(address: str | None, running: Sequence[str], used: float) -> Cluster:
    """Disconnect this kernel, and connect it to another cluster.

    An attached or local cluster continues to run. An embedded Ray would end, so the kernel stays connected to it while
    anything is running there.

    Args:
        address: as for `connect`; None for the current cluster, or any if there is no connection.
        running: names of this kernel's running experiments.
        used: number of CPUs and GPUs in use by anything else.

    Raises:
        ClusterError: the other cluster is not available, or an embedded Ray is in use. The connection is unchanged.
    """
    ray = import_ray()
    if not ray.is_initialized() or disconnect_if_gone(ray):
        return connect(address)
    cluster = describe(ray)
    requested = addresses.parse(address) if address else None
    if requested is None or is_connected_to(ray, requested, cluster):
        return cluster
    if cluster.embedded and running:
        raise ClusterError(
            f"disconnecting would end this kernel's embedded Ray and its running"
            f" experiment{'s' if len(running) > 1 else ''}: {', '.join(running)}. Wait for the end, or call"
            f" {running[0]}.stop(); ray.shutdown() ends everything"
        )
    if cluster.embedded and used:
        raise ClusterError(
            f"disconnecting would end this kernel's embedded Ray, of which {used:g} CPUs or GPUs are in use. End their"
            " users first; ray.shutdown() ends everything"
        )
    _check_available(requested)
    ray.shutdown()
    return connect(address)


def _check_available(requested: Address) -> None:
    """Check a cluster while the kernel is still connected to another one.

    Raises:
        ClusterError: there is no cluster, or it does not fit this kernel.
    """
    if requested.kind in {"gcs", "client"}:
        probe(requested)
    elif requested.kind == "auto" and state.read() is None and addresses.from_address_file() is None:
        raise ClusterError(
            "auto: no other cluster is running on this machine. %tune cluster start starts one that outlives the kernel"
        )
