"""The file that says where nbtune's local cluster is, and the lock of those who start, join and end it.

Both lie in ``$NBTUNE_HOME``, by default ``~/.nbtune``. The token is not in them.
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
    """What is known of a running local cluster.

    Attributes:
        address: host:port.
        folder: the folder with Ray's own, which is removed at the end.
        keeper: the process that ends it.
        ray: the `ray start` below the keeper.
        cpus: how many CPUs were asked for, or None.
        gpus: how many GPUs were asked for, or None.
        idle: after how many seconds without use it ends.
        python: the interpreter that its processes run.
        versions: of Python, Ray and nbtune.
    """

    address: str
    folder: str
    keeper: Identity
    ray: Identity
    cpus: int | None
    gpus: int | None
    idle: float
    python: str
    versions: tuple[str, str, str]


def home() -> Path:
    """Return nbtune's own folder, made if it is not there."""
    folder = Path(os.environ.get("NBTUNE_HOME") or Path.home() / ".nbtune").expanduser()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ClusterError(
            f"nbtune's folder {folder} cannot be made: {error}. NBTUNE_HOME names another one"
        ) from error
    return folder


def read() -> State | None:
    """Return what the file says, or None where there is none that can be read."""
    try:
        data = json.loads(_file().read_text("utf-8"))
        tuples = {name: tuple(data[name]) for name in ("keeper", "ray", "versions")}
        return State(**{**data, **tuples})
    except (OSError, ValueError, TypeError, KeyError, ClusterError):
        return None


def write(state: State) -> None:
    """Keep a state, for this user's eyes only."""
    file = _file()
    new = file.with_suffix(f".{os.getpid()}")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        json.dump(asdict(state), opened)
    new.replace(file)


def remove(folder: str) -> None:
    """Remove the file, if it is about the cluster with this folder."""
    state = read()
    if state is None or state.folder == folder:
        _file().unlink(missing_ok=True)


@contextlib.contextmanager
def locked(wait: bool = True) -> Iterator[bool]:
    """Hold the lock; give whether it is held, which it is not where another has it and we do not wait."""
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
