"""The event log of an experiment: append-only, numbered, written to storage while the experiment runs.

The log is a folder of segment files. All segments but the last are sealed: they are written once. The last
segment is rewritten as a whole several times a second while it grows (less often where a write is slow), since
object stores cannot append. The driver keeps only the open segment, and sealed ones until they are written, in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pyarrow.fs as pafs

from nbtune.engine.protocol.chunk import Chunk, decode, encode
from nbtune.engine.protocol.events import Event
from nbtune.engine.storage.storage import local_base

__all__ = ["FOLDER", "EventLog", "has_log", "is_file", "read_log", "write_atomically"]

FOLDER = "nbtune"
"""The folder of the log, inside an experiment's folder."""
_SEGMENT_EVENTS = 4000  # events in a sealed segment: about 300 kB, encoded within 20 ms


class EventLog:
    """The log of a running experiment. Thread-safe.

    If the folder already holds a log, new events are appended to it and its segments are not written again.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.

    Attributes:
        on_append: called after each event that was appended.
    """

    def __init__(self, storage: pafs.FileSystem, path: str) -> None:
        self._storage, self._folder = storage, f"{path}/{FOLDER}"
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        storage.create_dir(self._folder, recursive=True)
        # The half-open range of event numbers (first, end) of each sealed segment.
        self._sealed = [(chunk.first, chunk.end) for chunk in read_log(storage, path)]
        self._unwritten: dict[int, bytes] = {}  # sealed segments that are not in storage yet, by first event number
        self._first = self._sealed[-1][1] if self._sealed else 0
        self._open: list[Event] = []
        self._written = 0  # how many events of the open segment are in storage
        self.on_append: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return self._first + len(self._open)

    def append(self, event: Event) -> None:
        """Append one event.

        Args:
            event: the event; its number is the length of the log before.
        """
        with self._lock:
            self._open.append(event)
            if len(self._open) >= _SEGMENT_EVENTS:
                self._unwritten[self._first] = encode(self._first, self._open)
                self._sealed.append((self._first, len(self)))
                self._first, self._open, self._written = len(self), [], 0
        self.on_append()

    def read(self, since: int) -> list[bytes]:
        """Return the events from number `since` on as encoded chunks.

        Args:
            since: the number of the first event. The first chunk may begin before it.
        """
        with self._lock:
            sealed = [first for first, end in self._sealed if end > since]
            open_chunk = self._encode_open(since)
        return [*(self._segment(first) for first in sealed), *open_chunk]

    def read_from_memory(self, since: int) -> list[bytes] | None:
        """Return the same as `read` if all of it is in memory, or None if storage has to be read.

        Args:
            since: the number of the first event.
        """
        with self._lock:
            sealed = [self._unwritten.get(first) for first, end in self._sealed if end > since]
            open_chunk = self._encode_open(since)
        in_memory = [data for data in sealed if data is not None]
        return [*in_memory, *open_chunk] if len(in_memory) == len(sealed) else None

    def _encode_open(self, since: int) -> list[bytes]:
        """Return the events of the open segment from number `since` on as one chunk, or no chunk. Needs the lock."""
        start = max(since, self._first)
        return [encode(start, self._open[start - self._first :])] if start < len(self) else []

    def chunks(self) -> list[Chunk]:
        """Return all events."""
        return [chunk for data in self.read(0) for chunk in decode(data)]

    def _segment(self, first: int) -> bytes:
        unwritten = self._unwritten.get(first)
        return unwritten if unwritten is not None else _read(self._storage, _path(self._folder, first))

    def flush(self) -> None:
        """Write all events that are not in storage yet.

        Raises:
            OSError: a segment could not be written. It stays in memory, and the next call writes it.
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
        write_atomically(self._storage, _path(self._folder, first), data)


def write_atomically(storage: pafs.FileSystem, path: str, data: bytes) -> None:
    """Write a file so that neither a reader nor a crash leaves or sees part of it.

    Args:
        storage: the filesystem.
        path: the file on it; an existing file is replaced.
        data: the whole contents.

    Raises:
        OSError: the file could not be written; an existing file is unchanged.
    """
    if local_base(storage) is None:  # an object store shows a file only when it is complete
        with storage.open_output_stream(path) as stream:
            stream.write(data)
        return
    part = f"{path}.part"
    try:
        with storage.open_output_stream(part) as stream:
            stream.write(data)
        storage.move(part, path)
    except OSError:
        with suppress(OSError):  # on a full disk, the partial file would take space from other files
            storage.delete_file(part)
        raise


def is_file(storage: pafs.FileSystem, path: str) -> bool:
    """Return whether a path is an existing file.

    Args:
        storage: the filesystem.
        path: the path on it.
    """
    info: Any = storage.get_file_info(path)
    return bool(info.type == pafs.FileType.File)


def has_log(storage: pafs.FileSystem, path: str) -> bool:
    """Return whether an experiment's folder holds an event log.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
    """
    return is_file(storage, _path(f"{path}/{FOLDER}", 0))


def read_log(storage: pafs.FileSystem, path: str) -> list[Chunk]:
    """Return all events of a stored experiment, in order.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.

    Raises:
        OSError: the folder or one of its segments cannot be read.
    """
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
