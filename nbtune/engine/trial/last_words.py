"""Why the process of a trial has ended during the trial: `os._exit`, a crash in compiled code, or a kill.

Ray only knows that a process has gone. So the process itself leaves a note on its machine: one that calls `os._exit`
writes it first, and Python's fault handler writes it when the process crashes. A process that is killed leaves none.
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import pyarrow.fs as pafs

from nbtune.engine.protocol.failures import Failure, user_frames
from nbtune.engine.trial import output
from nbtune.engine.trial.printed import as_shown, read_output

__all__ = ["note_path", "noting_the_end", "why_ended"]

_LAST_LINES = 5  # lines of output that a message shows
_EXIT = "os._exit"
_FATAL = "Fatal Python error: "
_SIGNALS = {
    "Segmentation fault": signal.SIGSEGV,
    "Aborted": signal.SIGABRT,
    "Bus error": signal.SIGBUS,
    "Floating point exception": signal.SIGFPE,
    "Floating-point exception": signal.SIGFPE,
    "Illegal instruction": signal.SIGILL,
}
"""Python's names of the signals that its fault handler handles."""
_PACKAGE = Path(__file__).parents[2]
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+|\?\?\?) in (?P<name>.*)$')


@dataclass(frozen=True)
class _LastWords:
    """What a process has left.

    Attributes:
        summary: how it has ended, one line that follows "the trial's process".
        lines: where its code was, as in a traceback; empty if it is not known.
        hint: what to do.
    """

    summary: str
    lines: str
    hint: str

    def failure(self, process: str, last_output: str = "") -> Failure:
        """Return the failure of the trial.

        Args:
            process: what the message calls the process.
            last_output: the last lines that it has printed.
        """
        error = f"{process} {self.summary}"
        shown = f"Its last output:\n{last_output}" if last_output else ""
        return {"error": error, "traceback": "\n".join(filter(None, (error, self.lines, shown, self.hint)))}


_WITHOUT_MESSAGE = _LastWords(
    "has ended without a message: it was probably killed",
    "",
    "Processes are ended like this from outside, by SIGKILL (kill -9): the system does it when the memory of the node"
    " or its container is used up, a batch system at its limits; or compiled code has called exit(). With max_failures"
    " a trial is retried from its last checkpoint.",
)
_UNKNOWN = _LastWords(
    "has ended, for a reason that is not known here",
    "",
    "It may have been killed, or have crashed: it ran on another machine, whose logs of Ray may say more.",
)


