"""The local cluster as processes: looked up, started, ended."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from nbtune.cluster.link import auth
from nbtune.cluster.link.imports import LOOPBACK, PACKAGE, SOFT_LIMIT, process_variables, version
from nbtune.cluster.local import processes, state
from nbtune.cluster.local.guardian import Orders
from nbtune.engine.protocol import environment
from nbtune.errors import ClusterError
from nbtune.spec.units import parse_duration

__all__ = ["find", "runs_the_same", "start", "stop"]

_HELPERS = 15.0  # seconds that Ray gives its helpers to start: on a very busy machine it gives up, and is tried again

_keepers: list[subprocess.Popen[str]] = []
"""The keepers that this kernel has started: one that has ended is to be waited for, or it stays as a zombie."""


def find() -> state.State | None:
    """Return the local cluster that runs, or None. What is left of one that has died is cleared away."""
    there = state.read()
    if there is None:
        return None
    if processes.alive(there.keeper) and processes.alive(there.ray):
        return there
    _clear(there)
    return None


def start(cpus: int | None, gpus: int | None, idle: float | str) -> state.State:
    """Start a local cluster, or return the one that runs if it is what is asked for. To be called under the lock.

    Raises:
        ClusterError: another one runs, or it does not start.
    """
    try:
        seconds = parse_duration(idle)
    except ValueError as error:
        raise ClusterError(f"idle: {error}") from None
    for name, value in (("cpus", cpus), ("gpus", gpus)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < (name == "cpus")):
            raise ClusterError(
                f"{name}={value!r} is no number of {name.upper()[:-1]}s; give a whole number, or leave it out"
            )
    there = find()
    if there is not None:
        _compare(there, {"cpus": cpus, "gpus": gpus})
        return there
    auth.ensure()
    facts = {"cpus": cpus, "gpus": gpus, "idle": seconds, "python": sys.executable, "versions": _versions()}
    began = time.monotonic()
    why = _launch(cpus, gpus, facts)
    if why and time.monotonic() - began > _HELPERS:
        why = _launch(cpus, gpus, facts)
    there = state.read()
    if why or there is None:
        raise ClusterError(f"the local cluster could not start. Ray says:\n{why}")
    return there


def stop() -> bool:
    """End the local cluster, whatever is left of it, and nothing else. To be called under the lock.

    Returns:
        Whether there was one.
    """
    there = state.read()
    if there is None:
        return False
    _clear(there)
    return True


def runs_the_same(there: state.State) -> bool:
    """Tell whether a cluster's processes are what this kernel's own would be."""
    return there.python == sys.executable and there.versions == _versions()


def _versions() -> tuple[str, str, str]:
    """Return the versions of Python, Ray and nbtune here."""
    import ray

    return platform.python_version(), ray.__version__, version()


def _clear(there: state.State) -> None:
    """End what is left of a cluster: by its keeper, or without one."""
    keeper = processes.alive(there.keeper)
    processes.end(there.folder, [keeper] if keeper else [])
    if keeper and processes.alive(there.keeper):
        with suppress(psutil.Error):
            keeper.kill()
    for process in _keepers:
        process.poll()
    state.remove(there.folder)
    shutil.rmtree(there.folder, ignore_errors=True)


def _compare(there: state.State, wanted: Mapping[str, int | None]) -> None:
    other = {name: value for name, value in wanted.items() if value is not None and getattr(there, name) != value}
    if other:
        asked = ", ".join(f"{name}={value}" for name, value in other.items())
        has = ", ".join(f"{name}={getattr(there, name) or 'those of this machine'}" for name in other)
        raise ClusterError(
            f"a local cluster runs already, at {there.address}, and it is not what is asked for: {asked}, but it has"
            f" {has}. End it with nbtune.stop_cluster(), or %tune cluster stop, or take it as it is"
        )


def _launch(cpus: int | None, gpus: int | None, facts: dict[str, Any]) -> str:
    """Start a cluster in a folder of its own. Return what has gone wrong, or nothing."""
    # Not tempfile's own folder: on macOS and under many schedulers it is too long for the names of unix sockets.
    root = "/tmp" if os.path.isdir("/tmp") else None  # noqa: S108
    folder = tempfile.mkdtemp(prefix="nbt-", dir=root)  # only this user's; Ray opens its own below it for everybody
    why = _keep(Orders(folder, _command(folder, cpus, gpus), facts))
    if why:
        shutil.rmtree(folder, ignore_errors=True)
    return why


def _keep(orders: Orders) -> str:
    """Start a keeper and wait until its cluster is up. Return what has gone wrong, or nothing."""
    package = str(PACKAGE.parent)
    variables = {**os.environ, **process_variables(), **LOOPBACK, auth.MODE: "token"}
    # What would lead its processes to another Ray, or its files to another place.
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", processes.MARK):
        variables.pop(name, None)
    program = f"import sys; sys.path.append({package!r}); from nbtune.cluster.local.guardian import main; main()"
    log = os.open(Path(orders.folder) / "keeper.log", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        keeper = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=variables,
            cwd=orders.folder,
            text=True,
            start_new_session=True,
        )
    finally:
        os.close(log)
    _keepers.append(keeper)
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    with keeper.stdin, keeper.stdout:
        with suppress(BrokenPipeError):
            keeper.stdin.write(json.dumps(asdict(orders)) + "\n")
            keeper.stdin.flush()
        line = keeper.stdout.readline()
    if line:
        return str(json.loads(line))
    with suppress(OSError):
        return (Path(orders.folder) / "keeper.log").read_text("utf-8", "replace")[-1000:]
    return "its keeper has ended"


def _command(folder: str, cpus: int | None, gpus: int | None) -> list[str]:
    config = {
        "preload_python_modules": [environment.PRELOAD],
        "num_workers_soft_limit": (cpus or os.cpu_count() or 1) + SOFT_LIMIT,
    }
    options = {
        "port": 0,
        "temp-dir": f"{folder}/ray",
        "include-dashboard": "false",
        "system-config": json.dumps(config),
        # Of its own, not of the range that every other Ray on the machine takes them from.
        "min-worker-port": 0,
        "max-worker-port": 0,
        **_client_port(),
        **({} if cpus is None else {"num-cpus": cpus}),
        **({} if gpus is None else {"num-gpus": gpus}),
    }
    start = [sys.executable, "-m", "nbtune.cluster.forkserver.start", f"{folder}/fork", "start", "--head", "--block"]
    # The monitor is for clusters that grow.
    return [*start, "--no-monitor", "--disable-usage-stats", *(f"--{name}={value}" for name, value in options.items())]


def _client_port() -> dict[str, int]:
    """Return the option for the port of the Ray Client server, which Ray starts wherever grpcio is installed.

    Its default is one for all of a machine's Rays, and a second one would end for want of it.
    """
    if importlib.util.find_spec("grpc") is None:
        return {}
    with socket.create_server(("127.0.0.1", 0)) as free:
        return {"ray-client-server-port": free.getsockname()[1]}
