"""The event log: append-only, numbered, kept in the experiment's storage as it grows.

The log is a folder of segments. All but the last are sealed: written once and then left alone. The
last is written again, whole, some times a second while it grows, less often where that takes long, so
that it works on object stores, which cannot append. The driver keeps in memory only what is not sealed yet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pyarrow.fs as pafs

from nbtune.engine.protocol.events import Chunk, Event, decode, encode
from nbtune.engine.storage.storage import local_base

__all__ = ["FOLDER", "EventLog", "has_log", "read_log", "write_whole"]

FOLDER = "nbtune"
"""The folder of the log in an experiment's folder."""
_SEALED_AT = 4000  # events in a segment: some 300 kB, encoded within 20 ms


class EventLog:
    """The log of a running experiment. Safe to use from several threads.

    A log that is there already is continued behind its last event: what it holds is never written again.

    Args:
        storage: where the experiment's folder is.
        path: the experiment's folder.
    """

    def __init__(self, storage: pafs.FileSystem, path: str) -> None:
        self._storage, self._folder = storage, f"{path}/{FOLDER}"
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        storage.create_dir(self._folder, recursive=True)
        # First and end of each sealed segment.
        self._sealed = [(chunk.first, chunk.end) for chunk in read_log(storage, path)]
        self._unwritten: dict[int, bytes] = {}  # sealed but not yet in storage, by first
        self._first = self._sealed[-1][1] if self._sealed else 0
        self._open: list[Event] = []
        self._written = 0  # events of the open segment that are in storage
        self.on_append: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return self._first + len(self._open)

    def append(self, event: Event) -> None:
        """Add one event at the end."""
        with self._lock:
            self._open.append(event)
            if len(self._open) >= _SEALED_AT:
                self._unwritten[self._first] = encode(self._first, self._open)
                self._sealed.append((self._first, len(self)))
                self._first, self._open, self._written = len(self), [], 0
        self.on_append()

    def read(self, since: int) -> list[bytes]:
        """Return every event from number `since` on, as encoded chunks. The first may start below."""
        with self._lock:
            sealed = [first for first, end in self._sealed if end > since]
            start = max(since, self._first)
            rest = encode(start, self._open[start - self._first :]) if start < len(self) else None
        found = [self._segment(first) for first in sealed]
        return found if rest is None else [*found, rest]

    def recent(self, since: int) -> list[bytes] | None:
        """Return the same as `read` where all of it is in memory; None where storage has to be asked."""
        with self._lock:
            sealed = [self._unwritten.get(first) for first, end in self._sealed if end > since]
            start = max(since, self._first)
            rest = [encode(start, self._open[start - self._first :])] if start < len(self) else []
        waiting = [data for data in sealed if data is not None]
        return [*waiting, *rest] if len(waiting) == len(sealed) else None

    def chunks(self) -> list[Chunk]:
        """Return every event."""
        return [chunk for data in self.read(0) for chunk in decode(data)]

    def _segment(self, first: int) -> bytes:
        waiting = self._unwritten.get(first)
        return waiting if waiting is not None else _read(self._storage, _path(self._folder, first))

    def flush(self) -> None:
        """Bring storage up to date.

        Raises:
            OSError: the storage does not take it. Nothing is lost: it is tried again next time.
        """
        with self._writing:
            for sealed in sorted(self._unwritten):
                self._write(sealed, self._unwritten[sealed])
                del self._unwritten[sealed]
            with self._lock:
                first, count = self._first, len(self._open)
                data = encode(first, self._open) if count > self._written else None
            if data is not None:
                self._write(first, data)
                with self._lock:
                    if self._first == first:
                        self._written = count

    def _write(self, first: int, data: bytes) -> None:
        write_whole(self._storage, _path(self._folder, first), data)


def write_whole(storage: pafs.FileSystem, path: str, data: bytes) -> None:
    """Write a file so that a reader, or a crash, never meets half of it.

    Raises:
        OSError: the storage does not take it; what was there before still is.
    """
    if local_base(storage) is None:  # an object store shows a file once it is whole
        with storage.open_output_stream(path) as stream:
            stream.write(data)
        return
    part = f"{path}.part"
    try:
        with storage.open_output_stream(part) as stream:
            stream.write(data)
        storage.move(part, path)
    except OSError:
        with suppress(OSError):  # on a full disk it would take the last bytes from others
            storage.delete_file(part)
        raise


def has_log(storage: pafs.FileSystem, path: str) -> bool:
    """Tell whether an experiment's folder holds an event log."""
    info: Any = storage.get_file_info(_path(f"{path}/{FOLDER}", 0))
    return bool(info.type == pafs.FileType.File)


def read_log(storage: pafs.FileSystem, path: str) -> list[Chunk]:
    """Return all events of a stored experiment, in order."""
    selector = pafs.FileSelector(f"{path}/{FOLDER}")
    names = sorted(info.path for info in storage.get_file_info(selector) if info.path.endswith(".arrow"))
    chunks: list[Chunk] = []
    for name in names:
        chunks += decode(_read(storage, name))
    return chunks


def _path(folder: str, first: int) -> str:
    return f"{folder}/events-{first:010}.arrow"


def _read(storage: pafs.FileSystem, path: str) -> bytes:
    with storage.open_input_stream(path) as stream:
        return bytes(stream.read())
