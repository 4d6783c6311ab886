"""The output of a trial: passed through to the original streams, and stored in the trial's folder.

The output is stored in a few segment files. Each is named after the offset of its first byte in the output of
the trial, and only the last one grows. If a trial prints more than the limit, segments in the middle are deleted;
the offsets show how many bytes are missing. `nbtune.engine.trial.printed` reads the segments.

Only what is written to `sys.stdout` and `sys.stderr` is stored. The output of a trial's child processes (those of
a DataLoader, for example), and what C code writes to the file descriptors, is only passed through.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import pyarrow.fs as pafs

__all__ = [
    "FOLDER",
    "LAST_SIZE",
    "RANK_FOLDER",
    "RESTART_MARKER",
    "SEGMENT_SIZE",
    "Output",
    "Segment",
    "capture",
    "end_current",
    "flush",
    "keep_last",
    "segments",
]

FOLDER = "output"
"""The folder of the output, inside a trial's folder."""
RANK_FOLDER = "rank_{}"
"""The folder of one worker of a distributed trial, inside the trial's folder. It has an output folder of its own."""
RESTART_MARKER = b"--- started again ---\n"
"""The line that separates the output of two attempts: a trial is retried, or continues after a pause."""
LAST_SIZE = 2000  # bytes that `keep_last` keeps
SEGMENT_SIZE = 1 << 20  # the maximum size of a segment, in bytes
_TAIL_SIZE = 2 * SEGMENT_SIZE  # bytes stored besides the first segment and the open one: 4 MB in all
_MAX_BUFFERED = 4 * SEGMENT_SIZE  # bytes in memory while storage is slow or unreachable
_LOCAL_INTERVAL = 0.5  # seconds between two writes to a disk
# Seconds between two writes to an object store: the first and the longest interval. Each write uploads the whole
# open segment, so the interval grows.
_REMOTE_INTERVALS = (1.0, 5.0)
_MAX_RETRY_INTERVAL = 30.0  # the longest interval between two attempts while storage fails, in seconds
_END_TIMEOUT = 10.0  # seconds that a trial waits for storage at its end


class Segment(NamedTuple):
    """A stored part of the output: the offset of its first byte, and its size in bytes."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The offset of the first byte after the segment."""
        return self.start + self.size

    @property
    def name(self) -> str:
        """The file's name. Sorting by name sorts by offset."""
        return f"{self.start:012}.log"


def segments(storage: pafs.FileSystem, folder: str) -> list[Segment]:
    """Return the segments in an output folder by offset; none if the folder does not exist.

    Args:
        storage: the filesystem of the experiment's storage.
        folder: the output folder on it.
    """
    infos = storage.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    names = [(info.base_name.removesuffix(".log"), info.size) for info in infos if info.type == pafs.FileType.File]
    return sorted(Segment(int(name), size) for name, size in names if name.isdecimal())


