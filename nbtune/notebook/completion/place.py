"""Where the cursor is: on a line of ``%%tune``, ``%tune`` or ``%config NbTune``, or in a cell with ``%%tune``."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Place", "locate"]

_CELL = re.compile(r"\s*%%tune(?=\s)")
_LINE = re.compile(r"\s*(?:[^\s=%'\"#!?][^=%'\"#!?]*=\s*)?%tune(?=\s)")
_CONFIG = re.compile(r"\s*%config\s+NbTune\.\w+\s*=")


@dataclass(frozen=True)
class Place:
    """The place of the cursor.

    Attributes:
        kind: "cell" for the line of ``%%tune``, "line" for one of ``%tune``, "config" for ``%config NbTune.NAME =``,
            "body" for the code of a cell with ``%%tune``.
        before: the text up to the cursor: of the line after the name of the magic, or of the body.
        after: the rest: of the line, or of the body.
        magic: the line of ``%%tune`` after the name of the magic; empty elsewhere.
        body: the code of a cell with ``%%tune``.
    """

    kind: str
    before: str
    after: str
    magic: str = ""
    body: str = ""


def locate(text: str, line: int, column: int) -> Place | None:
    """Return the place of the cursor; None where nbtune completes nothing.

    Args:
        text: the text of the cell.
        line: the line of the cursor, from 0.
        column: its column.
    """
    lines = text.split("\n")
    if not 0 <= line < len(lines):
        return None
    present = lines[line]
    column = max(0, min(column, len(present)))
    first = _first(lines)
    if first is not None and (magic := _CELL.match(f"{lines[first]} ")):
        body = "\n".join(lines[first + 1 :])
        rest = lines[first][magic.end() :]
        if line > first:
            before = "\n".join([*lines[first + 1 : line], present[:column]])
            return Place("body", before, body[len(before) :], rest, body)
        if line == first and column > magic.end():
            return Place("cell", present[magic.end() : column], present[column:], rest, body)
        return None
    return _on_line(lines, line, column)


def _first(lines: list[str]) -> int | None:
    """Return the first line with text. Other cell magics may stand above ``%%tune``, such as ``%%time``."""
    for number, line in enumerate(lines):
        if line.strip() and (_CELL.match(f"{line} ") or not line.startswith("%%")):
            return number
    return None


def _on_line(lines: list[str], line: int, column: int) -> Place | None:
    """Return the place on a line in ordinary code. A backslash at its end continues a line of ``%tune``."""
    before, start = lines[line][:column], line
    while start > 0 and lines[start - 1].rstrip().endswith("\\"):
        start -= 1
    if start < line:
        before = " ".join([*(one.rstrip()[:-1] for one in lines[start:line]), before])
    after = lines[line][column:]
    for kind, pattern in (("line", _LINE), ("config", _CONFIG)):
        if magic := pattern.match(before):
            return Place(kind, before[magic.end() :], after)
    return None
