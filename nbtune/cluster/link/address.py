"""Addresses of clusters: their syntax, and the clusters that run on this machine."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nbtune.errors import ClusterError, did_you_mean

__all__ = ["Address", "UnreachableError", "check_reachable", "from_address_file", "parse", "running_clusters"]

_EXPECTED = "expected HOST:PORT, auto, local, or ray://HOST:PORT"


class UnreachableError(ClusterError):
    """No cluster answers at an address."""


@dataclass(frozen=True)
class Address:
    """A parsed address.

    Attributes:
        kind: "local", "auto", "gcs" (HOST:PORT) or "client" (ray://HOST:PORT).
        host: the host, without brackets.
        port: the port.
    """

    kind: str
    host: str = ""
    port: int = 0

    @property
    def target(self) -> str:
        """The address as HOST:PORT, without ``ray://``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        if self.kind in {"local", "auto"}:
            return self.kind
        return f"ray://{self.target}" if self.kind == "client" else self.target


def parse(text: str) -> Address:
    """Parse an address.

    Args:
        text: HOST:PORT, "auto", "local" or ray://HOST:PORT.

    Raises:
        ClusterError: the text has another form.
    """
    word = text.strip()
    if word in {"auto", "local"}:
        return Address(word)
    scheme, slashes, rest = word.partition("://")
    if slashes and scheme != "ray":
        raise ClusterError(f"cluster address: {_EXPECTED}, got {text!r} ({scheme}:// is not supported)")
    host, colon, port = (rest if slashes else word).rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        suggestion = did_you_mean(word, ["auto", "local"])
        raise ClusterError(f"cluster address: {_EXPECTED}, got {text!r}{suggestion}")
    host = host.removeprefix("[").removesuffix("]")
    return Address("client" if slashes else "gcs", host, int(port))


def check_reachable(address: Address, timeout: float = 5) -> None:
    """Check that an address accepts connections; Ray itself would retry for minutes.

    Args:
        address: of kind "gcs" or "client".
        timeout: in seconds.

    Raises:
        UnreachableError: it does not.
    """
    try:
        socket.create_connection((address.host, address.port), timeout).close()
    except OSError as error:
        raise UnreachableError(
            f"{address} cannot be reached: {error}. Check the address, and that the cluster is running"
        ) from error


def from_address_file() -> Address | None:
    """Return the address that this user's last `ray start` on this machine has written to a file, or None.

    The cluster may have ended since: Ray does not remove the file of a killed cluster.
    """
    from nbtune.cluster.link._ray import get_ray_address_file

    with suppress(OSError, UnicodeDecodeError, ClusterError):
        file = Path(get_ray_address_file(None))
        if file.stat().st_uid == os.getuid():
            return parse(file.read_text("utf-8"))
    return None


def running_clusters() -> list[Address]:
    """Return the addresses of all Ray clusters with processes on this machine, embedded ones of other kernels too."""
    from nbtune.cluster.link._ray import find_gcs_addresses

    return [parse(address) for address in sorted(find_gcs_addresses())]