class Output:
    """The output of one attempt of a trial. Storage is not accessed before something is printed.

    A storage failure does not fail the trial: saving is retried.

    Args:
        storage: the filesystem of the experiment's storage.
        folder: the trial's folder on it.

    Attributes:
        error: why the last attempt to save failed, or None.
        last: memory for the last `LAST_SIZE` bytes, or None.
    """

    def __init__(self, storage: pafs.FileSystem, folder: str) -> None:
        self._storage, self._folder = storage, f"{folder}/{FOLDER}"
        self._local = isinstance(storage, pafs.LocalFileSystem)
        self._interval = _LOCAL_INTERVAL if self._local else _REMOTE_INTERVALS[0]
        self._lock = threading.RLock()  # reentrant: a destructor may print while the lock is held
        self._buffer, self._buffer_start = bytearray(), 0  # output that is not in storage, and its offset
        self._saving = threading.Lock()
        self._sealed: list[Segment] | None = None  # None: the folder has not been listed yet
        self._open: Segment | None = None
        self._open_data = bytearray()  # the contents of the open segment, for object stores
        self._thread: threading.Thread | None = None
        self._has_data, self._save_now, self._ended = threading.Event(), threading.Event(), False
        self.error: str | None = None
        self.last: Any = None

    def add(self, data: bytes) -> None:
        """Append printed bytes; a thread saves them later.

        Args:
            data: what was printed, in UTF-8.
        """
        with self._lock:
            self._buffer += data
            if self.last is not None:
                kept = (self.last[:].rstrip(b"\0") + data)[-LAST_SIZE:]
                self.last[:] = kept.ljust(LAST_SIZE, b"\0")
            excess = len(self._buffer) - _MAX_BUFFERED
            if excess > 0:
                excess = min(len(self._buffer), excess + SEGMENT_SIZE)  # drop large parts, not single bytes
                del self._buffer[:excess]
                self._buffer_start += excess
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="nbtune-output", daemon=True)
                with suppress(RuntimeError):  # too many threads: the output is saved at the end
                    thread.start()
                    self._thread = thread
        if not self._has_data.is_set():
            self._has_data.set()
        if len(self._buffer) > SEGMENT_SIZE and self.error is None:
            self._save_now.set()

    def flush(self) -> None:
        """Save the buffered output now if storage is a local disk, where that is fast."""
        if self._local and self._buffer:
            self._save()

    def end(self) -> None:
        """Save the remaining output; wait for a slow storage for some seconds."""
        self._ended = True
        if self._thread is not None:
            self._has_data.set()
            self._save_now.set()
            self._thread.join(_END_TIMEOUT)  # a storage that does not respond must not block the trial
        else:
            self._save()

    def _run(self) -> None:
        while not self._ended:
            self._has_data.wait()
            self._save_now.wait(self._interval)
            self._save_now.clear()
            self._has_data.clear()
            self._save()
            if self.error is not None:
                self._interval = min(2 * self._interval, _MAX_RETRY_INTERVAL)
                self._has_data.set()
            elif self._local:
                self._interval = _LOCAL_INTERVAL
            else:
                self._interval = min(1.2 * self._interval, _REMOTE_INTERVALS[1])
        self._save()

    def _save(self) -> None:
        with self._saving:
            start, data = 0, b""
            try:
                if self._buffer and self._sealed is None:
                    self._continue_previous()
                with self._lock:
                    start, data = self._buffer_start, bytes(self._buffer)
                    self._buffer_start += len(data)
                    self._buffer.clear()
                while data:
                    part = data[: self._free_space(start)]
                    self._write(part)
                    start, data = start + len(part), data[len(part) :]
                self.error = None
            except Exception as error:  # a custom filesystem may raise anything
                self.error = f"{type(error).__name__}: {error}"
                with self._lock:
                    if self._buffer_start == start + len(data):  # otherwise `add` has dropped it in the meantime
                        self._buffer[:0], self._buffer_start = data, start

    def _continue_previous(self) -> None:
        """Continue after the output of earlier attempts, if there is any."""
        previous = segments(self._storage, self._folder)
        marker = b""
        if previous:
            with self._storage.open_input_file(f"{self._folder}/{previous[-1].name}") as file:
                file.seek(max(0, previous[-1].size - 1))
                marker = RESTART_MARKER if file.read(1) in (b"\n", b"") else b"\n" + RESTART_MARKER
        else:
            self._storage.create_dir(self._folder, recursive=True)
        with self._lock:
            self._buffer[:0] = marker
            self._buffer_start += previous[-1].end if previous else 0
        self._sealed = previous

    def _free_space(self, start: int) -> int:
        """Return how many bytes fit into the open segment at offset `start`; open a new one if none does."""
        assert self._sealed is not None
        if self._open is None or start != self._open.end or self._open.size >= SEGMENT_SIZE:
            if self._open is not None and self._open.size:
                self._sealed.append(self._open)
            self._open = Segment(start, 0)
            self._open_data.clear()
            while sum(segment.size for segment in self._sealed[1:]) > _TAIL_SIZE:
                with suppress(OSError):
                    self._storage.delete_file(f"{self._folder}/{self._sealed[1].name}")
                del self._sealed[1]
        return SEGMENT_SIZE - self._open.size

    def _write(self, part: bytes) -> None:
        """Append to the open segment. After a failure the call can be repeated: it overwrites a partial write."""
        assert self._open is not None
        path = f"{self._folder}/{self._open.name}"
        if self._local:
            with open(path, "ab") as file:
                file.truncate(self._open.size)
                file.write(part)
        else:
            del self._open_data[self._open.size :]
            self._open_data += part
            with self._storage.open_output_stream(path) as stream:
                stream.write(bytes(self._open_data))
        self._open = self._open._replace(size=self._open.size + len(part))


