"""What this kernel is connected to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbtune.cluster.link.address import Address

__all__ = ["Cluster", "Link", "current", "describe", "remember"]


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster as it was when asked.

    Attributes:
        address: its address, host:port.
        embedded: whether it belongs to this kernel and ends with it.
        nodes: the resources of each node that is alive, by Ray's names.
        local: whether it is nbtune's own on this machine, which outlives the kernel.
        missing: packages that its processes lack and that some experiments need.
    """

    address: str
    embedded: bool
    nodes: tuple[Mapping[str, float], ...]
    local: bool = False
    missing: tuple[str, ...] = ()

    def total(self, resource: str) -> float:
        """Return how much of a resource all nodes have together."""
        return sum(node.get(resource, 0) for node in self.nodes)

    def __str__(self) -> str:
        kind = "embedded Ray" if self.embedded else f"Ray at {self.address}"
        if self.local:
            kind = f"local cluster at {self.address}"
        nodes = f"{len(self.nodes)} node{'s' if len(self.nodes) != 1 else ''}"
        lacks = f"; its processes lack {', '.join(self.missing)}" if self.missing else ""
        return f"{kind}: {nodes}, {self.total('CPU'):g} CPUs, {self.total('GPU'):g} GPUs{lacks}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show itself in a notebook as a person reads it."""
        printer.text(str(self))


@dataclass(frozen=True)
class Link:
    """How this kernel is connected.

    Attributes:
        kind: "embedded", "local" or "attached".
        given: the address that was asked for, if any.
        missing: see `Cluster`.
    """

    kind: str
    given: Address | None = None
    missing: tuple[str, ...] = ()


_link: Link | None = None
_job: tuple[str, str] | None = None  # the connection that it is about: the user may have made another since


def remember(ray: Any, link: Link) -> None:
    """Note how Ray was connected just now."""
    global _link, _job
    _link, _job = link, _identity(ray)


def current(ray: Any) -> Link | None:
    """Return how Ray is connected, or None if nbtune does not know this connection."""
    return _link if _link is not None and ray.is_initialized() and _identity(ray) == _job else None


def describe(ray: Any) -> Cluster:
    """Return what the cluster has now."""
    link = current(ray) or Link("attached")
    nodes = tuple(dict(node["Resources"]) for node in ray.nodes() if node["Alive"])
    where = ray.get_runtime_context().gcs_address
    return Cluster(where, link.kind == "embedded", nodes, link.kind == "local", link.missing)


def _identity(ray: Any) -> tuple[str, str]:
    context = ray.get_runtime_context()
    return context.gcs_address, context.get_job_id()
