"""The state file of nbtune's local cluster, and the lock for starting it, connecting to it and ending it.

Both are in ``$NBTUNE_HOME``, by default ``~/.nbtune``. They do not contain the token.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from nbtune.cluster.local.processes import Identity
from nbtune.errors import ClusterError

__all__ = ["State", "home", "locked", "read", "remove", "write"]


@dataclass(frozen=True)
class State:
    """A running local cluster.

    Attributes:
        address: HOST:PORT.
        folder: the cluster's folder, which is removed at the end.
        guardian: the process that ends the cluster.
        ray: the process of `ray start`, a child of the guardian.
        cpus: the requested number of CPUs, or None.
        gpus: the requested number of GPUs, or None.
        idle: seconds without use after which the cluster ends.
        python: path of the interpreter.
        versions: those of Python, Ray and nbtune.
    """

    address: str
    folder: str
    guardian: Identity
    ray: Identity
    cpus: int | None
    gpus: int | None
    idle: float
    python: str
    versions: tuple[str, str, str]


def home() -> Path:
    """Return nbtune's folder in the home directory, created if necessary.

    Raises:
        ClusterError: it cannot be created.
    """
    folder = Path(os.environ.get("NBTUNE_HOME") or Path.home() / ".nbtune").expanduser()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ClusterError(
            f"nbtune's folder {folder} cannot be created: {error}. Set NBTUNE_HOME to use another one"
        ) from error
    return folder


def read() -> State | None:
    """Return the content of the state file, or None if there is no valid one."""
    try:
        data = json.loads(_file().read_text("utf-8"))
        tuples = {name: tuple(data[name]) for name in ("guardian", "ray", "versions")}
        return State(**{**data, **tuples})
    except (OSError, ValueError, TypeError, KeyError, ClusterError):
        return None


def write(state: State) -> None:
    """Write the state file, readable for this user only.

    Args:
        state: its content.
    """
    file = _file()
    temporary = file.with_suffix(f".{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        json.dump(asdict(state), opened)
    temporary.replace(file)


def remove(folder: str) -> None:
    """Remove the state file, unless it describes another cluster.

    Args:
        folder: the cluster's folder.
    """
    state = read()
    if state is None or state.folder == folder:
        _file().unlink(missing_ok=True)


@contextlib.contextmanager
def locked(wait: bool = True) -> Iterator[bool]:
    """Hold the lock inside; yield whether it was acquired.

    Args:
        wait: whether to wait for it. Otherwise it is not acquired if another process holds it.
    """
    descriptor = os.open(home() / "cluster.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _file() -> Path:
    return home() / "cluster.json"
