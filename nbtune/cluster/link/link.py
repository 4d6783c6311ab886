"""The cluster that this kernel is connected to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbtune.cluster.link.address import Address

__all__ = ["Cluster", "Link", "current_link", "describe", "set_link"]


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, at the time of the call that has returned this object.

    Attributes:
        address: HOST:PORT.
        embedded: whether it belongs to this kernel and ends with it.
        nodes: the resources of each living node, by Ray's names.
        local: whether it is nbtune's local cluster, which outlives the kernel.
        missing: packages that some experiments need and that some nodes do not have.
    """

    address: str
    embedded: bool
    nodes: tuple[Mapping[str, float], ...]
    local: bool = False
    missing: tuple[str, ...] = ()

    def total(self, resource: str) -> float:
        """Return the sum of a resource over all nodes.

        Args:
            resource: "CPU", "GPU" or another of Ray's names.
        """
        return sum(node.get(resource, 0) for node in self.nodes)

    def __str__(self) -> str:
        kind = "embedded Ray" if self.embedded else f"Ray at {self.address}"
        if self.local:
            kind = f"local cluster at {self.address}"
        nodes = f"{len(self.nodes)} node{'s' if len(self.nodes) != 1 else ''}"
        missing = f"; not installed: {', '.join(self.missing)}" if self.missing else ""
        return f"{kind}: {nodes}, {self.total('CPU'):g} CPUs, {self.total('GPU'):g} GPUs{missing}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print the text form in IPython, instead of the dataclass's repr."""
        printer.text(str(self))


@dataclass(frozen=True)
class Link:
    """How this kernel is connected.

    Attributes:
        kind: "embedded", "local" or "attached".
        requested: the address that the user has given, if any.
        missing: see `Cluster`.
    """

    kind: str
    requested: Address | None = None
    missing: tuple[str, ...] = ()


_link: Link | None = None
_job: tuple[str, str] | None = None  # which connection `_link` describes: the user may have made another one since


def set_link(ray: Any, link: Link) -> None:
    """Store how Ray has just been connected.

    Args:
        ray: the module.
        link: describes the connection.
    """
    global _link, _job
    _link, _job = link, _identity(ray)


def current_link(ray: Any) -> Link | None:
    """Return how Ray is connected, or None if nbtune has not made this connection.

    Args:
        ray: the module.
    """
    return _link if _link is not None and ray.is_initialized() and _identity(ray) == _job else None


def describe(ray: Any) -> Cluster:
    """Return the connected cluster as it is now.

    Args:
        ray: the module.
    """
    link = current_link(ray) or Link("attached")
    nodes = tuple(dict(node["Resources"]) for node in ray.nodes() if node["Alive"])
    address = ray.get_runtime_context().gcs_address
    return Cluster(address, link.kind == "embedded", nodes, link.kind == "local", link.missing)


def _identity(ray: Any) -> tuple[str, str]:
    context = ray.get_runtime_context()
    return context.gcs_address, context.get_job_id()
