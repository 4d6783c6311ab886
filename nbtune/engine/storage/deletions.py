"""Deletes superseded checkpoints, once the event log in storage has what supersedes them.

Tune deletes a checkpoint as soon as a newer or better one is registered. If the driver is killed before the log has the
newer one in storage, the log's latest checkpoint would be gone, and the trial would start anew.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import pyarrow.fs as pafs

from nbtune.engine.storage.log import EventLog

__all__ = ["Deletions"]

_log = logging.getLogger(__name__)


class Deletions:
    """Folders and files that are deleted after the events that precede the request are in storage. Thread-safe.

    Args:
        log: the event log.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
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
            due = [(filesystem, path) for needed, filesystem, path in self._waiting if needed <= stored]
            self._waiting = [request for request in self._waiting if request[0] > stored]
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
