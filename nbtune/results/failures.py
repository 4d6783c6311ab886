"""The failed trials of an experiment, grouped by cause: the same exception at the same line, memory, dead processes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath
from typing import Any

import pandas as pd

from nbtune.results.state import TrialState

__all__ = ["CAUSES", "COLUMNS", "FailureGroup", "failure_frame", "failure_line", "group_failures"]

EXCEPTION, MEMORY, DIED, NODE, TIMEOUT = "exception", "out of memory", "process died", "node lost", "time-out"
CAUSES = (EXCEPTION, MEMORY, DIED, NODE, TIMEOUT)
"""Why a trial has failed."""

COLUMNS = ("cause", "exception", "count", "trials", "file", "line", "text", "error", "traceback", "advice")
"""The columns of `Experiment.failures`."""

_PROCESS = re.compile(r"(?:the trial's process|the process of worker \d+) (?P<how>.+)", re.DOTALL)
_WORKER = re.compile(r"worker \d+: ")
_EXCEPTION = re.compile(r"(?P<name>[^\W\d][\w.]*)(?::|$)")
_NAMES_OF_MEMORY = re.compile(r"(?:^|\.)(?:MemoryError|\w*OutOfMemory\w*)$")
_NAMES_OF_TIME = re.compile(r"(?:Timeout\w*|TimedOut)$")
_MEMORY_IN_MESSAGE = re.compile(r"CUDA(?: error:)? out of memory|HIP out of memory|RESOURCE_EXHAUSTED: Out of memory")
_TIME_IN_MESSAGE = re.compile(r"\btimed? ?out\b|Timeout")
_SECTION = re.compile(r"^[ |+]*(Exception Group )?Traceback \(most recent call last\):$", re.MULTILINE)
_FRAME = re.compile(
    r'^[ |+]*(?:File "(?P<file>[^"\n]+)"|(?P<cell>Cell In\[\d+\])), line (?P<line>\d+), in .*'
    r'(?:\n[ |+]{4,}+(?!File "|Cell In\[)(?P<text>.*))?',
    re.MULTILINE,
)
_LIBRARY = re.compile(
    r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python3\.\d+[/\\]|^<frozen |^<string>$"
    r"|[/\\]nbtune[/\\](?:engine|frameworks|spec|results|cluster|launch)[/\\]"
)
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?", re.IGNORECASE)
_MAX_TEXT = 50_000  # characters of a traceback, from its end
_MAX_TITLE = 80  # characters of an error that is no exception
_MAX_KNOWN = 50_000  # causes
_MAX_SHOWN = 3  # causes that a line of text names


@dataclass(frozen=True)
class _Cause:
    """Why one trial has failed.

    Attributes:
        cause: one of `CAUSES`.
        exception: the name of the exception, or how its process has ended.
        file: what a traceback calls the user's code, ``Cell In[5]`` or a path; empty if it names none.
        line: the line in it, or None.
        text: the text of the line.
        message: tells failures without a line apart.
    """

    cause: str
    exception: str
    file: str = ""
    line: int | None = None
    text: str = ""
    message: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for failures of the same group."""
        return self.cause, self.exception, self.file, self.line, self.message


@dataclass(frozen=True)
class FailureGroup:
    """Failed trials with the same cause.

    Attributes:
        cause: "exception", "out of memory", "process died", "node lost" or "time-out".
        exception: the name of the exception, or how the process has ended.
        trials: the numbers of the trials, ascending.
        file: what a traceback calls the user's code, ``Cell In[5]`` or a path; empty if it is not known.
        line: the line of the user's code that has raised the exception, or has called the library that has; or None.
        text: the text of that line; empty if it is not known.
        error: the error of the first trial, one line.
        traceback: its full text.
        advice: what can be done.
    """

    cause: str
    exception: str
    trials: tuple[int, ...]
    file: str
    line: int | None
    text: str
    error: str
    traceback: str
    advice: str

    @property
    def title(self) -> str:
        """What the trials have in common, in a few words: "ValueError", "out of memory", "crashed: Aborted"."""
        if self.cause != DIED:
            return {MEMORY: MEMORY, NODE: NODE}.get(self.cause, self.exception)
        if "killed" in self.exception:
            return "process killed"
        known = self.exception.startswith(("crashed: ", "ended itself: "))
        return self.exception.removeprefix("ended itself: ").partition(" (")[0] if known else DIED


