"""Deletes superseded checkpoints, once the event log in storage has what supersedes them.

Tune deletes a checkpoint as soon as a newer or better one is registered. If the driver is killed before the log has the
newer one in storage, the log's latest checkpoint would be gone, and the trial would start anew.

Tune also deletes checkpoints that another trial is about to start from, as in population based training. They stay
until that trial has one of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from typing import Any

import pyarrow.fs as pafs

from nbtune.engine.storage.log import EventLog

__all__ = ["Deletions"]

_BLOCKED = -1  # in place of a length of the log: the checkpoint is needed at present

_log = logging.getLogger(__name__)


class Deletions:
    """Folders and files that are deleted after the events that precede the request are in storage. Thread-safe.

    Args:
        log: the event log.

    Attributes:
        needed: returns the paths that trials start from, or may start from. They are deleted later.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.needed: Callable[[], Collection[str]] = lambda: ()
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, Any, str]] = []  # (length of the log at the request, filesystem, path)

    def add(self, filesystem: pafs.FileSystem, path: str) -> None:
        """Request a deletion.

        Args:
            filesystem: the filesystem.
            path: the folder or file on it.
        """
        with self._lock:
            self._waiting.append((len(self._log), filesystem, path))

    def run(self, stored: int) -> None:
        """Delete what may be deleted. A failure is logged, and not tried again.

        Args:
            stored: the number of events in storage.
        """
        with self._lock:
            if not any(needed <= stored for needed, _, _ in self._waiting):
                return
            requests, self._waiting = self._waiting, []
            kept, due = self.needed(), []
            for request in requests:
                needed, filesystem, path = request
                if needed > stored:
                    self._waiting.append(request)
                elif path in kept:
                    self._waiting.append((_BLOCKED, filesystem, path))
                elif needed == _BLOCKED:  # the event that a trial has its own checkpoint now is the last one at most
                    self._waiting.append((len(self._log), filesystem, path))
                else:
                    due.append((filesystem, path))
        for filesystem, path in due:
            try:
                _delete(filesystem, path)
            except Exception as error:  # a custom filesystem may raise anything
                _log.warning("cannot delete the checkpoint %s: %s", path, error)


def _delete(filesystem: pafs.FileSystem, path: str) -> None:
    kind = filesystem.get_file_info(path).type
    if kind == pafs.FileType.Directory:
        filesystem.delete_dir(path)
    elif kind == pafs.FileType.File:
        filesystem.delete_file(path)
