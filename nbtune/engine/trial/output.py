"""What a trial prints: passed on to where it went before, and kept in the trial's folder in storage.

It is kept in a few files, each named by the number of its first byte, counted from the trial's first.
Only the last one grows. Where a trial prints more than is kept, files from the middle go, and the gap
in the numbers says how much is missing. `nbtune.engine.client.printed` reads them.

Kept is what goes through `sys.stdout` and `sys.stderr`. What other processes of a trial print (those of
a DataLoader, say), and what C code writes to the file descriptors, is only passed on.
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

__all__ = ["AGAIN", "FOLDER", "OF_RANK", "SEGMENT", "Output", "Segment", "flush", "kept", "segments"]

FOLDER = "output"
"""The folder of what was printed, in a trial's folder."""
OF_RANK = "rank_{}"
"""The folder in it of one worker, with such a folder in turn."""
AGAIN = b"--- started again ---\n"
"""The line before what a trial prints when it is tried again, or goes on after a pause."""
SEGMENT = 1 << 20  # bytes of a file, at most
_LAST = 2 * SEGMENT  # bytes kept besides the first file and the one that grows: 4 MB in all
_MOST_WAITING = 4 * SEGMENT  # bytes in memory while storage is slow or away
_ON_DISK = 0.5  # seconds between two writes
_IN_STORE = (1.0, 5.0)  # an object store takes the last file whole each time, so the pauses grow from one to the other
_FAILING = 30.0  # seconds between two tries, at most, where storage does not take it
_AT_END = 10.0  # seconds that a trial waits at its end for storage


class Segment(NamedTuple):
    """One file of what a trial has printed: the number of its first byte, and its size."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The number of the first byte after it."""
        return self.start + self.size

    @property
    def name(self) -> str:
        """The file's name; in the order of names these files are in order."""
        return f"{self.start:012}.log"


def segments(storage: pafs.FileSystem, folder: str) -> list[Segment]:
    """Return the files in a trial's folder of output, in order; none where there is no such folder."""
    found = storage.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    names = [(info.base_name.removesuffix(".log"), info.size) for info in found if info.type == pafs.FileType.File]
    return sorted(Segment(int(name), size) for name, size in names if name.isdecimal())


