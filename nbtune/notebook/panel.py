"""`nbtune.ClusterPanel`: the connected cluster and this kernel's experiments, put together for the panel."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from nbtune.cluster.connect import NAMESPACE
from nbtune.cluster.resources.usage import Held, Node, look, total_of
from nbtune.cluster.switch import switch
from nbtune.errors import ClusterError
from nbtune.launch.registry import running
from nbtune.views.forms.cluster import Panel

__all__ = ["ClusterPanel"]

_ID = 8  # hexadecimal digits of a node's id, which tell nodes of one name apart
_FIRST = ("CPU", "GPU", "memory", "object_store_memory")
_COUNTED = ("CPU", "GPU")
_DEAD = 20  # dead nodes that are shown; how many there are is said in any case
_MOMENT = 3.0  # seconds in which Ray's nodes have told that what an experiment has held is free
_LEAST = 1e-3  # less than this is what sums of fractions leave over


class ClusterPanel(Panel):
    """The connected cluster: its nodes, what is used and free, which experiment uses it; and attaching to another.

    Display it in a cell. It asks the cluster at most once a second, and only while it is on somebody's screen; what
    it shows as used is what Ray has given away to trials and tasks. Without a cluster it says so, and starts none
    unless it is told to.

    Attributes:
        errors: what went wrong in the browser's half, the latest last.
    """

    def __init__(self) -> None:
        super().__init__(_Connected())

    def __repr__(self) -> str:
        """Say it in a line, where there is no widget."""
        try:
            facts = self._source.picture()
        except ClusterError as error:
            return f"ClusterPanel: {error}"
        if facts["kind"] == "none":
            return "ClusterPanel: no cluster is connected"
        used = ", ".join(f"{used:g} of {total:g} {name}" for name, used, total in facts["amounts"] if name in _COUNTED)
        return f"ClusterPanel: {facts['kind']}, {facts['alive']} node{'s' * (facts['alive'] != 1)}, {used} in use"


class _Connected:
    """What this kernel is connected to; see `nbtune.views.forms.cluster.Source`."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # of other kernels' experiments, by their folders

    def picture(self) -> Mapping[str, Any]:
        usage = look()
        if usage is None:
            return {"kind": "none"}
        alive = [node for node in usage.nodes if node.alive]
        dead = [node for node in usage.nodes if not node.alive]
        total, used = total_of(node.total for node in alive), total_of(node.used for node in alive)
        users = self._users(usage.held)
        held = total_of(user["resources"] for user in users)
        # Who holds objects in the object store, Ray does not say.
        rest = {name: used[name] - held.get(name, 0) for name in used if name != "object_store_memory"}
        return {
            "kind": usage.kind,
            "address": usage.address,
            "alive": len(alive),
            "dead": len(dead),
            "amounts": _amounts(total, used),
            "users": users,
            "others": {name: amount for name, amount in rest.items() if amount > _LEAST},
            "nodes": [_shown(node) for node in [*alive, *dead[-_DEAD:]]],
        }

    def connect(self, address: str | None) -> None:
        due = time.monotonic() + _MOMENT
        while (used := self._used_by_others()) and time.monotonic() < due:
            time.sleep(0.2)
        mine = [experiment.name for experiment in running().values()]
        switch(address, mine, used)

    def _used_by_others(self) -> float:
        """Return how many CPUs and GPUs of an embedded Ray are used by nobody known."""
        facts: Mapping[str, Any] = {}
        with suppress(ClusterError):  # one that is gone is left all the same
            facts = self.picture()
        others = facts.get("others", {}) if facts.get("kind") == "embedded" else {}
        return float(others.get("CPU", 0) + others.get("GPU", 0))

    def _users(self, held: Mapping[str, Held]) -> list[dict[str, Any]]:
        """Return who uses what: this kernel's experiments, then those of others."""
        mine = {PurePosixPath(path).name: one for path, one in running().items()}
        users = []
        for folder in sorted(held, key=lambda folder: (folder not in mine, folder)):
            name = mine[folder].name if folder in mine else self._name_elsewhere(folder, held[folder])
            if name is not None:
                trials = mine[folder]._store.counts["running"] if folder in mine else held[folder].trials
                users.append(
                    {"name": name, "here": folder in mine, "trials": trials, "resources": held[folder].resources}
                )
        return users

    def _name_elsewhere(self, folder: str, holds: Held) -> str | None:
        """Return the name of another kernel's experiment, or None where it is over and its driver only lingers."""
        if folder not in self._names or not holds.trials:
            from nbtune.engine.client.launch import find
            from nbtune.engine.client.stored import events_since

            about = find(folder, NAMESPACE, events_since)
            if about is None or about[1]["over"]:
                return None
            self._names[folder] = str(about[1].get("name") or folder)
        return self._names[folder]


def _shown(node: Node) -> dict[str, Any]:
    return {
        "id": node.id[:_ID],
        "name": node.name,
        "head": node.head,
        "alive": node.alive,
        "why": node.why,
        "accelerator": node.accelerator,
        "amounts": _amounts(node.total, node.used),
    }


def _amounts(total: Mapping[str, float], used: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Return (name, used, total) of each resource: Ray's own first, then custom ones by name."""
    names = [name for name in _FIRST if name in total] + sorted(set(total) - set(_FIRST))
    return [(name, round(used[name], 4), round(total[name], 4)) for name in names]
