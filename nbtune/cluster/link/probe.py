"""Asks a cluster who it is before this process joins it, and says in one message what stands against it."""

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
from nbtune.cluster.link.address import Address, UnreachableError, listening
from nbtune.cluster.link.imports import lazy_folder
from nbtune.errors import ClusterError

__all__ = ["Found", "ask", "no_token", "other_token", "probe"]

_PATIENCE = 30.0  # seconds for the whole answer, importing Ray on a busy machine among them


@dataclass(frozen=True)
class Found:
    """What a probe has found.

    Attributes:
        mode: the authentication that the cluster wants: "token" or "disabled".
        loopback: whether it lives on this machine's 127.0.0.1 alone.
    """

    mode: str
    loopback: bool = False


def probe(address: Address) -> Found:
    """Find out how to connect to a cluster.

    Raises:
        ClusterError: it cannot be reached, wants another token, or does not go together with this kernel.
    """
    if address.kind == "client" and importlib.util.find_spec("grpc") is None:
        raise ClusterError(
            f"{address} is for Ray Client, which needs the package grpcio here. Install it into this kernel's"
            ' environment: pip install "nbtune[client]", or pip install grpcio'
        )
    listening(address)
    where = auth.source()
    answer = ask(address)
    _check_token(address, answer["auth"], where)
    if address.kind == "client":
        return Found(answer["auth"])
    _check_versions(address, answer)
    if not answer["here"]:
        raise ClusterError(
            f"no node of the cluster at {address} is on this machine, and a kernel joins a cluster through one. Give"
            " its Ray Client's address, ray://HOST:10001 by default, or start a node here:"
            f" ray start --address={address}"
        )
    return Found(answer["auth"], answer["head"] in {"127.0.0.1", "::1"})


def no_token(address: Address) -> ClusterError:
    """Return the error for a cluster that wants a token where there is none."""
    return ClusterError(
        f"{address} wants a token, and there is none here: RAY_AUTH_TOKEN and RAY_AUTH_TOKEN_PATH are not set, and"
        " there is no ~/.ray/auth_token. Copy the cluster's: `ray get-auth-token` prints it there"
    )


def other_token(address: Address, where: str | None) -> ClusterError:
    """Return the error for a cluster that wants another token than the one that is here."""
    return ClusterError(
        f"{address} wants another token than the one here, which is from {where}."
        " `ray get-auth-token` prints the cluster's on its head node"
    )


def ask(address: Address, *more: str, patience: float = _PATIENCE) -> dict[str, Any]:
    """Return what `nbtune.cluster.link.ask` says of a cluster.

    Raises:
        UnreachableError: no cluster answers there.
    """
    program = Path(__file__).with_name("ask.py")
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [lazy_folder(), os.environ.get("PYTHONPATH")])),
    }
    command = [sys.executable, "-P", str(program), str(address), *more]
    try:
        done = subprocess.run(  # noqa: S603
            command, env=variables, capture_output=True, text=True, timeout=patience, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        done = None
    try:
        answer = json.loads(done.stdout.splitlines()[-1]) if done else None
    except (ValueError, IndexError):
        answer = None
    if isinstance(answer, dict):
        return answer
    kind = "Ray Client server" if address.kind == "client" else "Ray cluster"
    other = "" if address.kind == "client" else ". If it is the port of its Ray Client, write ray:// before it"
    raise UnreachableError(f"{address} cannot be reached: somebody listens there, but no {kind} has answered{other}")


def _check_token(address: Address, state: str, where: str | None) -> None:
    said = auth.said()
    if state == "missing":
        raise no_token(address)
    if state == "wrong":
        raise other_token(address, where)
    if state == "token" and said == "disabled":
        raise ClusterError(
            f"{address} wants a token, and RAY_AUTH_MODE=disabled turns it off here, though there is one: {where}."
            " Unset RAY_AUTH_MODE, or set it to token"
        )
    if state == "disabled" and said not in {None, "disabled"}:
        raise ClusterError(
            f"{address} is a cluster without token authentication, and RAY_AUTH_MODE={said} asks for it here:"
            " Ray's processes would not understand each other. Unset RAY_AUTH_MODE to connect all the same"
        )


def _check_versions(address: Address, answer: dict[str, Any]) -> None:
    import ray

    level = os.environ.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", "patch")  # Ray's own setting
    parts = 2 if level == "minor" else 3
    differences = []
    theirs = answer["python"]
    if theirs and theirs.split(".")[:parts] != platform.python_version().split(".")[:parts]:
        differences.append(f"Python is {platform.python_version()} here and {theirs} there")
    if answer["ray"] and answer["ray"] != ray.__version__:
        differences.append(f"Ray is {ray.__version__} here and {answer['ray']} there")
    if differences:
        raise ClusterError(
            f"the cluster at {address} and this kernel differ: {'; '.join(differences)}. Ray needs the same ones on"
            " both sides: use a kernel with the cluster's, or a cluster with this kernel's"
        )
