"""A cell's text as the rows of a form, and back: what the form does not change stays as it was typed."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nbtune.spec.declared import declarations
from nbtune.spec.form_row import Row, row_of

__all__ = ["Sketch", "Written", "read_sketch"]


@dataclass(frozen=True)
class Written:
    """A cell's text below its magic line, and where its rows are.

    Attributes:
        text: the text.
        lines: a row's id -> its first and last line, counted from 1, which is the magic line.
    """

    text: str
    lines: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Sketch:
    """A cell in its parts.

    Attributes:
        rows: its parameters and constraints.
        body: the lines after the last of them.
        between: the lines between them: after how many rows they stand, and they.
        known: a row's id -> the row as it was read, its lines, and the comments above them.
    """

    rows: tuple[Row, ...] = ()
    body: tuple[str, ...] = ()
    between: tuple[tuple[int, tuple[str, ...]], ...] = ()
    known: dict[str, tuple[Row, tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)

    def write(self, rows: Sequence[Row], body: Sequence[str] | None = None) -> Written:
        """Return the cell with other rows.

        Args:
            rows: in their new order; those with the id of one that was read take its place.
            body: in place of its own, or None.
        """
        lines: list[str] = []
        places: dict[str, tuple[int, int]] = {}
        waiting = list(self.between)
        for position, row in enumerate(rows):
            while waiting and waiting[0][0] <= position:
                lines += waiting.pop(0)[1]
            known, own, above = self.known.get(row.id, (None, (), ()))
            text = own if row == known else (row.text() + _comment(own),)
            lines += above
            places[row.id] = (len(lines) + 2, len(lines) + 1 + len(text))  # line 1 is the magic line
            lines += text
        for _, more in waiting:
            lines += more
        rest = self.body if body is None else body
        if lines and lines[-1].strip() and rest and rest[0].strip() and not self.known:
            lines.append("")
        return Written("\n".join([*lines, *rest]), places)


def read_sketch(text: str, namespace: Mapping[str, Any]) -> Sketch:
    """Take a cell apart.

    Args:
        text: the cell below its magic line.
        namespace: the notebook's variables.

    Raises:
        SyntaxError: it is no Python.
    """
    text, statements = _one_a_line(text.replace("\r\n", "\n"), namespace)
    lines = text.split("\n")
    rows: list[Row] = []
    between: list[tuple[int, tuple[str, ...]]] = []
    known: dict[str, tuple[Row, tuple[str, ...], tuple[str, ...]]] = {}
    at = 0
    for node in statements:
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        above = first
        while above > at and lines[above - 1].lstrip().startswith("#"):
            above -= 1
        if above > at:
            between.append((len(rows), tuple(lines[at:above])))
        row = replace(row_of(node, text), id=f"r{len(rows)}")
        known[row.id] = (row, tuple(lines[first:last]), tuple(lines[above:first]))
        rows.append(row)
        at = last
    return Sketch(tuple(rows), tuple(lines[at:]), tuple(between), known)


def _one_a_line(text: str, namespace: Mapping[str, Any]) -> tuple[str, list[ast.stmt]]:
    """Return the text with each row on lines of its own, where `;` has put several statements on one, and the rows."""
    tree = ast.parse(text)
    found = declarations(tree.body, namespace)
    for one, other in itertools.pairwise(tree.body):
        if one.end_lineno == other.lineno and (one in found or other in found):
            lines = text.split("\n")
            line = lines[other.lineno - 1].encode()
            before, after = line[: one.end_col_offset], line[other.col_offset :]
            lines[other.lineno - 1 : other.lineno] = [before.decode(), after.decode()]
            return _one_a_line("\n".join(lines), namespace)
    return text, found


def _comment(lines: Sequence[str]) -> str:
    """Return the comment behind a row's last line, with the spaces before it."""
    if not lines or "#" not in lines[-1]:
        return ""
    end = ast.parse("\n".join(lines)).body[0].end_col_offset or 0
    rest = lines[-1].encode()[end:].decode()
    return f"  {rest.strip()}" if rest.strip().startswith("#") else ""
