"""Frames: encoded chunks with their numbers and checksums, so that damage is found and does not spread.

A frame is a header of fixed size and an Arrow IPC stream. The header has a checksum of its own: if only the stream is
damaged, it is known which events are lost, and where the next frame begins. Arrow reads nothing that has not passed its
checksum, since some wrong bytes make it read outside its memory.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from nbtune.errors import ExperimentError

__all__ = ["FORMAT", "FormatError", "Frame", "frames", "make_frame"]

FORMAT = 4
"""The number of this format. It increases with each change that makes older readers or files fail."""
_MAGIC = b"\x93NBTUNE\n"
_HEADER = struct.Struct("<8sHIQQI")  # magic, format, events, number of the first, bytes and checksum of the stream
_CHECKSUM = struct.Struct("<I")  # of the header
_SIZE = _HEADER.size + _CHECKSUM.size


class FormatError(ExperimentError):
    """The event log has the format of another version of nbtune."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"its event log has format {number}, and this version of nbtune reads format {FORMAT}; open it with the"
            " version of nbtune that has written it (`versions` in the metadata of the experiment, or its date)"
        )


@dataclass(frozen=True)
class Frame:
    """A frame that was found.

    Attributes:
        first: the number of its first event; None if its header is damaged.
        count: the number of its events; 0 if its header is damaged.
        stream: the Arrow IPC stream; None if it is damaged.
    """

    first: int | None
    count: int
    stream: bytes | None


def make_frame(first: int, count: int, stream: bytes) -> bytes:
    """Return a frame.

    Args:
        first: the number of its first event.
        count: the number of its events.
        stream: the events as an Arrow IPC stream.
    """
    header = _HEADER.pack(_MAGIC, FORMAT, count, first, len(stream), zlib.crc32(stream))
    return header + _CHECKSUM.pack(zlib.crc32(header)) + stream


def frames(data: bytes) -> Iterator[Frame]:
    """Yield the frames in `data`, which may be damaged anywhere.

    Args:
        data: frames, one after the other.

    Raises:
        FormatError: an intact header has another format.
    """
    view, position = memoryview(data), 0
    while position < len(data):
        header = view[position : position + _HEADER.size]
        check = view[position + _HEADER.size : position + _SIZE]
        if not (len(check) == _CHECKSUM.size and _CHECKSUM.unpack(check)[0] == zlib.crc32(header)):
            position = _next(data, position + 1)
            yield Frame(None, 0, None)
            continue
        magic, number, count, first, size, checksum = _HEADER.unpack(header)
        if magic != _MAGIC or number != FORMAT:
            raise FormatError(number)
        start = position + _SIZE
        stream = view[start : start + size]
        if len(stream) == size and zlib.crc32(stream) == checksum:
            position = start + size
            yield Frame(first, count, bytes(stream))
        else:  # bytes may be missing or inserted, so the next frame is not where the size says
            position = _next(data, position + 1)
            yield Frame(first, count, None)


def _next(data: bytes, start: int) -> int:
    """Return where the next header may begin, or the end of the data."""
    found = data.find(_MAGIC, start)
    return len(data) if found < 0 else found
