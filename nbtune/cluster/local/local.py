"""nbtune's local cluster: a Ray on this machine that outlives the kernel, found again by the next one."""

from __future__ import annotations

from nbtune.cluster.embedded import warm
from nbtune.cluster.link import address
from nbtune.cluster.link.attach import enter, leave_if_gone
from nbtune.cluster.link.imports import import_ray
from nbtune.cluster.link.link import Cluster, current, describe
from nbtune.cluster.local import launcher, state
from nbtune.errors import ClusterError

__all__ = ["join", "start_cluster", "stop_cluster"]


def start_cluster(cpus: int | None = None, gpus: int | None = None, idle: float | str = "1h") -> Cluster:
    """Start a cluster on this machine that outlives the kernel, and connect to it.

    It listens on this machine's loopback alone and wants the token of Ray's own token file. Later kernels find
    it by `connect()`. Where it runs already, that one is taken.

    Args:
        cpus: how many CPUs it has; all of this machine's if None. Logical ones: they are what trials are
            scheduled by.
        gpus: how many GPUs it has; those that Ray finds if None. Logical ones as well.
        idle: after how long without an experiment and without a kernel it ends by itself; seconds, or "30m".

    Raises:
        ClusterError: it cannot start, another one runs, or this kernel is connected to something else.
    """
    ray = import_ray()
    if ray.is_initialized() and not leave_if_gone(ray):
        link = current(ray)
        if link is None or link.kind != "local":
            ends = "which ends it with its experiments" if link and link.kind == "embedded" else "which leaves it"
            raise ClusterError(
                f"this kernel is connected to {describe(ray)}. Call ray.shutdown() first, {ends}; then start the"
                " local cluster"
            )
    with state.locked():
        there = launcher.start(cpus, gpus, idle)
        if not ray.is_initialized():
            _enter(there, None)
    return describe(ray)


def stop_cluster() -> bool:
    """End nbtune's local cluster on this machine with its experiments, and nothing else.

    Returns:
        Whether there was one.
    """
    ray = import_ray()
    with state.locked():
        link = current(ray)
        if link is not None and link.kind == "local":
            warm.stop()
            ray.shutdown()
        return launcher.stop()


def join(given: address.Address | None) -> bool:
    """Connect to the local cluster if it runs, and tell whether it does.

    Args:
        given: the address that was asked for, if any.
    """
    if state.read() is None:
        return False
    with state.locked():  # its keeper must not end it meanwhile
        there = launcher.find()
        if there is not None:
            _enter(there, given)
    return there is not None


def _enter(there: state.State, given: address.Address | None) -> None:
    ray = import_ray()
    enter(ray, address.parse(there.address), given, same=launcher.runs_the_same(there))
    warm.start(int(describe(ray).total("CPU")))
