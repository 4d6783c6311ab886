"""Repairs Tune's own files that are incomplete in storage, after a disk was full or the driver was killed.

Tune writes them to a staging folder on the driver's machine and copies them over those in storage. A copy that
fails or is interrupted leaves a truncated file.
"""

from __future__ import annotations

import json
import pickletools
import re
from contextlib import suppress
from pathlib import Path

import pyarrow.fs as pafs

from nbtune.engine.storage.log import write_atomically

__all__ = ["repair", "set_damaged_aside"]

_STATE_PREFIX = "experiment_state-"
_TUNER = "tuner.pkl"
_PICKLES = ("callback-states-", "search_gen_state-", "basic-variant-state-", "nbtune-search-")
"""How the names of files begin that are pickles, whatever their suffix is."""
_PICKLE = b"\x80"
"""How the pickles of all present protocols begin."""
_SESSION = re.compile(r".+-(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)\.(?:json|pkl)")
"""The name of a file of Tune's snapshot, with the start of the run that has written it."""


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


def set_damaged_aside(filesystem: pafs.FileSystem, folder: str) -> bool:
    """Rename Tune's files that cannot be read, so that it restores an earlier snapshot or none.

    The files of a run belong together: one that is damaged invalidates the others. No pickle is loaded here.

    Args:
        filesystem: the filesystem of the experiment's storage.
        folder: the experiment's folder on it.

    Returns:
        Whether Tune can restore the experiment.

    Raises:
        OSError: the storage failed.
    """
    infos = filesystem.get_file_info(pafs.FileSelector(folder))
    files = [info for info in infos if info.type == pafs.FileType.File]
    sessions: dict[str, list[str]] = {}
    for info in files:
        if match := _SESSION.fullmatch(info.base_name):
            sessions.setdefault(match[1], []).append(info.path)
    for session in sorted(sessions, reverse=True):  # Tune restores the latest
        if all(_is_complete(filesystem, path) for path in sessions[session]):
            break
        for path in sessions.pop(session):
            _set_aside(filesystem, path)
    tuner = f"{folder}/{_TUNER}"
    if not any(info.path == tuner for info in files):
        return False
    if not _is_complete(filesystem, tuner):
        _set_aside(filesystem, tuner)
        return False
    return any(_STATE_PREFIX in path for paths in sessions.values() for path in paths)


def _is_complete(filesystem: pafs.FileSystem, path: str) -> bool:
    with filesystem.open_input_stream(path) as stream:
        data = stream.read()
    name = path.rpartition("/")[2]
    try:
        if name.startswith(_STATE_PREFIX):
            return bool(json.loads(data)["trial_data"])
        if name != _TUNER and not name.startswith(_PICKLES) and not data.startswith(_PICKLE):
            return bool(data.strip(b"\0"))  # a search algorithm of the user's writes what it likes
        for _ in pickletools.genops(data):
            pass
    except Exception:  # pickletools raises several kinds
        return False
    return True


def _set_aside(filesystem: pafs.FileSystem, path: str) -> None:
    parent, _, name = path.rpartition("/")
    filesystem.move(path, f"{parent}/damaged-{name}.bin")  # Tune reads all files with its own suffixes
