"""The segments of the event log in storage: which ones there are, and which of their events count."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

import pyarrow.fs as pafs

from nbtune.engine.protocol.chunk import Chunk, Decoded, decode_damaged
from nbtune.engine.protocol.frames import FORMAT, FormatError

__all__ = [
    "FOLDER",
    "Segment",
    "Segments",
    "has_log",
    "in_order",
    "is_ordered",
    "last_epoch",
    "read_file",
    "segments_of",
]

FOLDER = "nbtune"
"""The folder of the log, inside an experiment's folder."""
_NAME = re.compile(r"events-(\d{10,18})-(\d{6,18})-(\d{6,18})\.arrow")
_END = re.compile(r"end-(\d{10,18})-(\d{6,18})")
_OLDER = re.compile(r"events-\d+\.arrow")
_UNREADABLE = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
"""What is wrong with a single file. Other errors are those of the storage, and may pass."""


@dataclass(frozen=True)
class Segment:
    """A segment in storage.

    Attributes:
        path: its file.
        first: the number of its first event.
        epoch: the epoch of the driver that has written it.
        limit: the number from which on its events do not count, since a driver of a higher epoch has written them
            again; None without one.
        is_file: whether there is a file of its name.
    """

    path: str
    first: int
    epoch: int
    limit: int | None = None
    is_file: bool = True

    def decode(self, storage: pafs.FileSystem) -> Decoded:
        """Return its readable events that count. `Decoded.end` is never None: a segment has at least one event."""
        try:
            chunks, end, is_damaged = decode_damaged(read_file(storage, self.path) if self.is_file else b"")
        except _UNREADABLE:
            chunks, end, is_damaged = [], None, True
        end = max(end or 0, self.first + 1)
        if self.limit is not None:
            chunks = [part for chunk in chunks if len(part := chunk.until(self.limit))]
            end = min(end, self.limit)
        return Decoded(chunks, end, is_damaged or not chunks)


class Segments(NamedTuple):
    """The segments of a log.

    Attributes:
        segments: those whose events count, in order.
        end: the number after the last event, where the last driver has ended properly; else 0.
    """

    segments: list[Segment]
    end: int


def in_order(chunks: Iterable[Chunk]) -> list[Chunk]:
    """Return chunks in the order of their events, each event once: files may have been exchanged or copied."""
    ordered: list[Chunk] = []
    for chunk in sorted(chunks, key=lambda chunk: chunk.first):
        rest = chunk.since(ordered[-1].end) if ordered else chunk
        if len(rest):
            ordered.append(rest)
    return ordered


def is_ordered(chunks: Sequence[Chunk]) -> bool:
    """Return whether chunks are in the order of their events, each event once."""
    return all(one.end <= other.first for one, other in pairwise(chunks))


def has_log(storage: pafs.FileSystem, path: str) -> bool:
    """Return whether an experiment's folder holds an event log.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
    """
    infos = storage.get_file_info(pafs.FileSelector(f"{path}/{FOLDER}", allow_not_found=True))
    return any(_NAME.fullmatch(info.base_name) or _OLDER.fullmatch(info.base_name) for info in infos)


def last_epoch(storage: pafs.FileSystem, path: str) -> int:
    """Return the epoch of the latest driver that has written events; 0 without any.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
    """
    if not has_log(storage, path):
        return 0
    return max((segment.epoch for segment in segments_of(storage, path).segments), default=0)


def segments_of(storage: pafs.FileSystem, path: str) -> Segments:
    """Return the segments of a log whose events count.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.

    Raises:
        OSError: the folder cannot be read.
        ExperimentError: an earlier version of nbtune has written the log.
    """
    infos = storage.get_file_info(pafs.FileSelector(f"{path}/{FOLDER}"))
    epochs: dict[int, list[tuple[int, pafs.FileInfo, int]]] = {}  # epoch -> (first, file, the epoch that it continues)
    for info in infos:
        if match := _NAME.fullmatch(info.base_name):
            first, epoch, continued = map(int, match.groups())
            epochs.setdefault(epoch, []).append((first, info, continued))
    if not epochs and any(_OLDER.fullmatch(info.base_name) for info in infos):
        raise FormatError(FORMAT - 1)
    latest = max(epochs, default=0)
    ends = [(int(match[2]), int(match[1])) for info in infos if (match := _END.fullmatch(info.base_name))]
    segments: list[Segment] = []
    epoch, limit = latest, None
    while epochs:
        # Where the files of a whole epoch are missing, those before it still count.
        epoch = max((one for one in epochs if one <= epoch), default=0)
        if not (files := epochs.pop(epoch, [])):
            break
        files.sort(key=itemgetter(0))
        own = [
            Segment(info.path, first, epoch, is_file=info.type == pafs.FileType.File)
            for first, info, _ in files
            if limit is None or first < limit
        ]
        if own:
            own[-1] = replace(own[-1], limit=limit)  # the others were sealed before
        segments[:0] = own
        limit, _, epoch = files[0]
    return Segments(segments, max((end for epoch, end in ends if epoch >= latest), default=0))


def read_file(storage: pafs.FileSystem, path: str) -> bytes:
    """Return the contents of a file.

    Args:
        storage: the filesystem.
        path: the file on it.

    Raises:
        OSError: it cannot be read.
    """
    with storage.open_input_stream(path) as stream:
        return bytes(stream.read())
