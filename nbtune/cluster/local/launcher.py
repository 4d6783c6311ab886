"""Finds, starts and ends the processes of the local cluster."""

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
from nbtune.cluster.link.imports import EXTRA_IDLE_WORKERS, LOOPBACK, PACKAGE, process_variables, version
from nbtune.cluster.local import processes, state
from nbtune.cluster.local.guardian import GuardianConfig
from nbtune.engine.protocol import environment
from nbtune.errors import ClusterError
from nbtune.spec.units import parse_duration

__all__ = ["find", "has_same_versions", "start", "stop"]

_AGENT_TIMEOUT = 15.0  # seconds after which Ray fails if its agents have not started; the start is repeated then

_guardians: list[subprocess.Popen[str]] = []
"""The guardians that this kernel has started. Those that have ended are polled, or they would stay as zombies."""


def find() -> state.State | None:
    """Return the running local cluster, or None. Remaining processes of a crashed one are terminated."""
    cluster = state.read()
    if cluster is None:
        return None
    if processes.alive(cluster.guardian) and processes.alive(cluster.ray):
        return cluster
    _clear(cluster)
    return None


def start(cpus: int | None, gpus: int | None, idle: float | str) -> state.State:
    """Start a local cluster, or return the running one. The caller holds the lock.

    Args:
        cpus: number of logical CPUs; None for those of this machine, or of the running cluster.
        gpus: number of logical GPUs; None for those that Ray detects, or of the running cluster.
        idle: time without use after which the cluster ends: seconds, or a duration such as "30m".

    Raises:
        ClusterError: a cluster with other resources is running, or the cluster does not start.
    """
    try:
        seconds = parse_duration(idle)
    except ValueError as error:
        raise ClusterError(f"idle: {error}") from None
    for name, value in (("cpus", cpus), ("gpus", gpus)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < (name == "cpus")):
            raise ClusterError(f"{name}=: expected an integer >= {int(name == 'cpus')}, got {value!r}")
    cluster = find()
    if cluster is not None:
        _check_resources(cluster, {"cpus": cpus, "gpus": gpus})
        return cluster
    auth.ensure_token()
    metadata = {"cpus": cpus, "gpus": gpus, "idle": seconds, "python": sys.executable, "versions": _versions()}
    began = time.monotonic()
    failure = _launch(cpus, gpus, metadata)
    if failure and time.monotonic() - began > _AGENT_TIMEOUT:
        failure = _launch(cpus, gpus, metadata)
    cluster = state.read()
    if failure or cluster is None:
        raise ClusterError(f"the local cluster could not start. Ray's message:\n{failure}")
    return cluster


def stop() -> bool:
    """End the local cluster, or what remains of a crashed one. The caller holds the lock.

    Returns:
        Whether there was one.
    """
    cluster = state.read()
    if cluster is None:
        return False
    _clear(cluster)
    return True


def has_same_versions(cluster: state.State) -> bool:
    """Tell whether a cluster runs in this kernel's environment, with its versions.

    Args:
        cluster: the state of a local cluster.
    """
    return cluster.python == sys.executable and cluster.versions == _versions()


def _versions() -> tuple[str, str, str]:
    """Return this kernel's versions of Python, Ray and nbtune."""
    import ray

    return platform.python_version(), ray.__version__, version()


def _clear(cluster: state.State) -> None:
    """Terminate all processes of a cluster, and remove its folder and state file."""
    guardian = processes.alive(cluster.guardian)
    processes.terminate(cluster.folder, [guardian] if guardian else [])
    if guardian and processes.alive(cluster.guardian):
        with suppress(psutil.Error):
            guardian.kill()
    for process in _guardians:
        process.poll()
    state.remove(cluster.folder)
    shutil.rmtree(cluster.folder, ignore_errors=True)


def _check_resources(cluster: state.State, requested: Mapping[str, int | None]) -> None:
    different = {
        name: value for name, value in requested.items() if value is not None and getattr(cluster, name) != value
    }
    if different:
        expected = ", ".join(f"{name}={value}" for name, value in different.items())
        actual = ", ".join(f"{name}={getattr(cluster, name) or 'those of this machine'}" for name in different)
        raise ClusterError(
            f"a local cluster is already running at {cluster.address}, with {actual} instead of {expected}. End it with"
            " nbtune.stop_cluster() or %tune cluster stop, or omit the numbers to use it as it is"
        )


def _launch(cpus: int | None, gpus: int | None, metadata: dict[str, Any]) -> str:
    """Start a cluster in a new folder; return an error message, or an empty text."""
    # Not tempfile's default folder: on macOS and many batch systems its path is too long for Unix sockets.
    root = "/tmp" if os.path.isdir("/tmp") else None  # noqa: S108
    folder = tempfile.mkdtemp(prefix="nbt-", dir=root)  # accessible for this user only, unlike Ray's folders in it
    error = _start_guardian(GuardianConfig(folder, _command(folder, cpus, gpus), metadata))
    if error:
        shutil.rmtree(folder, ignore_errors=True)
    return error


def _start_guardian(config: GuardianConfig) -> str:
    """Start a guardian, and wait until its cluster is ready; return an error message, or an empty text."""
    package = str(PACKAGE.parent)
    variables = {**os.environ, **process_variables(), **LOOPBACK, auth.MODE: "token"}
    # These would make its processes use another Ray, or another folder.
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", processes.MARK):
        variables.pop(name, None)
    program = f"import sys; sys.path.append({package!r}); from nbtune.cluster.local.guardian import main; main()"
    log = os.open(Path(config.folder) / "guardian.log", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        guardian = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=variables,
            cwd=config.folder,
            text=True,
            start_new_session=True,
        )
    finally:
        os.close(log)
    _guardians.append(guardian)
    assert guardian.stdin is not None
    assert guardian.stdout is not None
    with guardian.stdin, guardian.stdout:
        with suppress(BrokenPipeError):
            guardian.stdin.write(json.dumps(asdict(config)) + "\n")
            guardian.stdin.flush()
        line = guardian.stdout.readline()
    if line:
        return str(json.loads(line))
    with suppress(OSError):
        return (Path(config.folder) / "guardian.log").read_text("utf-8", "replace")[-1000:]
    return "its guardian process has ended"


def _command(folder: str, cpus: int | None, gpus: int | None) -> list[str]:
    config = {
        "preload_python_modules": [environment.PRELOAD],
        "num_workers_soft_limit": (cpus or os.cpu_count() or 1) + EXTRA_IDLE_WORKERS,
    }
    options = {
        "port": 0,
        "temp-dir": f"{folder}/ray",
        "include-dashboard": "false",
        "system-config": json.dumps(config),
        # Any free ports, not those of the range that all Rays on a machine use by default.
        "min-worker-port": 0,
        "max-worker-port": 0,
        **_client_port(),
        **({} if cpus is None else {"num-cpus": cpus}),
        **({} if gpus is None else {"num-gpus": gpus}),
    }
    start = [sys.executable, "-m", "nbtune.cluster.forkserver.start", f"{folder}/fork", "start", "--head", "--block"]
    # The monitor process is for autoscaling.
    return [*start, "--no-monitor", "--disable-usage-stats", *(f"--{name}={value}" for name, value in options.items())]


def _client_port() -> dict[str, int]:
    """Return the option for the port of the Ray Client server, which Ray starts if grpcio is installed.

    The default port is the same for all Rays on a machine, and a second one with it would fail.
    """
    if importlib.util.find_spec("grpc") is None:
        return {}
    with socket.create_server(("127.0.0.1", 0)) as free:
        return {"ray-client-server-port": free.getsockname()[1]}