class _Tee(io.RawIOBase):
    """Writes bytes to a text stream and to the output of the current trial.

    Each process installs one for `sys.stdout` and one for `sys.stderr`, and never removes them, since logging
    handlers and others keep references to the streams. `_current` changes with each trial instead.
    """

    def __init__(self, original: Any) -> None:
        self.original = original
        self._lines = getattr(original, "line_buffering", True)

    def write(self, data: Any) -> int:
        data = bytes(data)
        output = _current
        if output is not None:
            output.add(data)
        if hasattr(self.original, "buffer"):
            self.original.buffer.write(data)
        else:
            self.original.write(data.decode("utf-8", "replace"))
        if self._lines and (b"\n" in data or b"\r" in data):
            self.original.flush()
        return len(data)

    def flush(self) -> None:
        self.original.flush()

    def close(self) -> None:
        """Do nothing: the original stream belongs to the process, and others still print to it."""

    @property
    def closed(self) -> bool:
        return False

    @property
    def name(self) -> str:
        return str(getattr(self.original, "name", ""))

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return int(self.original.fileno())


_current: Output | None = None
_streams: dict[str, io.TextIOWrapper] = {}


@contextmanager
def capture(storage: pafs.FileSystem, folder: str) -> Iterator[None]:
    """Store what this process prints inside the block.

    Args:
        storage: the filesystem of the experiment's storage.
        folder: the trial's folder on it.
    """
    global _current
    _install()
    _current = output = Output(storage, folder)
    try:
        yield
    finally:
        if _current is output:
            _current = None
        output.end()
        if output.error is not None:
            print(f"nbtune: the output of the trial could not be saved in {folder}: {output.error}", file=sys.stderr)


def flush() -> None:
    """Save the output of the current trial so far, if storage is a local disk."""
    if _current is not None:
        _current.flush()


def keep_last(memory: Any) -> None:
    """Keep the end of the current trial's output.

    Args:
        memory: an `mmap.mmap` of `LAST_SIZE` bytes, or None to keep it no longer.
    """
    if _current is not None:
        _current.last = memory


def end_current() -> None:
    """Save the output of the current trial, whose process is about to end."""
    if _current is not None:
        _current.end()


def _install() -> None:
    """Replace the standard streams by tees; again, if a trial has replaced them in the meantime."""
    for name in ("stdout", "stderr"):
        if name not in _streams:
            if not _streams:
                os.register_at_fork(after_in_child=_disable_in_child)
            # A TextIOWrapper, since libraries use `buffer` and `reconfigure`, and pickle the stream by its type.
            stream: Any = io.TextIOWrapper(
                _Tee(getattr(sys, name)), encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True
            )
            stream.mode = "w"  # `open` sets it, and cloudpickle reads it
            _streams[name] = stream
        setattr(sys, name, _streams[name])


def _disable_in_child() -> None:
    """In a forked process, only pass output through: its thread does not exist there, and its lock may be locked."""
    global _current
    _current = None
