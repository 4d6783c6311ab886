"""The signatures of Tune's own files, which contain pickles, whatever they are called.

They are in a file beside the event log, one for each driver, so that they outlast damage to the log. Tune copies its
files into storage some time after it has written them, or not at all if it is killed: a file may be older than its
latest signature. So the latest ones of each file are kept, and are stored before Tune copies the file.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import pyarrow.fs as pafs

from nbtune.engine.protocol.trust import ExperimentKey, Trust
from nbtune.engine.storage.log import is_file, write_atomically
from nbtune.engine.storage.segments import FOLDER, read_file

__all__ = ["SignedFiles", "accepts_file", "read_signatures"]

_PREFIX = "signatures-"
_KEPT = 100  # signatures of a file: Tune is not that many snapshots ahead of storage


class SignedFiles:
    """The files of Tune's that a driver signs, and those of earlier drivers.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        epoch: the epoch of the driver.
        key: the experiment's key; None for no signatures.

    Attributes:
        key: the same.
    """

    def __init__(self, storage: pafs.FileSystem, path: str, epoch: int, key: ExperimentKey | None) -> None:
        self._storage, self._path, self.key = storage, path, key
        self._file = f"{path}/{FOLDER}/{_PREFIX}{epoch:06}.json"
        self._signatures: dict[str, deque[str]] = {}
        self._lock = threading.Lock()

    @cached_property
    def earlier(self) -> Mapping[str, Collection[str]]:
        """The signatures of earlier drivers, as `read_signatures` returns them. A new experiment does not need them."""
        return read_signatures(self._storage, self._path)

    def accepts(self, path: str) -> bool:
        """Return whether a file of an earlier driver may be loaded.

        Args:
            path: its path in the experiment's folder.

        Raises:
            OSError: the storage failed.
        """
        return self.key is None or accepts_file(self._storage, self._path, path, self.key, self.earlier)

    def add(self, path: str, data: bytes) -> None:
        """Sign a file that Tune is about to store.

        Args:
            path: its path in the experiment's folder.
            data: its contents.
        """
        if self.key is not None:
            with self._lock:
                self._signatures.setdefault(path, deque(maxlen=_KEPT)).append(self.key.sign(path, data))

    def add_all(self, files: Iterable[Path]) -> None:
        """Sign the files of a snapshot, and store all signatures. Where that fails, files without them are not trusted,
        and a resumption does without them.

        Args:
            files: the files, which Tune is about to copy into the experiment's folder.
        """
        for file in files:
            self.add(file.name, file.read_bytes())
        with suppress(OSError):  # the event log reports failures of the storage, and its writer retries
            self.flush()

    def flush(self) -> None:
        """Store the signatures.

        Raises:
            OSError: they could not be written.
        """
        with self._lock:
            data = json.dumps({path: list(signatures) for path, signatures in self._signatures.items()}).encode()
        write_atomically(self._storage, self._file, data)


def read_signatures(storage: pafs.FileSystem, path: str) -> dict[str, set[str]]:
    """Return the signatures of Tune's files in an experiment's folder, by their paths there. Damaged ones are left out.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
    """
    found: dict[str, set[str]] = {}
    for info in storage.get_file_info(pafs.FileSelector(f"{path}/{FOLDER}", allow_not_found=True)):
        if info.base_name.startswith(_PREFIX):
            with suppress(OSError, ValueError, AttributeError, TypeError, RecursionError):
                for name, signatures in json.loads(read_file(storage, info.path)).items():
                    found.setdefault(name, set()).update(one for one in signatures if isinstance(one, str))
    return found


def accepts_file(
    storage: pafs.FileSystem, folder: str, path: str, trust: Trust, signatures: Mapping[str, Collection[str]]
) -> bool:
    """Return whether a file of Tune's may be loaded.

    Args:
        storage: the filesystem of the experiment's storage.
        folder: the experiment's folder on it.
        path: the file in that folder.
        trust: whose files are loaded.
        signatures: what `read_signatures` has returned.

    Raises:
        OSError: the storage failed.
    """
    return is_file(storage, f"{folder}/{path}") and trust.accepts(
        path, read_file(storage, f"{folder}/{path}"), *signatures.get(path, ())
    )
