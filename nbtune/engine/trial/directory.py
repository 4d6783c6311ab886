"""The working directory of a trial: entered before its code runs, left after it, its files kept with the experiment."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

import pyarrow.fs as pafs

from nbtune.engine.storage.storage import local_base
from nbtune.engine.trial.new_entries import NewEntries
from nbtune.engine.trial.payload import Surroundings
from nbtune.engine.trial.workspace import Workspace
from nbtune.engine.trial.writes import watch_writes
from nbtune.spec.units import format_size

__all__ = ["FILES_FOLDER", "NOTEBOOK_VARIABLE", "own_folder", "working_directory"]

FILES_FOLDER = "files"
"""The folder of the files that a trial has written to its working directory, inside its folder in storage."""
NOTEBOOK_VARIABLE = "NBTUNE_NOTEBOOK_DIR"
"""The environment variable with the notebook's folder."""
_MAX_UPLOAD = 100 << 20  # bytes of such files that are copied to an object store at the end of a trial


def own_folder(artifacts: str, around: Surroundings) -> Path:
    """Return the working directory of a trial. It is not below what Tune copies to storage.

    Args:
        artifacts: Tune's own working directory of the trial.
        around: where the program was packed.
    """
    path = Path(artifacts)
    return Workspace.folder_in(path.parent.parent / "folders", Path(around.cwd), path.name)


@contextmanager
def working_directory(folder: Path, around: Surroundings, storage: pafs.FileSystem, stored: str) -> Iterator[None]:
    """Run the code inside in the trial's own working directory; workers of a trial on one machine share it.

    Files that the code has written there are kept in storage. They also stay in the directory if the code has not
    finished, since the trial may continue.

    Args:
        folder: the working directory, as `own_folder` returns it.
        around: where the program was packed.
        storage: the filesystem of the experiment's storage.
        stored: the trial's folder on it.
    """
    workspace = Workspace(folder, Path(around.cwd))
    os.environ[NOTEBOOK_VARIABLE] = around.cwd
    before, finished = _present_folder(), False
    lock = _prepared(workspace, around)
    if lock is None:
        with suppress(OSError):  # the folder may not exist on this machine
            os.chdir(around.cwd)
    else:
        os.chdir(workspace.folder)
        watch_writes(workspace)
    try:
        with NewEntries(workspace) if lock is not None else nullcontext():
            yield
        finished = True
    finally:
        watch_writes(None)
        os.chdir(before)
        if lock is not None:
            with lock:
                if _is_last(lock):
                    _keep(workspace, storage, f"{stored}/{FILES_FOLDER}", finished=finished)


def _present_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it has been removed
        return "/"


def _prepared(workspace: Workspace, around: Surroundings) -> IO[bytes] | None:
    """Create the working directory; return a file that is locked as long as it is used, or None if that failed."""
    try:
        locks = workspace.root.parent / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = open(locks / workspace.folder.name, "wb")  # noqa: SIM115 - locked as long as it is open
        fcntl.flock(lock, fcntl.LOCK_SH)  # waits for a worker that has ended early, and removes the folder
        workspace.prepare(text for _, text in around.sources.values())
    except OSError as error:
        print(
            f"nbtune: the trial has no working directory of its own, and uses the notebook's folder: {error}",
            file=sys.stderr,
        )
        return None
    return lock


def _is_last(lock: IO[bytes]) -> bool:
    """Tell whether no other process uses the working directory; if so, none can begin to before the file is closed."""
    fcntl.flock(lock, fcntl.LOCK_UN)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _keep(workspace: Workspace, storage: pafs.FileSystem, folder: str, *, finished: bool) -> None:
    """Copy or move the files that the trial has written to storage."""
    written = workspace.written()
    base, total = local_base(storage), sum(written.values())
    if base is None and total > _MAX_UPLOAD:
        print(
            f"nbtune: {len(written)} files in the working directory of the trial have {format_size(total)}, which are"
            f" not copied to storage; they stay in {workspace.folder} on {os.uname().nodename}",
            file=sys.stderr,
        )
        finished = False
    else:
        try:
            for name in written:
                _store(workspace.folder / name, storage, f"{folder}/{name}", base)
        except Exception as error:  # a custom filesystem may raise anything
            print(
                f"nbtune: files of the trial could not be saved in {folder}: {error};"
                f" they stay in {workspace.folder} on {os.uname().nodename}",
                file=sys.stderr,
            )
            finished = False
    workspace.remove(keep_written=not finished)


def _store(file: Path, storage: pafs.FileSystem, path: str, base: str | None) -> None:
    if base is None:
        storage.create_dir(path.rpartition("/")[0], recursive=True)
        with open(file, "rb") as source, storage.open_output_stream(path) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        return
    stored = Path(f"{base}{path}")
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.unlink(missing_ok=True)
    try:
        os.link(file, stored)  # costs nothing, also for a large file
    except OSError:  # another disk
        shutil.copy2(file, stored)
