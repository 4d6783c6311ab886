"""What the raylet runs for a new worker process, in place of Ray's own ``setup_worker.py``.

It asks the fork server for the process and ends. Where that is not possible, it becomes the process itself, as Ray's
own does. It imports nothing but the standard library: it runs once for each worker process.
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

FOLDER = "NBTUNE_FORK_SERVER"
"""The environment variable that names the folder of the fork servers' sockets, which only this user may open."""
OFF = ".off"
"""What the name of the file ends with by which a fork server says that it does not serve."""
RAYLET = "RAY_RAYLET_PID"
"""The environment variable that Ray's processes have the number of their raylet's process in."""
_CONTEXT = "--serialized-runtime-env-context="
_LANGUAGE = "--language="
_READ_AT_START = (
    *("ARROW_", "CUDA_", "GOMP_", "GOTO_", "KMP_", "LD_", "MALLOC_", "MKL_"),
    *("NUMEXPR_", "OMP_", "OPENBLAS_", "PYTHON", "RAY_"),
)
"""Variables that a process, or a library in it, reads once: a copy of another process would not see them."""
_READ_LATER = ("RAY_CHDIR_TO_TRIAL_DIR", "RAY_TRAIN_")


def main(arguments: list[str]) -> None:
    """Start a worker process.

    Args:
        arguments: the command line that Ray gives to ``setup_worker.py``.
    """
    context = json.loads(next((a[len(_CONTEXT) :] for a in arguments if a.startswith(_CONTEXT)), "{}"))
    program = [argument for argument in arguments if not argument.startswith((_CONTEXT, _LANGUAGE))]
    where = os.environ.get(FOLDER)
    if where and program and program[0].endswith("default_worker.py") and copies(context):
        variables = {**os.environ, **context.get("env_vars", {})}
        with suppress(OSError):  # the server is gone, or does not serve
            _ask(where, program, variables)
            return
    ray = importlib.util.find_spec("ray")
    assert ray is not None
    assert ray.submodule_search_locations is not None
    (folder,) = ray.submodule_search_locations
    setup = [os.path.join(folder, "_private", "workers", "setup_worker.py")] if context else []
    os.execv(sys.executable, [sys.executable, *setup, *(arguments if context else program)])  # noqa: S606


def copies(context: dict[str, object]) -> bool:
    """Tell whether a copy of the fork server has the runtime environment that is asked for."""
    names = context.get("env_vars") or {}
    assert isinstance(names, dict)
    other = any(context.get(name) for name in ("command_prefix", "override_worker_entrypoint", "java_jars"))
    executable = context.get("py_executable") or sys.executable
    return (
        not other
        and executable == sys.executable
        and not any(name.startswith(_READ_AT_START) and not name.startswith(_READ_LATER) for name in names)
    )


def _ask(folder: str, program: list[str], variables: dict[str, str]) -> None:
    """Have the fork server start a program, with this process's files.

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
    """Connect to the raylet's fork server, and start it if this is the first process that asks."""
    path = os.path.join(folder, os.environ[RAYLET])
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path + OFF):
            raise ConnectionRefusedError
        try:
            server.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):  # it was not started yet, or was killed
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
            env={**os.environ, "RAY_JOB_ID": "f" * 8},  # Ray's word for a process that any job may use
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
