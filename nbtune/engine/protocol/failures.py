"""Errors of trials: from an exception in the trial's process to the text that a person reads."""

from __future__ import annotations

import linecache
import re
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from nbtune.passwords import without_passwords

__all__ = [
    "CheckpointNotSavedError",
    "Failure",
    "NotUnpackedError",
    "TrialError",
    "UnsavedCheckpoint",
    "describe",
    "format_error",
    "register_sources",
    "unsaved_checkpoint",
    "user_frames",
    "without_colors",
]

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_PACKAGE = f"{Path(__file__).parents[2]}/"
_RAYS_TRAINABLE = "/ray/tune/trainable/"
"""Part of the paths of Ray's files that call the methods of a class."""


class Failure(TypedDict):
    """Why a trial or an experiment has failed."""

    error: str
    """One line."""
    traceback: str
    """The full text."""


@dataclass(frozen=True)
class UnsavedCheckpoint:
    """Why a trial's checkpoint was not saved.

    Attributes:
        errno: the system's error number, 0 if the storage gives none.
        reason: the message, one line.
    """

    errno: int
    reason: str


class CheckpointNotSavedError(OSError):
    """A checkpoint that its storage has not accepted. The user sees an `OSError`.

    Args:
        path: the checkpoint's folder.
        error: the storage's error.
    """

    def __init__(self, path: str, error: OSError) -> None:
        self.reason = f"the checkpoint could not be saved in {path}: {error.strerror or error}"
        super().__init__(error.errno or 0, self.reason)

    def __reduce__(self) -> tuple[type[OSError], tuple[int, str]]:
        return OSError, (self.errno or 0, self.reason)


# Tracebacks and messages show the name that the user catches.
CheckpointNotSavedError.__module__, CheckpointNotSavedError.__qualname__ = OSError.__module__, OSError.__qualname__


class TrialError(Exception):
    """The user's exception in a trial, as text, since the exception itself may not be picklable.

    Args:
        summary: the type and message, one line.
        text: the traceback, beginning at the user's code.
        unsaved: why a checkpoint was not saved, if that is the exception.
        pruned: whether the exception is `optuna.TrialPruned`, with which code stops its trial early.

    Attributes:
        at: when it was raised, in seconds since the epoch.
    """

    def __init__(self, summary: str, text: str, unsaved: UnsavedCheckpoint | None = None, pruned: bool = False) -> None:
        super().__init__(summary, text, unsaved, pruned)
        # No class attributes: Ray's copy of an exception finds only those of instances.
        self.summary, self.text, self.unsaved, self.pruned = summary, text, unsaved, pruned
        self.at = time.time()

    def __str__(self) -> str:
        return self.text


class NotUnpackedError(TrialError):
    """The program and its variables cannot be unpickled in the process of a trial or worker."""


def register_sources(sources: Mapping[str, tuple[str, str]]) -> None:
    """Let tracebacks in this process show the lines of the notebook's cells.

    Args:
        sources: the file name that code was compiled under -> (what a traceback calls it, its text).
    """
    for filename, (_, text) in sources.items():
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)


def format_error(error: BaseException, sources: Mapping[str, tuple[str, str]]) -> TrialError:
    """Return an exception of the user's code as a `TrialError`.

    The traceback begins at the user's code, without the frames of Ray and nbtune that called it. It names cells as the
    notebook does, ``Cell In[5], line 7``.

    Args:
        error: the exception.
        sources: as for `register_sources`.
    """
    if isinstance(error, SystemExit):
        error.add_note("In a trial, sys.exit() and exit() are failures; return ends it without one.")
    trace = error.__traceback__
    start = trace
    while start is not None and _is_callers(start.tb_frame.f_code.co_filename):
        start = start.tb_next
    user = start
    while user is not None and user.tb_frame.f_code.co_filename not in sources:
        user = user.tb_next  # for instance asyncio's frames, between nbtune's and those of a cell that awaits
    start = user or start
    formatted = traceback.TracebackException(type(error), error, start or trace)
    text = without_passwords(_with_cells_named("".join(formatted.format()), sources))
    summary = without_passwords("".join(traceback.format_exception_only(type(error), error))).splitlines()
    unsaved = UnsavedCheckpoint(error.errno or 0, error.reason) if isinstance(error, CheckpointNotSavedError) else None
    return TrialError(_first_line(summary), text.rstrip(), unsaved, _is_pruned(error))


