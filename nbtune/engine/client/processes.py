"""The drivers' processes of this kernel on the connected cluster: started ahead, and kept for the next experiment."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import GetTimeoutError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nbtune.engine.client.variables import variables_at_import
from nbtune.engine.driver.process import DriverProcess

__all__ = [
    "Placement",
    "Process",
    "adopt",
    "describe_kept",
    "give_back",
    "hosts_ahead",
    "import_ahead",
    "start_ahead",
    "take",
]

_HEAD = {"node:__internal_head__": 0.001}
"""A resource of Ray's head node only. A driver must not run on a node that may be removed."""
_MAX_AHEAD = 8  # processes of trials; each takes about 200 MB
_MAX_KEPT = 2
_CLAIM_TIMEOUT = 6.0  # seconds; starting another process takes a similar time on a busy machine
_CERTAIN = 300.0  # seconds after its start in which a process that was started ahead waits for its first experiment


@dataclass(frozen=True)
class Placement:
    """Where a driver runs.

    Attributes:
        resources: custom resources of the nodes on which it may run; empty for the head node.
        node: the id of the node on which it has to run, since its storage is there; None for any.
        variables: environment variables of the driver and its trials. Ray may log them.
    """

    resources: Mapping[str, float] = field(default_factory=dict)
    node: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """Return Ray's options of the actor."""
        options: dict[str, Any] = {"num_cpus": 0}
        if self.resources or self.node is None:
            options["resources"] = dict(self.resources or _HEAD)
        else:
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node_id=self.node, soft=False)
        if self.variables:
            options["runtime_env"] = {"env_vars": dict(self.variables)}
        return options


@dataclass(eq=False)
class Process:
    """A process for drivers.

    Attributes:
        actor: the handle of its `DriverProcess`.
        name: the actor's name.
        placement: where it runs.
        connection: which connection to which cluster has started it.
        started: when, by `time.monotonic`.
        is_used: whether it has run an experiment.
        packages: what its processes for trials have been told to import ahead.
    """

    actor: Any
    name: str
    placement: Placement
    connection: tuple[str, str]
    started: float = field(default_factory=time.monotonic)
    is_used: bool = False
    packages: frozenset[str] = frozenset()


_lock = threading.Lock()
_kept: list[Process] = []
_used: list[Process] = []


def start_ahead(namespace: str) -> str | None:
    """Start a process for the next experiment, with processes for its trials, unless there is one, or one is in use.

    Args:
        namespace: the Ray namespace of the actor's name.

    Returns:
        The name of the process's actor if it was started.
    """
    if ray.get_runtime_context().get_actor_id() is not None:
        return None  # this process is not a kernel, but runs a trial
    with _lock:
        _forget_others()
        if _kept or _used:  # they would compete with a running experiment
            return None
        _kept.append(_start(namespace, Placement()))
        return _kept[-1].name


def adopt(name: str, namespace: str) -> None:
    """Keep a process for the next experiment that another process has started ahead for this kernel.

    Args:
        name: the name of its actor.
        namespace: the Ray namespace of that name.

    Raises:
        ValueError: there is no such actor.
    """
    actor = ray.get_actor(name, namespace)
    with _lock:
        _kept.append(Process(actor, name, Placement(), _connection()))


def import_ahead(packages: Sequence[str]) -> None:
    """Let the processes that are kept import packages for the trials of the next experiment.

    Args:
        packages: names of packages that this kernel has imported.
    """
    with _lock:
        _forget_others()
        for process in _kept:
            if not process.packages.issuperset(packages):
                process.actor.import_ahead.remote(packages, variables_at_import())
                process.packages = frozenset(packages)


def take(namespace: str, placement: Placement) -> Process:
    """Return a process for an experiment: one that is kept, or else a new one.

    Args:
        namespace: the Ray namespace of the actor's name.
        placement: where it has to run.
    """
    with _lock:
        _forget_others()
        # The one that was used last fits best: libraries are imported in its processes of trials.
        for process in [process for process in reversed(_kept) if process.placement == placement]:
            _kept.remove(process)
            if _claim(process):
                break
            _dismiss(process)
        else:
            process = _start(namespace, placement)
        process.is_used = True
        _used.append(process)
    return process


def give_back(process: Process) -> None:
    """Keep a process whose experiment is over for the next one. May be called on any thread.

    Args:
        process: the process.
    """
    with _lock:
        _forget_others()
        if process not in _used:  # it belongs to an earlier connection
            return
        _used.remove(process)
        if len(_kept) < _MAX_KEPT:
            _kept.append(process)
            return
    _dismiss(process)


def describe_kept() -> list[str]:
    """Return a line on the processes that are kept for the next experiment; empty if there are none."""
    with _lock:
        _forget_others()
        number = len(_kept)
    if not number:
        return []
    processes = f"{number} driver process{'es' if number > 1 else ''} and processes for trials"
    return [f"ready for the next experiment: {processes}, which reserve no resources"]


def hosts_ahead() -> list[str]:
    """Return the ids of the nodes on which processes for trials are started ahead, one for each process."""
    cpus = {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]}
    rounds = [[node for node, number in cpus.items() if number > turn] for turn in range(_MAX_AHEAD)]
    return [node for nodes in rounds for node in nodes][:_MAX_AHEAD]


def _start(namespace: str, placement: Placement) -> Process:
    # Detached: it lives as long as its experiment or its cluster.
    options = {"name": f"driver-{uuid.uuid4().hex[:16]}", "namespace": namespace, "lifetime": "detached"}
    actor = ray.remote(DriverProcess).options(**options, **placement.options()).remote(hosts_ahead())
    return Process(actor, options["name"], placement, _connection())


def _claim(process: Process) -> bool:
    """Tell whether a process can run an experiment; one that is still starting can."""
    is_new = not process.is_used and time.monotonic() - process.started < _CERTAIN
    try:
        return bool(ray.get(process.actor.claim.remote(), timeout=0.0 if is_new else _CLAIM_TIMEOUT))
    except GetTimeoutError:
        return is_new
    except Exception:  # it has ended
        return False


def _dismiss(process: Process) -> None:
    with suppress(Exception):  # it, or its cluster, has ended
        process.actor.end.remote()


def _forget_others() -> None:
    """Forget the processes on a cluster that this kernel is not connected to any more."""
    connection = _connection()
    for processes in _kept, _used:
        processes[:] = [process for process in processes if process.connection == connection]


def _connection() -> tuple[str, str]:
    with suppress(RuntimeError):  # the kernel disconnects meanwhile
        if ray.is_initialized():
            context = ray.get_runtime_context()
            return context.gcs_address, context.get_job_id()
    return "", ""
