"""The program that the raylet runs for a new worker process, in place of Ray's ``setup_worker.py``.

It requests the process from the fork server and ends. If that is not possible, it becomes the process itself, as Ray's
program does. It runs once for each worker process, and so imports nothing but the standard library.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress

FOLDER_VARIABLE = "NBTUNE_FORK_SERVER"
"""The environment variable with the folder of the fork servers' sockets, which only this user can access."""
DISABLED_SUFFIX = ".off"
"""Suffix of the file that a fork server creates to declare that it does not serve."""
RAYLET_PID = "RAY_RAYLET_PID"
"""Ray's environment variable with the process id of the raylet."""
_CONTEXT = "--serialized-runtime-env-context="
_LANGUAGE = "--language="
_READ_AT_START = (
    *("ARROW_", "CUDA_", "GOMP_", "GOTO_", "KMP_", "LD_", "MALLOC_", "MKL_"),
    *("NUMEXPR_", "OMP_", "OPENBLAS_", "PYTHON", "RAY_"),
)
"""Prefixes of variables that libraries read only once, so that a fork would not see their values."""
_READ_LATER = ("RAY_CHDIR_TO_TRIAL_DIR", "RAY_TRAIN_")
"""Exceptions to these."""


def main(arguments: list[str]) -> None:
    """Start a worker process.

    Args:
        arguments: the command line arguments that Ray passes to ``setup_worker.py``.
    """
    context = json.loads(next((a[len(_CONTEXT) :] for a in arguments if a.startswith(_CONTEXT)), "{}"))
    program = [argument for argument in arguments if not argument.startswith((_CONTEXT, _LANGUAGE))]
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and program and program[0].endswith("default_worker.py") and can_fork(context):
        variables = {**os.environ, **context.get("env_vars", {})}
        with suppress(OSError):  # the server has ended, or does not serve
            _request_fork(folder, program, variables)
            return
    ray = importlib.util.find_spec("ray")
    assert ray is not None
    assert ray.submodule_search_locations is not None
    (package,) = ray.submodule_search_locations
    setup = [os.path.join(package, "_private", "workers", "setup_worker.py")] if context else []
    os.execv(sys.executable, [sys.executable, *setup, *(arguments if context else program)])  # noqa: S606


def can_fork(context: dict[str, object]) -> bool:
    """Tell whether a fork of the server can have a runtime environment.

    Args:
        context: Ray's serialized runtime environment.
    """
    names = context.get("env_vars") or {}
    assert isinstance(names, dict)
    other = any(context.get(name) for name in ("command_prefix", "override_worker_entrypoint", "java_jars"))
    executable = context.get("py_executable") or sys.executable
    return (
        not other
        and executable == sys.executable
        and not any(name.startswith(_READ_AT_START) and not name.startswith(_READ_LATER) for name in names)
    )


def _request_fork(folder: str, program: list[str], variables: dict[str, str]) -> None:
    """Let the fork server run a program, with the standard files of this process.

    Raises:
        OSError: the server does not answer.
    """
    with socket.socket(socket.AF_UNIX) as server:
        _connect(server, folder)
        text = json.dumps([program, variables, os.getcwd()]).encode()
        socket.send_fds(server, [len(text).to_bytes(4, "big")], [0, 1, 2])
        server.sendall(text)
        if not server.recv(1):
            raise ConnectionError("the fork server has ended")


def _connect(server: socket.socket, folder: str) -> None:
    """Connect to the raylet's fork server, and start it if necessary."""
    path = os.path.join(folder, os.environ[RAYLET_PID])
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path + DISABLED_SUFFIX):
            raise ConnectionRefusedError
        try:
            server.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):  # not started yet, or killed
            with suppress(FileNotFoundError):
                os.unlink(path)
            _start(path)
            server.connect(path)


def _start(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        program = os.path.join(os.path.dirname(__file__), "server.py")
        subprocess.Popen(  # noqa: S603
            [sys.executable, program, str(listener.fileno()), path],
            env={**os.environ, "RAY_JOB_ID": "f" * 8},  # Ray's job id for a process that any job may use
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
