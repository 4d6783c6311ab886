"""Starts a Ray whose worker processes are forks of a fork server."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nbtune.cluster.forkserver.launcher import FOLDER_VARIABLE
from nbtune.cluster.link.imports import environment_variables

__all__ = ["forked_workers"]


@contextlib.contextmanager
def forked_workers(folder: str | None = None) -> Iterator[None]:
    """Let a Ray that is started inside fork its worker processes from a fork server. Only on Linux.

    Args:
        folder: folder for the server's socket, with a short path. It is created, accessible for this user only, and
            removed at the end. None for a temporary folder.
    """
    if sys.platform != "linux":  # elsewhere system libraries do not support fork without exec
        yield
        return
    from nbtune.cluster.link._ray import setup_worker_program

    if folder is None:
        folder = tempfile.mkdtemp(prefix="nbt-fork-", dir="/tmp")
    else:
        Path(folder).mkdir(mode=0o700)
    with (
        environment_variables({FOLDER_VARIABLE: folder}),
        setup_worker_program(str(Path(__file__).parent / "launcher.py")),
    ):
        yield


def main() -> None:
    """Run the command ``ray`` with a fork server, without a dashboard. Arguments: the folder, and those of ``ray``."""
    folder = sys.argv.pop(1)
    from ray.scripts.scripts import main as ray

    from nbtune.cluster.link._ray import without_dashboard

    with forked_workers(folder), without_dashboard():
        ray()


if __name__ == "__main__":
    main()
