"""Tune's own files of each trial, such as ``result.json``: in a folder of the driver's machine until storage has them.

Tune copies that folder to storage with each of its snapshots, all of it, also the files of trials that ended long ago.
With 10,000 trials, that would be 30,000 files every few seconds.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from contextlib import suppress
from typing import Any

import pyarrow.fs as pafs
from ray.tune.logger import JsonLoggerCallback

from nbtune.engine._ray.tune import is_copying
from nbtune.engine.protocol.registry import Live

__all__ = ["ResultFiles", "RunFinished"]


class RunFinished(Exception):  # noqa: N818 - not an error
    """Ends a run of Tune after its clean-up, before Tune reads back all results, which nothing here uses."""


class ResultFiles(Live, JsonLoggerCallback):
    """Writes the reports of trials as stock Tune does. It must be the last callback of a run, whose end it raises.

    Args:
        writes: whether to write the reports; a callback of the user's may do it instead.

    The files of a trial that is over are deleted on the driver's machine once storage has them. They are compared on a
    thread of its own while one snapshot is current, moved before the next one, when Tune copies nothing, and deleted
    on that thread: deleting thousands of files takes seconds.
    """

    role = "results"

    def __init__(self, *, writes: bool = True) -> None:
        super().__init__()
        self._writes = writes
        self._started: set[Any] = set()  # the trials that have started and are not over
        self._over: list[Any] = []  # the storage contexts of trials that are over, whose files are here
        self._stored: list[Any] = []  # those of them whose files are in storage
        self._comparing: threading.Thread | None = None

    def log_trial_start(self, trial: Any) -> None:
        self._started.add(trial)
        if self._writes:
            super().log_trial_start(trial)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        if self._writes:
            super().log_trial_result(iteration, trial, result)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        if trial not in self._started:
            return
        self._started.discard(trial)
        if self._writes:
            super().log_trial_end(trial, failed)
            del self._trial_configs[trial]
        self._over.append(trial.storage)

    def get_state(self) -> None:
        """Move away what is in storage. Tune is about to write a snapshot, and copies its folder after that."""
        if not self._over or is_copying(self._over[0]) or (self._comparing and self._comparing.is_alive()):
            return
        stored, self._stored = set(map(id, self._stored)), []
        aside = f"{self._over[0].experiment_driver_staging_path}-stored"
        os.makedirs(aside, exist_ok=True)
        for storage in self._over:
            if id(storage) in stored:
                with suppress(OSError):  # they are copied once more
                    os.rename(storage.trial_driver_staging_path, f"{aside}/{storage.trial_dir_name}")
        self._over = [storage for storage in self._over if id(storage) not in stored]
        self._comparing = threading.Thread(
            target=self._compare, args=(self._over, aside), name="nbtune-files", daemon=True
        )
        self._comparing.start()

    def _compare(self, over: list[Any], aside: str) -> None:
        shutil.rmtree(aside, ignore_errors=True)
        for storage in over:
            with suppress(Exception):  # a custom filesystem may raise anything; they are compared again
                if _is_stored(storage):
                    self._stored.append(storage)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        if sys.exception() is None:  # else this is the clean-up after an exception, which is raised again
            raise RunFinished


def _is_stored(storage: Any) -> bool:
    """Tell whether all files of a trial on this machine are in storage, with the same size."""
    with os.scandir(storage.trial_driver_staging_path) as entries:
        sizes = {f"{storage.trial_fs_path}/{entry.name}": entry.stat().st_size for entry in entries}
    infos = storage.storage_filesystem.get_file_info(list(sizes)) if sizes else []
    return all(info.type == pafs.FileType.File and info.size == sizes[info.path] for info in infos)