def _is_callers(filename: str) -> bool:
    return filename.startswith(_PACKAGE) or _RAYS_TRAINABLE in filename


def user_frames(stack: traceback.StackSummary, sources: Mapping[str, tuple[str, str]]) -> str:
    """Return the user's part of a stack as the text of a traceback.

    Args:
        stack: the calls, the innermost last.
        sources: as for `register_sources`.
    """
    places = [frame.filename for frame in stack]
    ours = [position for position, place in enumerate(places) if place.startswith(_PACKAGE)]
    first = next((position for position, place in enumerate(places) if place in sources), max(ours, default=-1) + 1)
    text = "".join(traceback.StackSummary.from_list(stack[first:]).format())
    return f"Traceback (most recent call last):\n{_with_cells_named(text, sources)}".rstrip()


def _with_cells_named(text: str, sources: Mapping[str, tuple[str, str]]) -> str:
    """Return the text of a traceback that calls cells as the notebook does."""
    for filename, (name, _) in sources.items():
        text = text.replace(f'File "{filename}", line', f"{name}, line")
    return text


def _is_pruned(error: BaseException) -> bool:
    """Tell whether an exception is `optuna.TrialPruned` or a subclass, without importing Optuna."""
    names = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(error).__mro__}
    return ("optuna", "TrialPruned") in names


def _first_line(lines: list[str]) -> str:
    text = next((line for line in lines if line and not line.startswith(" ")), "unknown error")
    return text if len(text) <= 300 else text[:297] + "..."


def describe(
    error: Any, process: str = "the trial's process", why_ended: Callable[[], Failure] | None = None
) -> Failure:
    """Return why a trial has failed, in words.

    Args:
        error: the exception that Tune has recorded, often wrapped in others, or its text.
        process: what the message calls the process that has failed.
        why_ended: finds out why it has ended, if it has; Ray knows that only for a node that has ended.
    """
    own = _trial_error(error)
    if own is not None:
        return {"error": own.summary, "traceback": own.text}
    text = without_passwords(str(error).strip()) if error is not None else "unknown error"
    name = type(error).__name__
    if name in {"ActorDiedError", "RayActorError", "ActorUnavailableError"}:
        if "node has died" in text:
            summary = f"{process} has ended with its node"
            hint = "Its machine has ended, was removed from the cluster, or has lost the connection to it."
            return {"error": summary, "traceback": f"{summary}\n{hint}"}
        return {"error": f"{process} died", "traceback": text} if why_ended is None else why_ended()
    if name in {"OutOfMemoryError", "OutOfMemoryActorError"}:
        return {"error": f"{process} was killed: the node was out of memory", "traceback": text}
    return {"error": _first_line(_summary_of_foreign_error(error, text)), "traceback": text}


def without_colors(text: str) -> str:
    """Return a text without the colour codes that Ray writes into its errors.

    Args:
        text: the text of an error.
    """
    return _COLOR.sub("", text)


def unsaved_checkpoint(error: Any) -> UnsavedCheckpoint | None:
    """Return why the failed trial could not save its checkpoint, or None if it failed for another reason.

    Args:
        error: as for `describe`.
    """
    own = _trial_error(error)
    return None if own is None else own.unsaved


def _trial_error(error: Any) -> TrialError | None:
    """Return the `TrialError` inside an exception, or None."""
    cause = error
    while cause is not None and not isinstance(cause, TrialError):
        cause = getattr(cause, "cause", None) or getattr(cause, "__cause__", None)
    return cause


def _summary_of_foreign_error(error: Any, text: str) -> list[str]:
    """Return the lines to summarise an error of Tune's or Ray's from, the best first.

    Tune gives some of its errors, and those of which it has only a file, as the text of a traceback. Nothing but that
    text says what was raised, in its last line.
    """
    lines = text.splitlines() or ["unknown error"]
    if lines[0].startswith("Traceback"):
        return lines[:0:-1]
    return [f"{type(error).__name__}: {lines[0]}" if isinstance(error, BaseException) else lines[0]]
