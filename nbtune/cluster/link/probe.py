"""Query a cluster before this process connects to it, and report in one message what prevents the connection."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbtune.cluster.link import auth
from nbtune.cluster.link.address import Address, UnreachableError, check_reachable
from nbtune.cluster.link.imports import lazy_folder
from nbtune.errors import ClusterError

__all__ = ["ProbeResult", "missing_token", "probe", "query", "wrong_token"]

_TIMEOUT = 30.0  # seconds for the whole query, which includes importing Ray on a busy machine


@dataclass(frozen=True)
class ProbeResult:
    """How to connect to a cluster.

    Attributes:
        mode: the cluster's authentication mode, "token" or "disabled".
        loopback: whether the cluster listens on 127.0.0.1 only.
    """

    mode: str
    loopback: bool = False


def probe(address: Address) -> ProbeResult:
    """Find out how to connect to a cluster.

    Args:
        address: of kind "gcs" or "client".

    Raises:
        ClusterError: the cluster cannot be reached, needs another token, or has other versions than this kernel.
    """
    if address.kind == "client" and importlib.util.find_spec("grpc") is None:
        raise ClusterError(
            f"cannot connect to {address}: Ray Client needs the package grpcio. Install it in this kernel's"
            ' environment: pip install "nbtune[client]", or pip install grpcio'
        )
    check_reachable(address)
    token_source = auth.token_source()
    answer = query(address)
    _check_token(address, answer["auth"], token_source)
    if address.kind == "client":
        return ProbeResult(answer["auth"])
    _check_versions(address, answer)
    if not answer["has_local_node"]:
        raise ClusterError(
            f"the cluster at {address} has no node on this machine, and a kernel connects through a local node. Use"
            " the address of its Ray Client server, by default ray://HOST:10001, or start a node on this machine:"
            f" ray start --address={address}"
        )
    return ProbeResult(answer["auth"], answer["head"] in {"127.0.0.1", "::1"})


def missing_token(address: Address) -> ClusterError:
    """Return the error for a cluster that needs a token if this machine has none.

    Args:
        address: the cluster's.
    """
    return ClusterError(
        f"{address} needs a token, and none was found: RAY_AUTH_TOKEN and RAY_AUTH_TOKEN_PATH are not set, and"
        " ~/.ray/auth_token does not exist. Copy the cluster's token: `ray get-auth-token` prints it on its head node"
    )


def wrong_token(address: Address, source: str | None) -> ClusterError:
    """Return the error for a cluster that needs another token than the one found on this machine.

    Args:
        address: the cluster's.
        source: where the token was found, see `nbtune.cluster.link.auth.token_source`.
    """
    return ClusterError(
        f"{address} needs another token than the one from {source}."
        " `ray get-auth-token` prints the cluster's token on its head node"
    )


def query(address: Address, *arguments: str, timeout: float = _TIMEOUT) -> dict[str, Any]:
    """Return what `nbtune.cluster.link.query` prints about a cluster.

    Args:
        address: of kind "gcs" or "client".
        *arguments: "activity", or nothing.
        timeout: in seconds.

    Raises:
        UnreachableError: no cluster answers.
    """
    program = Path(__file__).with_name("query.py")
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [lazy_folder(), os.environ.get("PYTHONPATH")])),
    }
    command = [sys.executable, "-P", str(program), str(address), *arguments]
    try:
        process = subprocess.run(  # noqa: S603
            command, env=variables, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        process = None
    try:
        answer = json.loads(process.stdout.splitlines()[-1]) if process else None
    except (ValueError, IndexError):
        answer = None
    if isinstance(answer, dict):
        return answer
    kind = "Ray Client server" if address.kind == "client" else "Ray cluster"
    hint = "" if address.kind == "client" else ". For the port of a Ray Client server, write ray:// before the address"
    raise UnreachableError(f"{address} cannot be reached: the port accepts connections, but no {kind} answers{hint}")


def _check_token(address: Address, state: str, source: str | None) -> None:
    requested = auth.requested_mode()
    if state == "missing":
        raise missing_token(address)
    if state == "wrong":
        raise wrong_token(address, source)
    if state == "token" and requested == "disabled":
        raise ClusterError(
            f"{address} needs a token, but RAY_AUTH_MODE=disabled disables the token from {source}."
            " Unset RAY_AUTH_MODE, or set it to token"
        )
    if state == "disabled" and requested not in {None, "disabled"}:
        raise ClusterError(
            f"{address} is a cluster without token authentication, but RAY_AUTH_MODE={requested} requires it."
            " Unset RAY_AUTH_MODE to connect without a token"
        )


def _check_versions(address: Address, answer: dict[str, Any]) -> None:
    import ray

    level = os.environ.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", "patch")  # Ray's own setting
    parts = 2 if level == "minor" else 3
    differences = []
    python = answer["python"]
    if python and python.split(".")[:parts] != platform.python_version().split(".")[:parts]:
        differences.append(f"Python {python} instead of {platform.python_version()}")
    if answer["ray"] and answer["ray"] != ray.__version__:
        differences.append(f"Ray {answer['ray']} instead of {ray.__version__}")
    if differences:
        raise ClusterError(
            f"the cluster at {address} has other versions than this kernel: {' and '.join(differences)}. Use a kernel"
            " with the cluster's versions, or a cluster with this kernel's"
        )
