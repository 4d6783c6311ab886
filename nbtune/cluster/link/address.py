"""Addresses of clusters: what may be given, and which cluster this machine has."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nbtune.errors import ClusterError, did_you_mean

__all__ = ["Address", "UnreachableError", "listening", "ordinary", "parse", "running"]

_HINT = "write HOST:PORT, auto, local, or ray://HOST:PORT"


class UnreachableError(ClusterError):
    """Nobody answers at an address, or somebody who is no cluster."""


@dataclass(frozen=True)
class Address:
    """A checked address.

    Attributes:
        kind: "local", "auto", "gcs" (host:port) or "client" (ray://host:port).
        host: the host, without brackets.
        port: the port.
    """

    kind: str
    host: str = ""
    port: int = 0

    @property
    def target(self) -> str:
        """The address as Ray takes it, without ``ray://``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        if self.kind in {"local", "auto"}:
            return self.kind
        return f"ray://{self.target}" if self.kind == "client" else self.target


def parse(text: str) -> Address:
    """Read an address.

    Raises:
        ClusterError: it is none.
    """
    word = text.strip()
    if word in {"auto", "local"}:
        return Address(word)
    scheme, slashes, rest = word.partition("://")
    if slashes and scheme != "ray":
        raise ClusterError(f"{text!r} is no address of a cluster: {scheme}:// is not known here; {_HINT}")
    host, colon, port = (rest if slashes else word).rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        suggestion = did_you_mean(word, ["auto", "local"])
        raise ClusterError(f"{text!r} is no address{suggestion}; {_HINT}")
    host = host.removeprefix("[").removesuffix("]")
    return Address("client" if slashes else "gcs", host, int(port))


def listening(address: Address, timeout: float = 5) -> None:
    """Find out at once whether anybody listens: Ray itself tries for minutes.

    Raises:
        UnreachableError: nobody does.
    """
    try:
        socket.create_connection((address.host, address.port), timeout).close()
    except OSError as error:
        raise UnreachableError(
            f"{address} cannot be reached: {error}. Is the cluster up, and the address right?"
        ) from error


def ordinary() -> Address | None:
    """Return the address that this user's last `ray start` on this machine has left, or None.

    The cluster may be gone since: Ray leaves the file where it was killed.
    """
    from nbtune.cluster.link._ray import get_ray_address_file

    with suppress(OSError, UnicodeDecodeError, ClusterError):
        file = Path(get_ray_address_file(None))
        if file.stat().st_uid == os.getuid():
            return parse(file.read_text("utf-8"))
    return None


def running() -> list[Address]:
    """Return the address of every Ray whose processes are on this machine, other kernels' embedded ones too."""
    from nbtune.cluster.link._ray import find_gcs_addresses

    return [parse(address) for address in sorted(find_gcs_addresses())]
