"""Connecting the kernel: to the current cluster, to an address, or to a Ray of its own."""

from __future__ import annotations

import os
import sys
from typing import Any

from nbtune.cluster.embedded import early, embedded
from nbtune.cluster.link import address as addresses
from nbtune.cluster.link import ahead, auth
from nbtune.cluster.link.address import Address, UnreachableError
from nbtune.cluster.link.attach import adopt, attach, disconnect_if_gone
from nbtune.cluster.link.imports import import_ray
from nbtune.cluster.link.link import Cluster, Link, current_link, describe, set_link
from nbtune.cluster.link.probe import probe
from nbtune.cluster.local import local, state
from nbtune.engine.protocol.environment import NAMESPACE
from nbtune.errors import ClusterError

__all__ = ["Cluster", "connect", "import_ray", "is_connected_to", "reach", "start_ahead"]


def connect(address: str | None = None, *, cpus: int | None = None, gpus: int | None = None) -> Cluster:
    """Connect this kernel to a cluster, and return the cluster's resources.

    An existing connection of Ray is used as it is. Otherwise the kernel connects to `address`, or to ``RAY_ADDRESS`` of
    the environment. Without either, it connects to a cluster on this machine: nbtune's local cluster, or one that this
    user has started with ``ray start``. If there is none, an embedded Ray is started, which ends with the kernel.

    Args:
        address: HOST:PORT of a cluster with a node on this machine; ray://HOST:PORT of a Ray Client server;
            "auto" for a cluster on this machine; "local" for an embedded Ray.
        cpus: number of logical CPUs of an embedded Ray, by which trials are scheduled; by default those of this
            machine. Implies ``address="local"``.
        gpus: number of logical GPUs of an embedded Ray; by default those that Ray detects. Implies
            ``address="local"``.

    Returns:
        The cluster as it is now.

    Raises:
        ClusterError: the address cannot be reached, Ray cannot start, or the arguments conflict with each other or
            with the existing connection.
    """
    arguments = {"address": address, "cpus": cpus, "gpus": gpus}
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items() if value is not None)
    ray = import_ray()
    gone = disconnect_if_gone(ray) if ray.is_initialized() else None
    if gone and not given:
        raise ClusterError(
            f"the cluster at {gone}, to which this kernel was connected, has ended, and its experiments with it."
            " Call connect() or %tune cluster again to connect to another one"
        )
    if ray.is_initialized():
        if current_link(ray) is None:
            adopt(ray)
        cluster = describe(ray)
        if given and not (
            address and cpus is None and gpus is None and is_connected_to(ray, addresses.parse(address), cluster)
        ):
            raise ClusterError(
                f"connect({given}): this kernel is already connected to {cluster}."
                " Call ray.shutdown() first, which ends an embedded cluster with its experiments"
            )
        ahead.start()
        return cluster
    text = address or os.environ.get("RAY_ADDRESS") or None
    requested = addresses.parse(text) if text else None
    if (cpus, gpus) != (None, None):
        if requested is not None and requested.kind != "local":
            origin = "" if address else " from RAY_ADDRESS"
            raise ClusterError(
                f"connect({given}): cpus= and gpus= are for an embedded Ray; the cluster at {requested}{origin} has its"
                ' own resources. Omit them, or use address="local"'
            )
        requested = Address("local")
    auth.reset_mode()
    early.check(ray)
    if (cpus, gpus) != (None, None) or (requested is not None and requested.kind != "local"):
        early.stop()
    if requested is None or requested.kind == "auto":
        if not local.join(requested) and not _attach_on_this_machine(ray, requested):
            _embed(ray, cpus, gpus, requested)
    elif requested.kind == "local":
        _embed(ray, cpus, gpus, requested)
    else:
        attach(ray, requested, probe(requested), requested)
    early.check(ray)  # it ends if this kernel is connected to another cluster
    ahead.start()
    return describe(ray)


def start_ahead() -> bool:
    """Begin to start an embedded Ray in the background, if that is what `connect` without arguments would start.

    Returns:
        Whether it does.
    """
    ray = sys.modules.get("ray")
    if os.environ.get("RAY_ADDRESS") or state.read() or (ray is not None and ray.is_initialized()):
        return False
    early.begin()
    return True


def reach() -> bool:
    """Connect to a running cluster if there is one, without starting one.

    Returns:
        Whether this kernel is connected.

    Raises:
        ClusterError: there is a cluster, but the kernel cannot connect to it.
    """
    ray = import_ray()
    if ray.is_initialized():
        return True
    if os.environ.get("RAY_ADDRESS"):
        connect()
        return True
    return local.join(None) or _attach_on_this_machine(ray, None)


def is_connected_to(ray: Any, address: Address, cluster: Cluster) -> bool:
    """Tell whether the kernel is connected to an address.

    Args:
        ray: the module.
        address: the address in question.
        cluster: the cluster to which the kernel is connected.
    """
    link = current_link(ray)
    if link is not None and link.requested == address:
        return True
    if address.kind == "local":
        return cluster.embedded
    if address.kind == "auto":
        return not cluster.embedded
    return address.kind == "gcs" and address.target == cluster.address


def _attach_on_this_machine(ray: Any, requested: Address | None) -> bool:
    """Connect to a cluster of `ray start` on this machine, and tell whether there is one.

    Raises:
        ClusterError: the cluster does not fit this kernel; or "auto" was requested and there is no cluster.
    """
    address = addresses.from_address_file()
    try:
        if address is None and requested is not None:
            running = addresses.running_clusters()
            if len(running) > 1:
                raise ClusterError(
                    f"auto: several Ray clusters are running on this machine; use one of their addresses:"
                    f" {', '.join(map(str, running))}"
                )
            address = running[0] if running else None
        if address is not None:
            probed = probe(address)
    except UnreachableError:
        address = None  # the address file of a cluster that was killed
    except ClusterError as error:
        if requested is not None:
            raise
        raise ClusterError(
            f'{error}. This cluster was found on this machine; %tune cluster local, or nbtune.connect("local"), starts'
            " an embedded Ray instead"
        ) from error
    if address is not None:
        attach(ray, address, probed, requested)
        return True
    if requested is not None:
        raise ClusterError(
            "auto: no cluster is running on this machine. %tune cluster start starts one, and %tune cluster local an"
            " embedded Ray"
        )
    return False


def _embed(ray: Any, cpus: int | None, gpus: int | None, requested: Address | None) -> None:
    if not early.join(ray, requested):
        embedded.start(ray, NAMESPACE, cpus, gpus)
        set_link(ray, Link("embedded", requested))
