"""The cluster panel's widget: what is told to the browser while it looks, and attaching to another cluster."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from nbtune.errors import NbtuneError
from nbtune.views.base.channel import Live, connected, script, styles
from nbtune.views.base.polling import Looked

__all__ = ["Panel", "Source"]

_EVERY = 1.0  # seconds between two questions to the cluster
_ERRORS = 20  # of the browser's, that are kept


class Source(Protocol):
    """The cluster, as far as the panel needs it."""

    def picture(self) -> Mapping[str, Any]:
        """Return what is known of it now: see "Cluster" in widgets/README.md.

        Raises:
            NbtuneError: it is gone, or does not answer.
        """
        ...

    def connect(self, address: str | None) -> None:
        """Connect to another.

        Raises:
            NbtuneError: that does not work; it says why.
        """
        ...


class Panel(Live):
    """The connected cluster, live while somebody looks.

    Args:
        source: what knows the cluster.

    Attributes:
        errors: what went wrong in the browser's half, the latest last.
    """

    _esm = script("cluster")
    _css = styles("cluster")

    def __init__(self, source: Source) -> None:
        self.errors: list[str] = []
        self._source = source
        self._lock = threading.Lock()
        self._facts: dict[str, Any] | None = None  # the latest picture but for its nodes; None before the first
        self._nodes: dict[str, Any] = {}
        self._looked = Looked(self._ask, _EVERY)
        super().__init__(
            {
                "ready": lambda _: self._tell_all(),
                "look": lambda _: self._looked.look(),
                "connect": lambda message: self._looked.order(lambda: self._connect(message)),
                "error": self._failed,
            }
        )

    def _ask(self) -> None:
        """Ask the cluster, and tell the browser what is new."""
        try:
            facts = dict(self._source.picture())
        except NbtuneError as error:
            facts = {"kind": "gone", "why": str(error)}
        except Exception as error:  # nobody looks at this thread
            facts = {"kind": "gone", "why": f"{type(error).__name__}: {error}"}
            self._failed({"where": "kernel", "message": facts["why"]})
        with self._lock:
            nodes = {node["id"]: node for node in facts.pop("nodes", ())}
            known = self._nodes
            changed = [node for node in nodes.values() if known.get(node["id"]) != node]
            left = [name for name in known if name not in nodes]
            told = facts if facts != self._facts else None
            self._facts, self._nodes = facts, nodes
            self.send({"type": "cluster", "reset": False, "facts": told, "nodes": changed, "left": left})

    def _tell_all(self) -> None:
        with self._lock:
            if self._facts is not None:
                nodes = list(self._nodes.values())
                self.send({"type": "cluster", "reset": True, "facts": self._facts, "nodes": nodes, "left": []})

    def _connect(self, message: Mapping[str, Any]) -> None:
        address = message.get("address") if isinstance(message.get("address"), str) else None
        self.send(connected(message, lambda: self._source.connect(address or None), self._failed))
        self._ask()

    def _failed(self, message: Mapping[str, Any]) -> None:
        self.errors = [*self.errors, f"{message.get('where')}: {message.get('message')}"][-_ERRORS:]
