"""From one cluster to another: what this kernel is connected to is left only for one that can be had."""

from __future__ import annotations

from collections.abc import Sequence

from nbtune.cluster.connect import connect, is_connected_to
from nbtune.cluster.link import address as addresses
from nbtune.cluster.link.address import Address
from nbtune.cluster.link.attach import leave_if_gone
from nbtune.cluster.link.imports import import_ray
from nbtune.cluster.link.link import Cluster, describe
from nbtune.cluster.link.probe import probe
from nbtune.cluster.local import state
from nbtune.errors import ClusterError

__all__ = ["switch"]


def switch(address: str | None, running: Sequence[str], used: float) -> Cluster:
    """Connect this kernel, and leave first what it is connected to.

    An attached cluster and the local one go on without this kernel. An embedded Ray ends, and so it is not left
    while anything runs on it.

    Args:
        address: as for `connect`; None for what is there, or else a Ray of this kernel's own.
        running: the names of this kernel's experiments that run.
        used: how many CPUs and GPUs are given away for anything else.

    Raises:
        ClusterError: the other one cannot be had, or an embedded Ray is in use. The connection is what it was.
    """
    ray = import_ray()
    if not ray.is_initialized() or leave_if_gone(ray):
        return connect(address)
    there = describe(ray)
    given = addresses.parse(address) if address else None
    if given is None or is_connected_to(ray, given, there):
        return there
    if there.embedded and running:
        raise ClusterError(
            f"this kernel's embedded Ray would end, and {', '.join(running)} with it, which"
            f" run{'s' if len(running) == 1 else ''} there. Wait for the end, or call {running[0]}.stop();"
            " ray.shutdown() ends all of it"
        )
    if there.embedded and used:
        raise ClusterError(
            f"this kernel's embedded Ray would end, and {used:g} CPUs or GPUs of it are in use. End what uses them"
            " first; ray.shutdown() ends all of it"
        )
    _see(given)
    ray.shutdown()
    return connect(address)


def _see(given: Address) -> None:
    """See that there is a cluster, as long as the connection to the other is there.

    Raises:
        ClusterError: there is none, or it does not go together with this kernel.
    """
    if given.kind in {"gcs", "client"}:
        probe(given)
    elif given.kind == "auto" and state.read() is None and addresses.ordinary() is None:
        raise ClusterError("auto: no other cluster runs on this machine. %tune cluster start starts one that stays")