def group_failures(states: Iterable[TrialState]) -> list[FailureGroup]:
    """Return the failed trials by cause, the most frequent one first.

    Exceptions belong together if they have the same type and come from the same line of the user's code, whatever
    their messages say: the line that has raised them, or that has called the library that has.

    Args:
        states: the states of the trials.
    """
    groups: dict[tuple[Any, ...], list[tuple[TrialState, _Cause]]] = {}
    for state in sorted(states, key=lambda one: one.number):
        if state.status == "failed":
            cause = _cause_of(state.error or "unknown error", state.traceback or "")
            groups.setdefault(cause.key, []).append((state, cause))
    found = [_group(members) for members in groups.values()]
    return sorted(found, key=lambda group: (-len(group.trials), group.trials[0]))


def failure_line(groups: Sequence[FailureGroup]) -> str:
    """Return "12 trials failed: 9 × ValueError at line 7, 3 × out of memory"; empty without failed trials.

    Args:
        groups: the groups of an experiment.
    """
    count = sum(len(group.trials) for group in groups)
    if not count:
        return ""
    files = {group.file for group in groups if group.file}
    is_one_cell = len(files) == 1 and next(iter(files)).startswith("Cell In[")
    parts = [f"{len(group.trials)} × {group.title}{_place(group, is_one_cell)}" for group in groups[:_MAX_SHOWN]]
    if len(groups) > _MAX_SHOWN:
        others = len(groups) - _MAX_SHOWN
        parts.append(f"{others} other cause{'' if others == 1 else 's'}")
    return f"{count:,} trial{'' if count == 1 else 's'} failed: {', '.join(parts)}"


def failure_frame(states: Iterable[TrialState]) -> pd.DataFrame:
    """Return the table of `Experiment.failures`.

    Args:
        states: the states of the trials.
    """
    rows = [
        {
            "cause": group.cause,
            "exception": group.exception,
            "count": len(group.trials),
            "trials": list(group.trials),
            "file": group.file or None,
            "line": group.line,
            "text": group.text or None,
            "error": group.error,
            "traceback": group.traceback,
            "advice": group.advice,
        }
        for group in group_failures(states)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"count": "int64", "line": "Int64"})


def _place(group: FailureGroup, is_one_cell: bool) -> str:
    if group.line is None:
        return ""
    if is_one_cell:
        return f" at line {group.line}"
    return f" at {group.file if group.file.startswith('Cell In[') else PurePath(group.file).name}, line {group.line}"


def _group(members: Sequence[tuple[TrialState, _Cause]]) -> FailureGroup:
    first, cause = members[0]
    return FailureGroup(
        cause.cause,
        cause.exception,
        tuple(state.number for state, _ in members),
        cause.file,
        cause.line,
        next((one.text for _, one in members if one.text), ""),
        first.error or "unknown error",
        first.traceback or "",
        _advice(cause, first.number),
    )


_known: dict[tuple[int, int, int], _Cause] = {}
"""The causes that were found, by hashes of their texts, which may be long: an experiment is shown again and again."""


def _cause_of(error: str, traceback: str) -> _Cause:
    """Return why a trial has failed.

    Args:
        error: the error, one line, as the event log has it.
        traceback: the full text.
    """
    key = hash(error), hash(traceback), len(traceback)
    if (cause := _known.get(key)) is None:
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        cause = _known[key] = _find_cause(error, traceback)
    return cause


