"""Tune's own files in storage: repairs those that are incomplete, and keeps Tune from those that are not trusted.

Tune writes them to a staging folder on the driver's machine and copies them over those in storage. A copy that
fails or is interrupted leaves a truncated file. All of them contain pickles, whatever they are called.
"""

from __future__ import annotations

import json
import pickletools
import re
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow.fs as pafs

from nbtune.engine.protocol.trust import Trust
from nbtune.engine.storage.log import write_atomically
from nbtune.engine.storage.segments import read_file

__all__ = ["STATE_PREFIX", "TUNER", "repair", "set_damaged_aside"]

STATE_PREFIX = "experiment_state-"
"""The beginning of the name of Tune's own snapshot."""
TUNER = "tuner.pkl"
"""The name of the file with the settings of an experiment of Tune's."""
_PICKLES = ("callback-states-", "search_gen_state-", "basic-variant-state-", "nbtune-search-")
"""How the names of files begin that are pickles, whatever their suffix is."""
_PICKLE = b"\x80"
"""How the pickles of all present protocols begin."""
_SESSION = re.compile(r".+-(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)\.(?:json|pkl)")
"""The name of a file of Tune's snapshot, with the start of the run that has written it."""
_READ_BY_TUNE = re.compile(r".+\.pkl|(?:experiment_state|search_gen_state|basic-variant-state)-.*\.json")
"""The name of any file that Tune or a search algorithm may load as a part of a snapshot."""


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
            if path.name.startswith(STATE_PREFIX):
                with suppress(OSError):
                    filesystem.delete_file(target)
    if last_error is not None:
        raise last_error


def set_damaged_aside(
    filesystem: pafs.FileSystem, folder: str, trust: Trust, signatures: Mapping[str, Collection[str]]
) -> bool:
    """Rename Tune's files that cannot be read or are not trusted, so that it restores an earlier snapshot or none.

    The files of a run belong together: one that is damaged invalidates the others. No pickle is loaded here.

    Args:
        filesystem: the filesystem of the experiment's storage.
        folder: the experiment's folder on it.
        trust: whose files are loaded.
        signatures: those of the files, `nbtune.engine.storage.signatures.read_signatures`.

    Returns:
        Whether Tune can restore the experiment.

    Raises:
        OSError: the storage failed.
    """
    infos = filesystem.get_file_info(pafs.FileSelector(folder))
    files = [info for info in infos if info.type == pafs.FileType.File]

    def is_intact(path: str) -> bool:
        data, name = read_file(filesystem, path), path.rpartition("/")[2]
        return trust.accepts(name, data, *signatures.get(name, ())) and _is_complete(name, data)

    sessions: dict[str, list[str]] = {}
    for info in files:
        if match := _SESSION.fullmatch(info.base_name):
            sessions.setdefault(match[1], []).append(info.path)
        elif info.base_name != TUNER and _READ_BY_TUNE.fullmatch(info.base_name) and not is_intact(info.path):
            _set_aside(filesystem, info.path)
    # All of them: Tune looks for the latest file of each kind, which may be of an earlier run.
    for paths in [paths for paths in sessions.values() if not all(map(is_intact, paths))]:
        for path in paths:
            _set_aside(filesystem, path)
        paths.clear()
    tuner = f"{folder}/{TUNER}"
    if not any(info.path == tuner for info in files):
        return False
    if not is_intact(tuner):
        _set_aside(filesystem, tuner)
        return False
    states = [path for paths in sessions.values() for path in paths if STATE_PREFIX in path]
    with_trials = [path for path in states if _has_trials(filesystem, path)]
    for path in set(states).difference(with_trials) if with_trials else ():
        _set_aside(filesystem, path)  # else Tune would restore it, being the latest, and fail
    return bool(with_trials)


def copy_without_trials(filesystem: pafs.FileSystem, folder: str) -> str | None:
    """Copy the files of a snapshot that has no trials yet, which Tune does not restore, to this machine.

    Args:
        filesystem: the filesystem of the experiment's storage.
        folder: the experiment's folder on it, after `set_damaged_aside`.

    Returns:
        A new folder with the files; None if there are none.

    Raises:
        OSError: the storage failed.
    """
    infos = filesystem.get_file_info(pafs.FileSelector(folder))
    names = {info.base_name for info in infos if info.type == pafs.FileType.File}
    if not any(name.startswith(STATE_PREFIX) for name in names):
        return None
    target = Path(tempfile.mkdtemp(prefix="nbtune-snapshot-"))
    for name in names:
        if name != TUNER and (_SESSION.fullmatch(name) or _READ_BY_TUNE.fullmatch(name)):
            (target / name).write_bytes(read_file(filesystem, f"{folder}/{name}"))
    return str(target)


def _has_trials(filesystem: pafs.FileSystem, path: str) -> bool:
    return bool(json.loads(read_file(filesystem, path))["trial_data"])


def _is_complete(name: str, data: bytes) -> bool:
    try:
        if name.startswith(STATE_PREFIX):
            return isinstance(json.loads(data)["trial_data"], list)
        if name != TUNER and not name.startswith(_PICKLES) and not data.startswith(_PICKLE):
            return bool(data.strip(b"\0"))  # a search algorithm of the user's writes what it likes
        for _ in pickletools.genops(data):
            pass
    except Exception:  # pickletools raises several kinds
        return False
    return True


def _set_aside(filesystem: pafs.FileSystem, path: str) -> None:
    parent, _, name = path.rpartition("/")
    filesystem.move(path, f"{parent}/damaged-{name}.bin")  # Tune reads all files with its own suffixes