class Output:
    """What one attempt of a trial prints. Nothing happens before something is printed.

    Storage that fails does not fail the trial: it is tried again, and `error` says why it failed.

    Args:
        storage: where the trial's folder is.
        folder: the trial's folder.
    """

    def __init__(self, storage: pafs.FileSystem, folder: str) -> None:
        self._storage, self._folder = storage, f"{folder}/{FOLDER}"
        self._local = isinstance(storage, pafs.LocalFileSystem)
        self._pause = _ON_DISK if self._local else _IN_STORE[0]
        self._lock = threading.RLock()  # a destructor may print anywhere, also in here
        self._waiting, self._start = bytearray(), 0  # what is not in storage, and the number of its first byte
        self._saving = threading.Lock()
        self._sealed: list[Segment] | None = None  # None: storage has not been asked yet
        self._open: Segment | None = None
        self._whole = bytearray()  # what the open file holds, for stores that take it whole
        self._thread: threading.Thread | None = None
        self._news, self._hurry, self._over = threading.Event(), threading.Event(), False
        self.error: str | None = None

    def add(self, data: bytes) -> None:
        """Take what was printed."""
        with self._lock:
            self._waiting += data
            excess = len(self._waiting) - _MOST_WAITING
            if excess > 0:
                excess = min(len(self._waiting), excess + SEGMENT)  # not byte by byte
                del self._waiting[:excess]
                self._start += excess
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="nbtune-output", daemon=True)
                with suppress(RuntimeError):  # there are too many: what was printed is saved at the end
                    thread.start()
                    self._thread = thread
        if not self._news.is_set():
            self._news.set()
        if len(self._waiting) > SEGMENT and self.error is None:
            self._hurry.set()

    def flush(self) -> None:
        """Save what was printed now, where that is cheap: on a disk."""
        if self._local and self._waiting:
            self._save()

    def end(self) -> None:
        """Save the rest."""
        self._over = True
        if self._thread is not None:
            self._news.set()
            self._hurry.set()
            self._thread.join(_AT_END)  # a storage that hangs must not hang the trial
        else:
            self._save()

    def _run(self) -> None:
        while not self._over:
            self._news.wait()
            self._hurry.wait(self._pause)
            self._hurry.clear()
            self._news.clear()
            self._save()
            if self.error is not None:
                self._pause = min(2 * self._pause, _FAILING)
                self._news.set()
            elif self._local:
                self._pause = _ON_DISK
            else:
                self._pause = min(1.2 * self._pause, _IN_STORE[1])
        self._save()

    def _save(self) -> None:
        with self._saving:
            start, data = 0, b""
            try:
                if self._waiting and self._sealed is None:
                    self._begin()
                with self._lock:
                    start, data = self._start, bytes(self._waiting)
                    self._start += len(data)
                    self._waiting.clear()
                while data:
                    part = data[: self._room(start)]
                    self._write(part)
                    start, data = start + len(part), data[len(part) :]
                self.error = None
            except Exception as error:  # whatever storage raises
                self.error = f"{type(error).__name__}: {error}"
                with self._lock:
                    if self._start == start + len(data):  # else it has been given up in the meantime
                        self._waiting[:0], self._start = data, start

    def _begin(self) -> None:
        """Go on after what earlier attempts have left, if there were any."""
        found = segments(self._storage, self._folder)
        before = b""
        if found:
            with self._storage.open_input_file(f"{self._folder}/{found[-1].name}") as file:
                file.seek(max(0, found[-1].size - 1))
                before = AGAIN if file.read(1) in (b"\n", b"") else b"\n" + AGAIN
        else:
            self._storage.create_dir(self._folder, recursive=True)
        with self._lock:
            self._waiting[:0] = before
            self._start += found[-1].end if found else 0
        self._sealed = found

    def _room(self, start: int) -> int:
        """Return how many bytes go into the open file from number `start` on; begin a new one where none does."""
        assert self._sealed is not None
        if self._open is None or start != self._open.end or self._open.size >= SEGMENT:
            if self._open is not None and self._open.size:
                self._sealed.append(self._open)
            self._open = Segment(start, 0)
            self._whole.clear()
            while sum(segment.size for segment in self._sealed[1:]) > _LAST:
                with suppress(OSError):
                    self._storage.delete_file(f"{self._folder}/{self._sealed[1].name}")
                del self._sealed[1]
        return SEGMENT - self._open.size

    def _write(self, part: bytes) -> None:
        """Write at the end of the open file. To be repeated with the same end where it has failed half way."""
        assert self._open is not None
        path = f"{self._folder}/{self._open.name}"
        if self._local:
            with open(path, "ab") as file:
                file.truncate(self._open.size)
                file.write(part)
        else:
            del self._whole[self._open.size :]
            self._whole += part
            with self._storage.open_output_stream(path) as stream:
                stream.write(bytes(self._whole))
        self._open = self._open._replace(size=self._open.size + len(part))


class _Tee(io.RawIOBase):
    """Passes bytes on to a text stream, and to the output of the trial that runs.

    It stays for good, under one `sys.stdout` or `sys.stderr`, since logging handlers and others hold on to
    those; what it keeps for changes.
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
        """Stay open: it is not this one's to close, and others still print."""

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
def kept(storage: pafs.FileSystem, folder: str) -> Iterator[None]:
    """Keep what this process prints until the end of the block.

    Args:
        storage: where the trial's folder is.
        folder: the trial's folder.
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
            print(f"nbtune: what the trial printed could not be kept in {folder}: {output.error}", file=sys.stderr)


def flush() -> None:
    """Save what the trial that runs has printed so far, where that is cheap."""
    if _current is not None:
        _current.flush()


def _install() -> None:
    """Put the tees in their places: in each process once, and again where a trial has left something else."""
    for name in ("stdout", "stderr"):
        if name not in _streams:
            if not _streams:
                os.register_at_fork(after_in_child=_forget)
            # A real TextIOWrapper: libraries look into `buffer`, call `reconfigure`, and pickle it by its type.
            stream: Any = io.TextIOWrapper(
                _Tee(getattr(sys, name)), encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True
            )
            stream.mode = "w"  # as `open` sets it; cloudpickle asks for it
            _streams[name] = stream
        setattr(sys, name, _streams[name])


def _forget() -> None:
    """In a forked process: pass on only. The thread that saves is not there, and its locks may be held."""
    global _current
    _current = None
