"""A Ray whose worker processes come from a fork server."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nbtune.cluster.forkserver.launcher import FOLDER
from nbtune.cluster.link.imports import variables

__all__ = ["forked_workers"]


@contextlib.contextmanager
def forked_workers(folder: str | None = None) -> Iterator[None]:
    """Have a Ray that is started inside take its worker processes from a fork server. On Linux only.

    Args:
        folder: where the server's socket is to be. It is made, for this user only, and removed at the end; its path
            has to be short. None for one among the temporary files.
    """
    if sys.platform != "linux":  # elsewhere a copy of a process may not use the system's libraries
        yield
        return
    from nbtune.cluster.link._ray import setup_worker_program

    if folder is None:
        folder = tempfile.mkdtemp(prefix="nbt-fork-", dir="/tmp")
    else:
        Path(folder).mkdir(mode=0o700)
    with variables({FOLDER: folder}), setup_worker_program(str(Path(__file__).parent / "launcher.py")):
        yield


def main() -> None:
    """Run Ray's own command line so. Arguments: the folder, and what the command ``ray`` takes."""
    folder = sys.argv.pop(1)
    from ray.scripts.scripts import main as ray

    with forked_workers(folder):
        ray()


if __name__ == "__main__":
    main()