@contextmanager
def noting_the_end(path: Path, sources: Mapping[str, tuple[str, str]]) -> Iterator[None]:
    """Leave a note if this process ends inside.

    Args:
        path: the note's path on this machine, as `note_path` returns it.
        sources: as for `nbtune.engine.protocol.failures.register_sources`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        note = open(path, "w", encoding="utf-8")  # noqa: SIM115 - the fault handler writes to it
    except OSError:  # the disk is full: the trial may run nevertheless
        yield
        return
    with note, _with_exit_noted(note, sources), _with_output_noted(_output_path(path)):
        note.write(json.dumps({filename: label for filename, (label, _) in sources.items()}) + "\n")
        note.flush()
        faulthandler.enable(note, all_threads=False)
        try:
            yield
        finally:
            faulthandler.enable(sys.__stderr__ or 2, all_threads=False)  # as Ray has enabled it
            with suppress(OSError):
                path.unlink()


@contextmanager
def _with_output_noted(path: Path) -> Iterator[None]:
    """Keep what the trial has printed last in memory that outlives this process: it is in storage only later."""
    try:
        with open(path, "wb+") as file:
            file.truncate(output.LAST_SIZE)
            output.keep_last(mmap.mmap(file.fileno(), output.LAST_SIZE))
    except OSError:  # the disk is full
        yield
        return
    try:
        yield
    finally:
        output.keep_last(None)
        with suppress(OSError):
            path.unlink()


@contextmanager
def _with_exit_noted(note: IO[str], sources: Mapping[str, tuple[str, str]]) -> Iterator[None]:
    """Let `os._exit` write to the note, and save the output, before it ends this process."""
    end, process = os._exit, os.getpid()

    def _exit(status: int) -> NoReturn:
        if os.getpid() == process:  # a process that the trial has forked ends this way
            with suppress(Exception):
                note.write(json.dumps([_EXIT, status, user_frames(_callers(), sources)]))
                note.flush()
                sys.stdout.flush()
                output.end_current()
        end(status)

    replaced: Any = os
    replaced._exit = _exit
    try:
        yield
    finally:
        replaced._exit = end


def _callers() -> traceback.StackSummary:
    return traceback.StackSummary.from_list(traceback.extract_stack()[:-2])  # without this function and its caller


def note_path(artifacts: str, rank: int | None = None) -> Path:
    """Return the path of the note of a process.

    Args:
        artifacts: Tune's own working directory of the trial.
        rank: the rank of a worker of a distributed trial, or None for the trial's own process.
    """
    path = Path(artifacts)
    return path.parent.parent / "last_words" / (path.name if rank is None else f"{path.name}-rank_{rank}")


def why_ended(process: str, note: Path, storage: pafs.FileSystem, folder: str) -> Failure:
    """Return why a process has ended during a trial, by its note, which is removed, and by its output.

    Args:
        process: what the message calls the process.
        note: the path of its note, as `note_path` returns it.
        storage: the filesystem of the experiment's storage.
        folder: the folder of its output on it: that of the trial, or of a worker.
    """
    last_output = _unsaved_output(note)
    if not last_output:
        with suppress(Exception):  # a custom filesystem may raise anything
            last_output = read_output(storage, folder, _LAST_LINES)
    return _read(note).failure(process, last_output.strip("\n"))


def _unsaved_output(note: Path) -> str:
    """Return the last lines that a process has printed, which may not be in storage."""
    with suppress(OSError):
        data = (path := _output_path(note)).read_bytes()
        path.unlink()
        return "\n".join(as_shown(data.rstrip(b"\0").decode("utf-8", "replace")).splitlines()[-_LAST_LINES:])
    return ""


def _output_path(note: Path) -> Path:
    return note.with_name(f"{note.name}.output")


def _read(note: Path) -> _LastWords:
    try:
        head, _, text = note.read_text("utf-8", "replace").partition("\n")
        note.unlink()
        labels: dict[str, str] = json.loads(head)
    except (OSError, ValueError):
        return _UNKNOWN
    return _exit_noted(text) or _crash_noted(text, labels) or _WITHOUT_MESSAGE


def _exit_noted(text: str) -> _LastWords | None:
    with suppress(ValueError):
        _, status, lines = json.loads(text)
        return _LastWords(
            f"has ended itself: os._exit({status!r})",
            lines,
            "A trial ends with return, or fails with an exception. os._exit ends its process at once, with everything"
            " that is not saved; remove the call.",
        )
    return None


def _crash_noted(text: str, labels: Mapping[str, str]) -> _LastWords | None:
    if not text.startswith(_FATAL):
        return None
    what = text.removeprefix(_FATAL).partition("\n")[0]
    number = _SIGNALS.get(what)
    summary = f"has crashed: {what}" + (f" (signal {int(number)}, {number.name})" if number else "")
    hint = "Code that is not Python's, in a library or called by ctypes, has crashed. It was called at the lines above."
    return _LastWords(summary, "\n".join(_frames(text.splitlines(), labels)), hint)


def _frames(lines: list[str], labels: Mapping[str, str]) -> list[str]:
    """Return the user's part of the fault handler's stack, the innermost call last, as in a traceback."""
    found = []
    for line in lines:
        if (frame := _FRAME.match(line)) is None:
            continue
        if Path(frame["file"]).is_relative_to(_PACKAGE):
            break
        label = labels.get(frame["file"], f'File "{frame["file"]}"')
        found.append(f"  {label}, line {frame['line']}, in {frame['name']}")
    return ["Traceback (most recent call last):", *reversed(found)] if found else []
