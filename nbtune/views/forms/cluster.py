"""The widget of the cluster panel: polls the cluster while it is visible, and attaches to another one."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from nbtune.errors import NbtuneError
from nbtune.views.base.channel import BaseWidget, script, styles
from nbtune.views.base.polling import PollWhileVisible

__all__ = ["ClusterSource", "ClusterWidget"]

_INTERVAL = 1.0  # seconds between two polls


class ClusterSource(Protocol):
    """What the panel shows and controls."""

    def snapshot(self) -> Mapping[str, Any]:
        """Return the state of the connected cluster: see "Cluster" in widgets/README.md.

        Raises:
            NbtuneError: the cluster is lost, or does not answer.
        """
        ...

    def connect(self, address: str | None) -> None:
        """Connect to another cluster.

        Args:
            address: its address, or None for the default.

        Raises:
            NbtuneError: connecting has failed; the message says why.
        """
        ...


class ClusterWidget(BaseWidget):
    """The connected cluster, polled while the widget is visible.

    Args:
        source: the cluster.
    """

    _esm = script("cluster")
    _css = styles("cluster")

    def __init__(self, source: ClusterSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._cluster: dict[str, Any] | None = None  # the latest snapshot without its nodes; None before the first
        self._nodes: dict[str, Any] = {}
        self._polling = PollWhileVisible(self._poll, _INTERVAL)
        super().__init__(
            {
                "ready": lambda _: self._send_all(),
                "visible": lambda _: self._polling.view_is_visible(),
                "connect": lambda message: self._polling.run(lambda: self._connect(message)),
            }
        )

    def _poll(self) -> None:
        """Take a snapshot, and send the browser what has changed."""
        try:
            cluster = dict(self._source.snapshot())
        except NbtuneError as error:
            cluster = {"kind": "gone", "reason": str(error)}
        except Exception as error:  # on this thread nobody would see it
            cluster = {"kind": "gone", "reason": f"{type(error).__name__}: {error}"}
            self._errors.add("kernel", cluster["reason"])
        with self._lock:
            nodes = {node["id"]: node for node in cluster.pop("nodes", ())}
            previous = self._nodes
            changed = [node for node in nodes.values() if previous.get(node["id"]) != node]
            removed = [name for name in previous if name not in nodes]
            new_state = cluster if cluster != self._cluster else None
            self._cluster, self._nodes = cluster, nodes
            self.send({"type": "cluster", "reset": False, "cluster": new_state, "nodes": changed, "removed": removed})

    def _send_all(self) -> None:
        with self._lock:
            if self._cluster is not None:
                nodes = list(self._nodes.values())
                self.send({"type": "cluster", "reset": True, "cluster": self._cluster, "nodes": nodes, "removed": []})

    def _connect(self, message: Mapping[str, Any]) -> None:
        address = message.get("address") if isinstance(message.get("address"), str) else None
        self.answer_connect(message, lambda: self._source.connect(address or None))
        self._poll()
