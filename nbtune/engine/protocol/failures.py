"""Errors of trials: from an exception in the trial's process to a text that a person reads."""

from __future__ import annotations

import linecache
import re
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

__all__ = ["Failure", "TrialError", "describe", "format_error", "not_saved", "register_sources", "unsaved"]

_HERE = f"{Path(__file__).parents[2]}/"


class Failure(TypedDict):
    """Why a trial or an experiment has failed."""

    error: str
    """One line."""
    traceback: str
    """The full text."""


class TrialError(Exception):
    """What the user's code raised in a trial, as text: it must travel even where the original cannot.

    Args:
        summary: the type and message, one line.
        text: the traceback, beginning at the user's code.

    Attributes:
        at: when it was raised, in seconds since the epoch.
    """

    def __init__(self, summary: str, text: str) -> None:
        super().__init__(summary, text)
        self.summary, self.text, self.at = summary, text, time.time()

    def __str__(self) -> str:
        return self.text


def register_sources(sources: Mapping[str, tuple[str, str]]) -> None:
    """Let tracebacks in this process show the notebook's lines.

    Args:
        sources: the file name that code was compiled under -> (how to call it, its text).
    """
    for filename, (_, text) in sources.items():
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)


def format_error(error: BaseException, sources: Mapping[str, tuple[str, str]]) -> TrialError:
    """Return an exception of the user's code as a `TrialError`.

    Frames outside the user's code that led to it (Ray's, nbtune's) are left out; cells are called as
    the notebook calls them, ``Cell In[5], line 7``.
    """
    trace = error.__traceback__
    start = trace
    while start is not None and start.tb_frame.f_code.co_filename.startswith(_HERE):
        start = start.tb_next
    own = start
    while own is not None and own.tb_frame.f_code.co_filename not in sources:
        own = own.tb_next  # asyncio's, for one, which stands between nbtune and a cell that awaits
    start = own or start
    shown = traceback.TracebackException(type(error), error, start or trace)
    lines = "".join(shown.format())
    for filename, (name, _) in sources.items():
        lines = lines.replace(f'File "{filename}", line', f"{name}, line")
    summary = "".join(traceback.format_exception_only(type(error), error)).splitlines()
    return TrialError(_first_line(summary), lines.rstrip())


def _first_line(lines: list[str]) -> str:
    text = next((line for line in lines if line and not line.startswith(" ")), "unknown error")
    return text if len(text) <= 300 else text[:297] + "..."


def describe(error: Any) -> Failure:
    """Return why a trial has failed.

    Args:
        error: what Tune has kept of it: an exception, often around others, or its text.
    """
    cause = error
    while cause is not None and not isinstance(cause, TrialError):
        cause = getattr(cause, "cause", None) or getattr(cause, "__cause__", None)
    if isinstance(cause, TrialError):
        return {"error": cause.summary, "traceback": cause.text}
    text = str(error).strip() if error is not None else "unknown error"
    name = type(error).__name__
    if name in {"ActorDiedError", "RayActorError", "ActorUnavailableError"}:
        return {"error": "the trial's process died", "traceback": text}
    if name in {"OutOfMemoryError", "OutOfMemoryActorError"}:
        return {"error": "the trial's process was killed: the node was out of memory", "traceback": text}
    lines = text.splitlines() or ["unknown error"]
    if lines[0].startswith("Traceback"):  # an error of Tune's own carries a traceback as its message
        return {"error": _first_line(lines[:0:-1]), "traceback": text}
    named = f"{name}: {lines[0]}" if isinstance(error, BaseException) else lines[0]
    return {"error": _first_line([named]), "traceback": text}


def not_saved(path: str, error: OSError) -> OSError:
    """Return what to raise in a trial whose checkpoint its storage does not take.

    Args:
        path: where it was to be.
        error: what the storage has said.
    """
    return OSError(error.errno or 0, f"{_NOT_SAVED} {path}: {error.strerror or error}")


def unsaved(error: str) -> tuple[int, str | None]:
    """Read a trial's failure: return the system's number and the reason if it could not save, else ``(0, None)``."""
    found = re.match(rf"\w+: \[Errno (\d+)\] ({re.escape(_NOT_SAVED)} .*)", error)
    return (int(found[1]), found[2]) if found else (0, None)


_NOT_SAVED = "the checkpoint could not be saved in"
