"""Makes Tune's own files in storage whole again after a disk was full.

Tune writes them to a folder of the driver's machine first and copies them from there, over what is in
storage: a copy that fails leaves them cut off.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pyarrow.fs as pafs

from nbtune.engine.storage.log import write_whole

__all__ = ["mend"]

_STATE = "experiment_state-"


def _broken(staging: str, filesystem: pafs.FileSystem, folder: str) -> list[tuple[Path, str]]:
    """Return the files that storage does not have as they are here: here, and there."""
    here = [path for path in sorted(Path(staging).rglob("*")) if path.is_file()]
    there = [f"{folder}/{path.relative_to(staging).as_posix()}" for path in here]
    found = filesystem.get_file_info(there) if there else []
    return [
        (path, name)
        for path, name, info in zip(here, there, found, strict=True)
        if info.type != pafs.FileType.File or info.size != path.stat().st_size
    ]


def mend(staging: str, filesystem: pafs.FileSystem, folder: str) -> None:
    """Write the files that storage does not have as they are here.

    A snapshot of the experiment that cannot be written is removed: without one it opens, with half of one it
    does not.

    Args:
        staging: the folder that Tune writes to first.
        filesystem: where the experiment is.
        folder: the experiment's folder there.

    Raises:
        OSError: storage does not take one.
    """
    problem: OSError | None = None
    for path, name in _broken(staging, filesystem, folder):
        try:
            filesystem.create_dir(name.rpartition("/")[0], recursive=True)
            write_whole(filesystem, name, path.read_bytes())
        except OSError as error:
            problem = error
            if path.name.startswith(_STATE):
                with suppress(OSError):
                    filesystem.delete_file(name)
    if problem is not None:
        raise problem
