"""Connecting the kernel: to what is there, to an address, or to a Ray of its own."""

from __future__ import annotations

import os
from typing import Any

from nbtune.cluster.embedded import embedded, warm
from nbtune.cluster.link import address as addresses
from nbtune.cluster.link import auth
from nbtune.cluster.link.address import Address, UnreachableError
from nbtune.cluster.link.attach import NAMESPACE, adopt, attach, leave_if_gone
from nbtune.cluster.link.imports import import_ray
from nbtune.cluster.link.link import Cluster, Link, current, describe, remember
from nbtune.cluster.link.probe import probe
from nbtune.cluster.local import local
from nbtune.errors import ClusterError

__all__ = ["NAMESPACE", "Cluster", "connect", "import_ray", "is_connected_to", "reach"]


def connect(address: str | None = None, *, cpus: int | None = None, gpus: int | None = None) -> Cluster:
    """Connect this kernel to a cluster, and return what it has.

    What Ray is connected to already is kept. Otherwise `address`, or the environment's ``RAY_ADDRESS``, is
    attached to; without either, a cluster that runs on this machine: nbtune's own, or one that this user has
    started with ``ray start``. Where there is none, Ray is started here and ends with the kernel.

    Args:
        address: HOST:PORT of a cluster with a node on this machine; ray://HOST:PORT of a Ray Client server;
            "auto" for a cluster that runs on this machine; "local" for an embedded Ray in any case.
        cpus: how many CPUs an embedded Ray has; all of this machine's if None. Logical ones: they
            are what trials are scheduled by. To give it is to ask for an embedded Ray.
        gpus: how many GPUs an embedded Ray has; those it finds if None. Logical ones as well.

    Raises:
        ClusterError: the address cannot be reached, Ray cannot start here, or what is asked for does not
            go together with what is there.
    """
    wanted = {"address": address, "cpus": cpus, "gpus": gpus}
    asked = ", ".join(f"{name}={value!r}" for name, value in wanted.items() if value is not None)
    ray = import_ray()
    gone = leave_if_gone(ray) if ray.is_initialized() else None
    if gone and not asked:
        raise ClusterError(
            f"the cluster at {gone}, which this kernel was connected to, is no more, and its experiments have ended."
            " Call connect() or %tune cluster again for another one"
        )
    if ray.is_initialized():
        if current(ray) is None:
            adopt(ray)
        there = describe(ray)
        if asked and not (
            address and cpus is None and gpus is None and is_connected_to(ray, addresses.parse(address), there)
        ):
            raise ClusterError(
                f"connect({asked}): this kernel is connected to {there} already."
                " Call ray.shutdown() first, which ends an embedded cluster with its experiments"
            )
        return there
    named = address or os.environ.get("RAY_ADDRESS") or None
    given = addresses.parse(named) if named else None
    if (cpus, gpus) != (None, None):
        if given is not None and given.kind != "local":
            origin = "" if address else ", which RAY_ADDRESS names,"
            raise ClusterError(
                f"connect({asked}): cpus and gpus are for an embedded Ray, and the cluster at {given}{origin} has"
                ' its own. Leave them out, or give address="local"'
            )
        given = Address("local")
    warm.stop()
    auth.forget()
    if given is None or given.kind == "auto":
        if not local.join(given) and not _attach_found(ray, given):
            _embed(ray, cpus, gpus, given)
    elif given.kind == "local":
        _embed(ray, cpus, gpus, given)
    else:
        attach(ray, given, probe(given), given)
    return describe(ray)


def reach() -> bool:
    """Connect to a cluster that runs already, if there is one; tell whether this kernel is connected.

    Raises:
        ClusterError: there is one, and it cannot be connected to.
    """
    ray = import_ray()
    if ray.is_initialized():
        return True
    if os.environ.get("RAY_ADDRESS"):
        connect()
        return True
    return local.join(None) or _attach_found(ray, None)


def is_connected_to(ray: Any, address: Address, there: Cluster) -> bool:
    """Tell whether an address is the one that the kernel is connected to."""
    link = current(ray)
    if link is not None and link.given == address:
        return True
    if address.kind == "local":
        return there.embedded
    if address.kind == "auto":
        return not there.embedded
    return address.kind == "gcs" and address.target == there.address


def _attach_found(ray: Any, given: Address | None) -> bool:
    """Connect to a cluster of `ray start` on this machine, and tell whether there is one.

    Raises:
        ClusterError: it runs and does not go together with this kernel; or it was asked for and there is none.
    """
    found = addresses.ordinary()
    try:
        if found is None and given is not None:
            there = addresses.running()
            if len(there) > 1:
                raise ClusterError(
                    f"auto: {len(there)} Rays run on this machine; name one: {', '.join(map(str, there))}"
                )
            found = there[0] if there else None
        if found is not None:
            facts = probe(found)
    except UnreachableError:
        found = None  # a file that a cluster has left behind which was killed
    except ClusterError as error:
        if given is not None:
            raise
        raise ClusterError(
            f'{error}. It was found on this machine; %tune cluster local, or nbtune.connect("local"), starts a Ray of'
            " this kernel's own"
        ) from error
    if found is not None:
        attach(ray, found, facts, given)
        return True
    if given is not None:
        raise ClusterError(
            "auto: no cluster runs on this machine. %tune cluster start starts one, and %tune cluster local a Ray of"
            " this kernel's own"
        )
    return False


def _embed(ray: Any, cpus: int | None, gpus: int | None, given: Address | None) -> None:
    embedded.start(ray, NAMESPACE, cpus, gpus)
    remember(ray, Link("embedded", given))
    warm.start(int(describe(ray).total("CPU")))
