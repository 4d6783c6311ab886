"""Connecting to Ray: what the kernel is connected to already, an address, or a cluster of its own."""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbtune.cluster import warm
from nbtune.engine import environment
from nbtune.errors import ClusterError

__all__ = ["NAMESPACE", "Cluster", "connect", "import_ray"]

NAMESPACE = "nbtune"
"""The Ray namespace of all of nbtune's actors."""


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster as it was when asked.

    Attributes:
        address: its address, host:port.
        embedded: whether it belongs to this kernel and ends with it.
        nodes: the resources of each node that is alive, by Ray's names.
    """

    address: str
    embedded: bool
    nodes: tuple[Mapping[str, float], ...]

    def total(self, resource: str) -> float:
        """Return how much of a resource all nodes have together."""
        return sum(node.get(resource, 0) for node in self.nodes)

    def __str__(self) -> str:
        kind = "embedded Ray" if self.embedded else f"Ray at {self.address}"
        nodes = f"{len(self.nodes)} node{'s' if len(self.nodes) != 1 else ''}"
        return f"{kind}: {nodes}, {self.total('CPU'):g} CPUs, {self.total('GPU'):g} GPUs"


_embedded = False


def connect(address: str | None = None, *, cpus: int | None = None, gpus: int | None = None) -> Cluster:
    """Connect this kernel to a cluster, and return what it has.

    What Ray is connected to already is kept. Otherwise `address`, or the environment's
    ``RAY_ADDRESS``, is attached to; without either, Ray is started on this machine and ends with the
    kernel.

    Args:
        address: host:port of a cluster, or None.
        cpus: how many CPUs an embedded Ray has; all of this machine's if None. Logical ones: they
            are what trials are scheduled by.
        gpus: how many GPUs an embedded Ray has; those it finds if None. Logical ones as well.

    Raises:
        ClusterError: the address cannot be reached, Ray cannot start here, or what is asked for does not
            go together with what is there.
    """
    global _embedded
    ray = import_ray()
    if ray.is_initialized():
        wanted = {"address": address, "cpus": cpus, "gpus": gpus}
        given = ", ".join(f"{name}={value!r}" for name, value in wanted.items() if value is not None)
        if given and address != ray.get_runtime_context().gcs_address:
            raise ClusterError(
                f"connect({given}): this kernel is connected to {_describe()} already."
                " Call ray.shutdown() first, which ends an embedded cluster with its experiments"
            )
        return _describe()
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address:
        _attach(ray, address)
        _embedded = False
    else:
        _start(ray, cpus, gpus)
        _embedded = True
        warm.start(int(_describe().total("CPU")))
    return _describe()


def import_ray() -> Any:
    """Import Ray without the part that has nothing to do with it (see `nbtune.cluster.lazy`)."""
    if "ray" not in sys.modules:
        with _lazy_path():
            import ray
    import ray

    return ray


def _describe() -> Cluster:
    import ray

    nodes = tuple(dict(node["Resources"]) for node in ray.nodes() if node["Alive"])
    return Cluster(ray.get_runtime_context().gcs_address, _embedded, nodes)


def _attach(ray: Any, address: str) -> None:
    _probe(address)
    try:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"{address} cannot be reached: {error}. A cluster started by `ray start` needs its token here too:"
            " RAY_AUTH_MODE=token and the same ~/.ray/auth_token"
        ) from error


def _probe(address: str) -> None:
    """Find out at once whether anybody listens: Ray itself tries for minutes.

    Raises:
        ClusterError: nobody does, or it is no address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
        raise ClusterError(f"{address!r} is no address; write HOST:PORT, or ray://HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise ClusterError(
            f"{address} cannot be reached: {error}. Is the cluster up, and the address right?"
        ) from error


def _start(ray: Any, cpus: int | None, gpus: int | None) -> None:
    slots = cpus or os.cpu_count() or 1
    variables = {environment.ALSO: ",".join(name for name in environment.WORTH if name in sys.modules)}
    lazy = _lazy_folder()
    if lazy:
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [lazy, os.environ.get("PYTHONPATH", "")]))
    options = {
        "address": "local",
        "num_cpus": cpus,
        "num_gpus": gpus,
        "namespace": NAMESPACE,
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": "ERROR",
        "_system_config": {
            "preload_python_modules": [environment.PRELOAD],
            # Keep the processes that were started ahead: the trials', and one for a driver.
            "num_workers_soft_limit": slots + 2,
        },
    }
    with _variables(variables):
        try:
            ray.init(**options)
        except Exception:  # Ray's node gives up where one of its helpers needs over 15 s to start
            ray.shutdown()
            try:
                ray.init(**options)
            except Exception as error:
                ray.shutdown()
                raise ClusterError(
                    f"Ray could not start on this machine, tried twice: {error}. If the machine is very busy, try"
                    " again later; Ray's own logs are in its session folder, /tmp/ray/session_latest/logs"
                ) from error


def _lazy_folder() -> str | None:
    """Return the folder that makes the slow import lazy, or None where that package is not installed."""
    # Not importlib.util.find_spec: that one finds the lazy module itself, once it is imported.
    found = importlib.machinery.PathFinder.find_spec("rfc3987_syntax")
    return str(Path(__file__).parent / "lazy") if found else None


@contextlib.contextmanager
def _lazy_path() -> Iterator[None]:
    folder = _lazy_folder() if "jsonschema" not in sys.modules else None
    if folder is None:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


@contextlib.contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for what is started inside."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
