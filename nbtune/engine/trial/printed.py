"""The output of a trial, read from storage and shown as a terminal shows it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pyarrow.fs as pafs

from nbtune.engine.storage.storage import Storage, is_inside, local_base
from nbtune.engine.trial.output import FOLDER, segments
from nbtune.errors import ExperimentError

__all__ = ["as_shown", "printed", "read_output"]

_BLOCK = 1 << 16  # bytes that are read first if only the end is requested
_UP = "\x1b[A"  # cursor up: tqdm draws several bars below each other with it


def printed(where: Storage, folder: str, tail: int | None = None) -> str:
    """Return the output of a trial so far.

    Args:
        where: the experiment's folder.
        folder: the name of the trial's folder.
        tail: the number of lines from the end; None for all.

    Raises:
        ExperimentError: the storage cannot be read, or `tail` is less than 0.
    """
    if tail is not None and tail < 0:
        raise ExperimentError(f"tail: expected a number of lines >= 0, or None for all, got {tail!r}")
    try:
        storage, root = where.open()
        if not _is_inside(storage, root, f"{root}/{folder}"):
            raise ExperimentError(f"{where.redacted}: the folder {folder!r} of the trial is a link to another folder")
        return read_output(storage, f"{root}/{folder}", tail)
    except OSError as error:
        raise ExperimentError(f"{where.redacted}: the output of the trial cannot be read: {error}") from error


def _is_inside(storage: pafs.FileSystem, root: str, folder: str) -> bool:
    """Return whether the files of a trial's output are in the experiment's folder."""
    if (base := local_base(storage)) is None:
        return True
    output = f"{folder}/{FOLDER}"
    local = f"{base}{output}"
    paths = [output, *(f"{output}/{name}" for name in os.listdir(local))] if os.path.isdir(local) else [folder]
    return all(is_inside(storage, root, path) for path in paths)


def read_output(storage: pafs.FileSystem, folder: str, tail: int | None = None) -> str:
    """Return the output in a trial's folder.

    Args:
        storage: the filesystem.
        folder: the path of the trial's folder.
        tail: as for `printed`.

    Raises:
        OSError: the storage cannot be read.
    """
    if tail == 0:
        return ""
    data, block = b"", None if tail is None else _BLOCK
    for part in _backwards(storage, f"{folder}/{FOLDER}", block):
        data = part + data
        if tail is not None and data.count(b"\n") > tail:
            text = _last_lines(data, tail)
            if text is not None:
                return text
    return as_shown(data.decode("utf-8", "replace")) if tail is None else _last_lines(data, tail, whole=True) or ""


def _last_lines(data: bytes, tail: int, *, whole: bool = False) -> str | None:
    """Return the last lines of the end of an output, or None if they may begin before it.

    Args:
        data: the end of the output.
        tail: the number of lines.
        whole: whether `data` is the whole output.
    """
    lines = as_shown(data.decode("utf-8", "replace")).split("\n")
    open_end = lines.pop()
    if open_end:
        lines.append(open_end)
    if len(lines) <= tail and not whole:
        return None
    return "\n".join(lines[-tail:]) + ("" if open_end or not lines else "\n")


def _backwards(storage: pafs.FileSystem, folder: str, block: int | None) -> Iterator[bytes]:
    """Yield the contents of the files from the last to the first, in blocks of growing size or file by file."""
    after: int | None = None
    for segment in reversed(segments(storage, folder)):
        if after is not None and segment.end < after:
            yield f"\n… {_size(after - segment.end)} left out …\n".encode()
        try:
            with storage.open_input_file(f"{folder}/{segment.name}") as file:
                end = segment.size
                while end > 0:
                    start = max(0, end - block) if block else 0
                    file.seek(start)
                    yield bytes(file.read(end - start))
                    end, block = start, block and 2 * block
        except FileNotFoundError:  # the running trial has just removed it
            continue
        after = segment.start
    if after:
        yield f"… {_size(after)} left out …\n".encode()


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 50_000 else f"{count / 1e3:.1f} kB"


def as_shown(text: str) -> str:
    r"""Return text as a terminal shows it: of lines that are overwritten ("\r", cursor up) only the last version.

    Args:
        text: the output as it was written.
    """
    if "\r" not in text and _UP not in text:
        return text
    lines, row, overwrite = [""], 0, False
    for piece in re.split(r"(\n|\r|\x1b\[A)", text):
        if piece == "\n":
            row, overwrite = row + 1, True
            if row == len(lines):
                lines.append("")
        elif piece == "\r":
            overwrite = True
        elif piece == _UP:
            row = max(0, row - 1)
        elif piece:
            lines[row] = (
                piece.rstrip(" ") if overwrite else lines[row] + piece
            )  # bars overwrite a longer line with blanks
            overwrite = False
    return "\n".join(lines)