def _find_cause(error: str, traceback: str) -> _Cause:
    error = _WORKER.sub("", error, count=1)
    traceback = traceback[-_MAX_TEXT:]
    file, line, text = _user_line(traceback)
    if process := _PROCESS.fullmatch(error):
        how = process["how"].removeprefix("has ").removeprefix("was ")
        if "out of memory" in how and how.startswith("killed"):
            return _Cause(MEMORY, "killed: the node was out of memory")
        if how.endswith("with its node"):
            return _Cause(NODE, how)
        return _Cause(DIED, how, file, line, text)
    named = _EXCEPTION.match(error)
    name, message = (named["name"], error[named.end() :]) if named else ("", error)
    kind = EXCEPTION
    if _NAMES_OF_MEMORY.search(name) or _MEMORY_IN_MESSAGE.search(message):
        kind = MEMORY
    elif _NAMES_OF_TIME.search(name) or (not file and _TIME_IN_MESSAGE.search(message)):
        kind = TIMEOUT
    # Without a line, messages that differ in more than numbers tell causes apart.
    return _Cause(kind, name or error[:_MAX_TITLE], file, line, text, "" if file else _NUMBER.sub("N", message)[:200])


def _user_line(traceback: str) -> tuple[str, int | None, str]:
    """Return the innermost line of the user's code in the traceback of the exception that was raised last.

    An exception that was raised while another one was handled, or from it, stands below that one. If only libraries
    have raised it, the line is that of the exception above.
    """
    starts = list(_SECTION.finditer(traceback))
    if group := next((start for start in starts if start[1]), None):
        starts = [start for start in starts if start.start() <= group.start()]  # below it are the exceptions inside
    bounds = [*(start.start() for start in starts), len(traceback)] if starts else [0, len(traceback)]
    for start, end in reversed(list(pairwise(bounds))):
        frames = [frame for frame in _FRAME.finditer(traceback, start, end) if _is_users(frame["file"])]
        if frames:
            frame = frames[-1]
            return frame["cell"] or frame["file"], int(frame["line"]), (frame["text"] or "").strip()
    return "", None, ""


def _is_users(file: str | None) -> bool:
    return file is None or _LIBRARY.search(file) is None


def _advice(cause: _Cause, trial: int) -> str:
    again = "resume(failed=True) trains the failed trials again, from their last checkpoints"
    if cause.cause == MEMORY and cause.exception.startswith("killed"):
        return (
            "Let fewer trials run at once (max_concurrent, or memory and cpus of a trial), or let a trial use less:"
            f" smaller batches, or data that is read in parts. Then {again}"
        )
    if cause.cause == MEMORY:
        return (
            "Let a trial use less memory (smaller batches or models; bounds in the space), or give it more: gpus for a"
            f" whole GPU, memory for that of the node. Then {again}"
        )
    if cause.cause == NODE:
        return f"max_failures=3 retries trials on other nodes, from their last checkpoints; {again}"
    if cause.cause == TIMEOUT:
        return f"See trials[{trial}].error for what was waited for. max_failures=3 retries trials; {again}"
    if cause.cause == DIED and cause.exception.startswith("ended itself"):
        return "Remove the call of os._exit: a trial ends with return, or fails with an exception"
    if cause.cause == DIED and cause.exception.startswith("crashed"):
        return (
            "A library that is not Python's has crashed: try another version of it, or other values of the parameters;"
            f" trials[{trial}].error shows the lines that have called it. {again[0].upper()}{again[1:]}"
        )
    if cause.cause == DIED:
        return (
            "Processes are killed when memory is used up, or by limits of a batch system: see trials"
            f"[{trial}].logs() and the system's log. max_failures=3 retries trials; {again}"
        )
    where = "the code" if cause.line is None else f"line {cause.line} of {cause.file}"
    return f'Correct {where}, see trials[{trial}].error; then resume(failed=True, code="new") goes on with the new code'
