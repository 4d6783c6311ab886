"""`nbtune.ClusterPanel`: the connected cluster and its users, for the widget of the panel."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from nbtune.cluster.resources.usage import Node, Reservation, cluster_usage, total_of
from nbtune.cluster.switch import switch
from nbtune.engine.protocol.environment import NAMESPACE
from nbtune.errors import ClusterError
from nbtune.launch.registry import running_experiments
from nbtune.results.experiment import Experiment
from nbtune.views.forms.cluster import ClusterWidget

__all__ = ["ClusterPanel"]

_ID_LENGTH = 8  # hexadecimal digits of a node's id, to distinguish nodes with the same name
_RAY_RESOURCES = ("CPU", "GPU", "memory", "object_store_memory")
_SUMMARY_RESOURCES = ("CPU", "GPU")
_MAX_DEAD = 20  # dead nodes in the table; the panel shows the number of all
_RELEASE_TIMEOUT = 3.0  # seconds until Ray's nodes have reported the resources of a finished experiment as free
_ROUNDING = 1e-3  # smaller amounts are rounding errors of sums


class ClusterPanel(ClusterWidget):
    """A widget that shows the connected cluster, its nodes, resources and users, and attaches to another cluster.

    Display it in a cell. It polls the cluster once a second while it is visible. Resources in use are those that Ray
    has allocated to trials and tasks. The panel starts a cluster only when the user clicks Connect.
    """

    def __init__(self) -> None:
        super().__init__(_Connected())

    def __repr__(self) -> str:
        """Return one line for frontends without widgets."""
        try:
            cluster = self._source.snapshot()
        except ClusterError as error:
            return f"ClusterPanel: {error}"
        if cluster["kind"] == "none":
            return "ClusterPanel: no cluster is connected"
        used = ", ".join(
            f"{used:g} of {total:g} {name}" for name, used, total in cluster["amounts"] if name in _SUMMARY_RESOURCES
        )
        return f"ClusterPanel: {cluster['kind']}, {cluster['alive']} node{'s' * (cluster['alive'] != 1)}, {used} in use"


class _Connected:
    """The cluster that this kernel is connected to; see `nbtune.views.forms.cluster.ClusterSource`."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # process -> name, of other kernels' experiments

    def snapshot(self) -> Mapping[str, Any]:
        usage = cluster_usage()
        if usage is None:
            return {"kind": "none"}
        alive = [node for node in usage.nodes if node.alive]
        dead = [node for node in usage.nodes if not node.alive]
        total, used = total_of(node.total for node in alive), total_of(node.used for node in alive)
        users = self._users(usage.reservations)
        reserved = total_of(user["resources"] for user in users)
        # Ray does not report the owners of objects in the object store.
        others = {name: used[name] - reserved.get(name, 0) for name in used if name != "object_store_memory"}
        return {
            "kind": usage.kind,
            "address": usage.address,
            "alive": len(alive),
            "dead": len(dead),
            "amounts": _amounts(total, used),
            "users": users,
            "others": {name: amount for name, amount in others.items() if amount > _ROUNDING},
            "nodes": [_node_row(node) for node in [*alive, *dead[-_MAX_DEAD:]]],
        }

    def connect(self, address: str | None) -> None:
        due = time.monotonic() + _RELEASE_TIMEOUT
        while (used := self._used_by_others()) and time.monotonic() < due:
            time.sleep(0.2)
        mine = [experiment.name for experiment in running_experiments().values()]
        switch(address, mine, used)

    def _used_by_others(self) -> float:
        """Return how many CPUs and GPUs of an embedded Ray are used by anything but experiments."""
        cluster: Mapping[str, Any] = {}
        with suppress(ClusterError):  # a lost cluster can be left, too
            cluster = self.snapshot()
        others = cluster.get("others", {}) if cluster.get("kind") == "embedded" else {}
        return float(others.get("CPU", 0) + others.get("GPU", 0))

    def _users(self, reservations: Mapping[str, Reservation]) -> list[dict[str, Any]]:
        """Return the users with their resources: this kernel's experiments, then those of others."""
        mine = {_process_of(one): one for one in running_experiments().values()}
        mine.pop("", None)
        users = []
        for process in sorted(reservations, key=lambda process: (process not in mine, process)):
            name = mine[process].name if process in mine else self._name_elsewhere(process)
            if name is not None:
                trials = mine[process]._store.counts["running"] if process in mine else reservations[process].trials
                users.append(
                    {
                        "name": name,
                        "here": process in mine,
                        "trials": trials,
                        "resources": reservations[process].resources,
                    }
                )
        return users

    def _name_elsewhere(self, process: str) -> str | None:
        """Return the name of the experiment that a process of another kernel runs; None if it runs none."""
        from nbtune.engine.client.drivers import BrokenDriver, ask

        answer = ask([process], NAMESPACE)[process]
        if isinstance(answer, BrokenDriver):
            return self._names.get(process)
        if answer is None or answer[1].over:
            return None
        self._names[process] = answer[1].name or process
        return self._names[process]


def _process_of(experiment: Experiment) -> str:
    """Return the name of the process of an experiment's driver; empty for an experiment that has none."""
    driver = getattr(experiment._source, "driver", None)
    return "" if driver is None else str(driver.name)


def _node_row(node: Node) -> dict[str, Any]:
    return {
        "id": node.id[:_ID_LENGTH],
        "name": node.name,
        "head": node.head,
        "alive": node.alive,
        "reason": node.why,
        "accelerator": node.accelerator,
        "amounts": _amounts(node.total, node.used),
    }


def _amounts(total: Mapping[str, float], used: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Return (name, used, total) of each resource: Ray's own ones first, then custom ones by name."""
    names = [name for name in _RAY_RESOURCES if name in total] + sorted(set(total) - set(_RAY_RESOURCES))
    return [(name, round(used[name], 4), round(total[name], 4)) for name in names]
