"""Starting, stopping and connecting to nbtune's local cluster."""

from __future__ import annotations

from nbtune.cluster.link import address, ahead
from nbtune.cluster.link.attach import attach_local, disconnect_if_gone
from nbtune.cluster.link.imports import import_ray
from nbtune.cluster.link.link import Cluster, current_link, describe
from nbtune.cluster.local import launcher, state
from nbtune.errors import ClusterError

__all__ = ["join", "start_cluster", "stop_cluster"]


def start_cluster(cpus: int | None = None, gpus: int | None = None, idle: float | str = "1h") -> Cluster:
    """Start a cluster on this machine that outlives the kernel, and connect to it.

    It listens on loopback only and requires the token of Ray's default token file. Later kernels connect to it with
    `connect()`. If it is already running, the kernel connects to that one.

    Args:
        cpus: number of logical CPUs, by which trials are scheduled; by default those of this machine.
        gpus: number of logical GPUs; by default those that Ray detects.
        idle: time without experiments and connected kernels after which the cluster ends: seconds, or a duration such
            as "30m".

    Returns:
        The cluster as it is now.

    Raises:
        ClusterError: the cluster cannot start, one with other resources is running, or this kernel is connected to
            another cluster.
    """
    ray = import_ray()
    if ray.is_initialized() and not disconnect_if_gone(ray):
        link = current_link(ray)
        if link is None or link.kind != "local":
            effect = "which ends it with its experiments" if link and link.kind == "embedded" else "which disconnects"
            raise ClusterError(
                f"this kernel is connected to {describe(ray)}. Call ray.shutdown() first, {effect}; then start the"
                " local cluster"
            )
    with state.locked():
        cluster = launcher.start(cpus, gpus, idle)
        if not ray.is_initialized():
            _attach(cluster, None)
    ahead.start()
    return describe(ray)


def stop_cluster() -> bool:
    """End nbtune's local cluster on this machine, with its experiments. Other Ray clusters are not affected.

    Returns:
        Whether there was one.
    """
    ray = import_ray()
    with state.locked():
        link = current_link(ray)
        if link is not None and link.kind == "local":
            ray.shutdown()
        return launcher.stop()


def join(requested: address.Address | None) -> bool:
    """Connect to the local cluster if it is running.

    Args:
        requested: the address that the user has given, if any.

    Returns:
        Whether it is running.

    Raises:
        ClusterError: it is running, but this kernel cannot connect to it.
    """
    if state.read() is None:
        return False
    with state.locked():  # so that its guardian does not end it meanwhile
        cluster = launcher.find()
        if cluster is not None:
            _attach(cluster, requested)
    return cluster is not None


def _attach(cluster: state.State, requested: address.Address | None) -> None:
    ray = import_ray()
    same_versions = launcher.has_same_versions(cluster)
    attach_local(ray, address.parse(cluster.address), requested, same_versions=same_versions)
