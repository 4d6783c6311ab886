"""The event log of an experiment: append-only, numbered, written to storage while the experiment runs.

The log is a folder of segment files. All segments but the last are sealed: they are written once. The last
segment is rewritten as a whole several times a second while it grows (less often where a write is slow), since
object stores cannot append. The driver keeps only the open segment, and sealed ones until they are written, in memory.

The name of a segment has the number of its first event, the epoch of its driver (see `nbtune.engine.storage.lease`),
and the epoch that this driver has continued. A driver that has lost its lease may still write, but never to a file of
the next driver; and what it adds does not count, since the next driver's events replace it from the first one on.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pyarrow.fs as pafs

from nbtune.engine.protocol.chunk import Chunk, decode, encode
from nbtune.engine.protocol.events import Event
from nbtune.engine.storage.storage import local_base

__all__ = ["FOLDER", "EventLog", "has_log", "is_file", "read_log", "write_atomically"]

FOLDER = "nbtune"
"""The folder of the log, inside an experiment's folder."""
_SEGMENT_EVENTS = 4000  # events in a sealed segment: about 300 kB, encoded within 20 ms
_NAME = re.compile(r"events-(\d{10,})-(\d{6,})-(\d{6,})\.arrow")


@dataclass(frozen=True)
class _Segment:
    """A segment in storage.

    Attributes:
        path: its file.
        first: the number of its first event.
        epoch: the epoch of the driver that has written it.
        limit: the number from which on its events do not count, since a driver of a higher epoch has written them
            again; None without one.
    """

    path: str
    first: int
    epoch: int
    limit: int | None = None

    def chunks(self, storage: pafs.FileSystem) -> list[Chunk]:
        chunks = decode(_read(storage, self.path))
        if self.limit is None:
            return chunks
        return [part for chunk in chunks if len(part := chunk.until(self.limit))]

    def read(self, storage: pafs.FileSystem) -> list[bytes]:
        """Return its events as encoded chunks."""
        if self.limit is None:
            return [_read(storage, self.path)]
        return [encode(chunk.first, list(chunk.events())) for chunk in self.chunks(storage)]


class EventLog:
    """The log of a running experiment. Thread-safe.

    If the folder already holds a log, new events are appended to it and its segments are not written again.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        epoch: the epoch of the driver; higher than those of all earlier drivers of the experiment.

    Attributes:
        on_append: called after each event that was appended.
    """

    def __init__(self, storage: pafs.FileSystem, path: str, epoch: int = 1) -> None:
        self._storage, self._folder, self._epoch = storage, f"{path}/{FOLDER}", epoch
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        storage.create_dir(self._folder, recursive=True)
        # Each sealed segment, with the number of the event after its last.
        self._sealed: list[tuple[_Segment, int]] = []
        for segment in _segments(storage, path):
            if chunks := segment.chunks(storage):
                self._sealed.append((segment, chunks[-1].end))
        self._unwritten: dict[int, bytes] = {}  # sealed segments that are not in storage yet, by first event number
        self._first = self._sealed[-1][1] if self._sealed else 0
        self._continued = 0  # the epoch whose events these continue
        if self._sealed:  # an earlier driver that still lives may add events to its last segment: they do not count
            last, end = self._sealed[-1]
            self._sealed[-1] = (replace(last, limit=end), end)
            self._continued = last.epoch
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
                self._sealed.append((_Segment(self._path(self._first), self._first, self._epoch), len(self)))
                self._first, self._open, self._written = len(self), [], 0
        self.on_append()

    def read(self, since: int) -> list[bytes]:
        """Return the events from number `since` on as encoded chunks.

        Args:
            since: the number of the first event. The first chunk may begin before it.
        """
        with self._lock:
            sealed = [segment for segment, end in self._sealed if end > since]
            open_chunk = self._encode_open(since)
        return [*(data for segment in sealed for data in self._read(segment)), *open_chunk]

    def read_from_memory(self, since: int) -> list[bytes] | None:
        """Return the same as `read` if all of it is in memory, or None if storage has to be read.

        Args:
            since: the number of the first event.
        """
        with self._lock:
            sealed = [self._in_memory(segment) for segment, end in self._sealed if end > since]
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

    def _in_memory(self, segment: _Segment) -> bytes | None:
        return self._unwritten.get(segment.first) if segment.epoch == self._epoch else None

    def _read(self, segment: _Segment) -> list[bytes]:
        unwritten = self._in_memory(segment)
        return segment.read(self._storage) if unwritten is None else [unwritten]

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
        write_atomically(self._storage, self._path(first), data)

    def _path(self, first: int) -> str:
        return f"{self._folder}/events-{first:010}-{self._epoch:06}-{self._continued:06}.arrow"


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
    return bool(_segments(storage, path, missing_ok=True))


def read_log(storage: pafs.FileSystem, path: str) -> list[Chunk]:
    """Return all events of a stored experiment, in order.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.

    Raises:
        OSError: the folder or one of its segments cannot be read.
    """
    return [chunk for segment in _segments(storage, path) for chunk in segment.chunks(storage)]


def _segments(storage: pafs.FileSystem, path: str, *, missing_ok: bool = False) -> list[_Segment]:
    """Return the segments of a log whose events count, in order.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        missing_ok: whether the folder may be missing.

    Raises:
        OSError: the folder cannot be read.
    """
    infos = storage.get_file_info(pafs.FileSelector(f"{path}/{FOLDER}", allow_not_found=missing_ok))
    epochs: dict[int, list[tuple[int, str, int]]] = {}  # epoch -> (first, file, the epoch that it continues)
    for info in infos:
        if match := _NAME.fullmatch(info.base_name):
            first, epoch, continued = map(int, match.groups())
            epochs.setdefault(epoch, []).append((first, info.path, continued))
    segments: list[_Segment] = []
    epoch, limit = max(epochs, default=0), None
    while files := epochs.pop(epoch, []):
        own = [_Segment(file, first, epoch) for first, file, _ in sorted(files) if limit is None or first < limit]
        if own:
            own[-1] = replace(own[-1], limit=limit)  # the others were sealed before
        segments[:0] = own
        epoch, limit = files[0][2], min(files)[0]
    return segments


def _read(storage: pafs.FileSystem, path: str) -> bytes:
    with storage.open_input_stream(path) as stream:
        return bytes(stream.read())
