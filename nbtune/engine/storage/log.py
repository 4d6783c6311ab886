"""The event log of an experiment: append-only, numbered, written to storage while the experiment runs.

The log is a folder of segment files. All segments but the last are sealed: they are written once. The last
segment is rewritten as a whole several times a second while it grows (less often where a write is slow), since
object stores cannot append. The driver keeps only the open segment, and sealed ones until they are written, in memory.
A segment is a sequence of frames with checksums: damage in storage loses the events of the frames that it hits, and
readers skip their numbers. No file is written again once its driver has ended, so a damaged one stays as it is. An
empty file at the end says by its name how many events there are, since a last segment that is missing leaves no trace.

The name of a segment has the number of its first event, the epoch of its driver (see `nbtune.engine.storage.lease`),
and the epoch that this driver has continued. A driver that has lost its lease may still write, but never to a file of
the next driver; and what it adds does not count, since the next driver's events replace it from the first one on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow.fs as pafs

from nbtune.engine.protocol.chunk import Chunk, decode, encode
from nbtune.engine.protocol.events import Event, ExperimentUpdated
from nbtune.engine.storage.segments import FOLDER, Segment, in_order, is_ordered, read_file, segments_of
from nbtune.engine.storage.storage import create_private_folder, local_base, write_private

__all__ = ["EventLog", "is_file", "read_log", "write_atomically"]

_FRAME_EVENTS = 500  # events in a frame: what one wrong byte in storage loses
_SEGMENT_EVENTS = 4000  # events in a sealed segment: about 300 kB
_FINAL = frozenset({"finished", "stopped", "failed"})


class _Sealed(NamedTuple):
    """A segment that is not written again.

    Attributes:
        segment: the segment.
        end: the number after its last event.
        as_stored: whether its file is read as it is. Otherwise it is decoded, and its readable events that count are
            encoded again.
    """

    segment: Segment
    end: int
    as_stored: bool = True


class EventLog:
    """The log of a running experiment. Thread-safe.

    If the folder already holds a log, new events are appended to it and its segments are not written again.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        epoch: the epoch of the driver; higher than those of all earlier drivers of the experiment.

    Attributes:
        on_append: called after each event that was appended.
        writes: the number of segments that were written, again or for the first time.
        epoch: the epoch of the driver.
    """

    def __init__(self, storage: pafs.FileSystem, path: str, epoch: int = 1) -> None:
        self._storage, self._folder, self.epoch = storage, f"{path}/{FOLDER}", epoch
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        create_private_folder(storage, path)
        create_private_folder(storage, self._folder)
        segments, end = segments_of(storage, path)
        self._sealed: list[_Sealed] = []
        self._continued = 0  # the epoch whose events these continue
        self._open_at(self._add_stored(segments, end))
        self._unwritten: dict[int, bytes] = {}  # sealed segments that are not in storage yet, by first event number
        self._ends = False  # whether the last event is the end of the experiment
        self._end_written = 0  # the number of events for which the end is marked in storage
        self.on_append: Callable[[], None] = lambda: None
        self.writes = 0

    def _add_stored(self, segments: list[Segment], end: int) -> int:
        """Add the segments of earlier drivers; return the number of the next event, after the damaged ones as well."""
        stored = []
        for segment in segments:
            chunks, known_end, is_damaged = segment.decode(self._storage)
            assert known_end is not None
            as_stored = not is_damaged and segment.limit is None and is_ordered(chunks)
            stored.append((chunks[0].first if chunks else segment.first, _Sealed(segment, known_end, as_stored)))
            end = max(end, known_end)
        self._sealed = [sealed for _, sealed in sorted(stored, key=lambda one: one[0])]
        if segments:  # an earlier driver that still lives may add events to its last segment: they do not count
            last = segments[-1]
            self._continued = last.epoch
            self._sealed = [
                sealed._replace(segment=replace(last, limit=end), as_stored=False) if sealed.segment is last else sealed
                for sealed in self._sealed
            ]
        return end

    def _open_at(self, first: int) -> None:
        """Begin a new open segment with event `first`."""
        self._first = self._tail_first = first
        self._frames: list[tuple[int, bytes]] = []  # first event -> the complete frames of the open segment
        self._tail: list[Event] = []  # its events that are not in a frame yet
        self._written = 0  # how many of its events are in storage

    def __len__(self) -> int:
        return self._tail_first + len(self._tail)

    def append(self, event: Event) -> None:
        """Append one event.

        Args:
            event: the event; its number is the length of the log before.
        """
        with self._lock:
            self._tail.append(event)
            self._ends = isinstance(event, ExperimentUpdated) and event.metadata.get("status") in _FINAL
            is_full = len(self) - self._first >= _SEGMENT_EVENTS
            if is_full or len(self._tail) >= _FRAME_EVENTS:
                self._frames.append((self._tail_first, encode(self._tail_first, self._tail)))
                self._tail_first, self._tail = len(self), []
            if is_full:
                self._unwritten[self._first] = b"".join(frame for _, frame in self._frames)
                segment = Segment(self._path(self._first), self._first, self.epoch)
                self._sealed.append(_Sealed(segment, len(self)))
                self._open_at(len(self))
        self.on_append()

    def read(self, since: int) -> list[bytes]:
        """Return the events from number `since` on as encoded chunks.

        Args:
            since: the number of the first event. The first chunk may begin before it.
        """
        with self._lock:
            sealed = [one for one in self._sealed if one.end > since]
            open_chunks = self._encode_open(since)
        return [*(self._read(one) for one in sealed), *open_chunks]

    def read_from_memory(self, since: int) -> list[bytes] | None:
        """Return the same as `read` if all of it is in memory, or None if storage has to be read.

        Args:
            since: the number of the first event.
        """
        with self._lock:
            sealed = [self._in_memory(one.segment) for one in self._sealed if one.end > since]
            open_chunks = self._encode_open(since)
        in_memory = [data for data in sealed if data is not None]
        return [*in_memory, *open_chunks] if len(in_memory) == len(sealed) else None

    def _encode_open(self, since: int) -> list[bytes]:
        """Return the events of the open segment from number `since` on as encoded chunks. Needs the lock."""
        ends = [*(first for first, _ in self._frames[1:]), self._tail_first]
        chunks = [frame for (_, frame), end in zip(self._frames, ends, strict=bool(self._frames)) if end > since]
        start = max(since, self._tail_first)
        return [*chunks, encode(start, self._tail[start - self._tail_first :])] if start < len(self) else chunks

    def chunks(self) -> list[Chunk]:
        """Return all readable events."""
        return in_order(chunk for data in self.read(0) for chunk in decode(data))

    def _in_memory(self, segment: Segment) -> bytes | None:
        return self._unwritten.get(segment.first) if segment.epoch == self.epoch else None

    def _read(self, sealed: _Sealed) -> bytes:
        unwritten = self._in_memory(sealed.segment)
        if unwritten is not None:
            return unwritten
        if sealed.as_stored:
            return read_file(self._storage, sealed.segment.path)
        chunks = in_order(sealed.segment.decode(self._storage).chunks)
        return b"".join(encode(chunk.first, list(chunk.events())) for chunk in chunks)

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
                first, count = self._first, len(self) - self._first
                data = b"".join(self._encode_open(first)) if count > self._written else None
                end = len(self) if self._ends else self._end_written
            if data is not None:
                self._write(first, data)
                with self._lock:
                    if self._first == first:
                        self._written = count
            if end != self._end_written:
                write_atomically(self._storage, f"{self._folder}/end-{end:010}-{self.epoch:06}", b"")
                self._end_written = end

    def _write(self, first: int, data: bytes) -> None:
        write_atomically(self._storage, self._path(first), data)
        self.writes += 1

    def _path(self, first: int) -> str:
        return f"{self._folder}/events-{first:010}-{self.epoch:06}-{self._continued:06}.arrow"


def write_atomically(storage: pafs.FileSystem, path: str, data: bytes) -> None:
    """Write a private file so that neither a reader nor a crash leaves or sees part of it.

    Args:
        storage: the filesystem.
        path: the file on it; an existing file is replaced.
        data: the whole contents.

    Raises:
        OSError: the file could not be written; an existing file is unchanged.
    """
    if local_base(storage) is None:  # an object store shows a file only when it is complete
        write_private(storage, path, data)
        return
    part = f"{path}.part"
    try:
        write_private(storage, part, data)
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


def read_log(storage: pafs.FileSystem, path: str) -> list[Chunk]:
    """Return all readable events of a stored experiment, in order.

    The numbers of the events tell which ones are damaged or missing. Where these are the last ones, an empty chunk
    after them has the number that would be the next.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.

    Raises:
        OSError: the folder or the storage cannot be read.
        ExperimentError: the log was written by another version of nbtune.
    """
    segments, end = segments_of(storage, path)
    decoded = [segment.decode(storage) for segment in segments]
    chunks = in_order(chunk for one in decoded for chunk in one.chunks)
    end = max([end, *(one.end or 0 for one in decoded)])
    return [*chunks, *decode(encode(end, []))] if end > (chunks[-1].end if chunks else 0) else chunks
