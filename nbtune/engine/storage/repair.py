"""Rewrites Tune's own files that are incomplete in storage, after a disk was full.

Tune writes them to a staging folder on the driver's machine and copies them over those in storage. A copy that
fails leaves a truncated file.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pyarrow.fs as pafs

from nbtune.engine.storage.log import write_atomically

__all__ = ["repair"]

_STATE_PREFIX = "experiment_state-"


def _incomplete_files(staging: str, filesystem: pafs.FileSystem, folder: str) -> list[tuple[Path, str]]:
    """Return the staged files that are missing in storage or have another size there, each with its stored path."""
    staged = [path for path in sorted(Path(staging).rglob("*")) if path.is_file()]
    stored = [f"{folder}/{path.relative_to(staging).as_posix()}" for path in staged]
    infos = filesystem.get_file_info(stored) if stored else []
    return [
        (path, target)
        for path, target, info in zip(staged, stored, infos, strict=True)
        if info.type != pafs.FileType.File or info.size != path.stat().st_size
    ]


def repair(staging: str, filesystem: pafs.FileSystem, folder: str) -> None:
    """Copy to storage the staged files that are missing or truncated there.

    A snapshot of Tune's state that cannot be written is deleted: Tune can open an experiment without a snapshot,
    but not with a truncated one.

    Args:
        staging: the folder that Tune writes to first.
        filesystem: the filesystem of the experiment's storage.
        folder: the experiment's folder on it.

    Raises:
        OSError: a file could not be written.
    """
    last_error: OSError | None = None
    for path, target in _incomplete_files(staging, filesystem, folder):
        try:
            filesystem.create_dir(target.rpartition("/")[0], recursive=True)
            write_atomically(filesystem, target, path.read_bytes())
        except OSError as error:
            last_error = error
            if path.name.startswith(_STATE_PREFIX):
                with suppress(OSError):
                    filesystem.delete_file(target)
    if last_error is not None:
        raise last_error
