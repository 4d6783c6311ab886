"""A cell's text as the rows of a form, and back: what the form does not change stays as it was typed."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nbtune.spec.cell.declared import declarations
from nbtune.spec.forms.form_nested import entries, grouped, statement
from nbtune.spec.forms.form_row import Row, constraint_row, parameter_row

__all__ = ["CellLayout", "WrittenCell", "read_layout"]


@dataclass(frozen=True)
class WrittenCell:
    """A cell's text below its magic line, and where its rows are.

    Attributes:
        text: the text.
        lines: a row's id -> its first and last line, counted from 1, which is the magic line.
    """

    text: str
    lines: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class CellLayout:
    """A cell in its parts.

    Attributes:
        rows: its parameters and constraints.
        body: the lines after the last of them.
        between: the lines between them: after how many rows they stand, and they.
        known: a row's id -> the row as it was read.
        statements: the ids of a statement's rows -> its lines, and the comments above them.
        code: the statements that are no rows.
    """

    rows: tuple[Row, ...] = ()
    body: tuple[str, ...] = ()
    between: tuple[tuple[int, tuple[str, ...]], ...] = ()
    known: dict[str, Row] = field(default_factory=dict)
    statements: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    code: tuple[ast.stmt, ...] = ()

    def write(self, rows: Sequence[Row], more: Sequence[str] = ()) -> WrittenCell:
        """Return the cell with other rows.

        Args:
            rows: in their new order; those with the id of one that was read take its place.
            more: lines after its own.
        """
        lines: list[str] = []
        places: dict[str, tuple[int, int]] = {}
        waiting, before = list(self.between), 0
        for group in grouped(rows):
            while waiting and waiting[0][0] <= before:
                lines += waiting.pop(0)[1]
            before += len(group)
            ids = tuple(row.id for row in group)
            known = next((key for key in self.statements if set(key) & set(ids)), ())
            own, above = self.statements.get(known, ((), ()))
            changed = known != ids or any(row != self.known[row.id] for row in group)
            text = (statement(group) + _comment(own),) if changed else own
            lines += above
            # Line 1 is the magic line.
            places |= dict.fromkeys(ids, (len(lines) + 2, len(lines) + 1 + len(text)))
            lines += text
        for _, code in waiting:
            lines += code
        if lines and lines[-1].strip() and self.body and self.body[0].strip() and not self.known:
            lines.append("")
        lines += self.body
        if lines and not lines[-1].strip() and more and not more[0]:
            more = more[1:]  # one empty line is enough
        return WrittenCell("\n".join([*lines, *more]), places)


def read_layout(text: str, namespace: Mapping[str, Any]) -> CellLayout:
    """Take a cell apart.

    Args:
        text: the cell below its magic line.
        namespace: the notebook's variables.

    Raises:
        SyntaxError: it is no Python.
    """
    text, tree, declared = _one_a_line(text.replace("\r\n", "\n"), namespace)
    lines = text.split("\n")
    rows: list[Row] = []
    between: list[tuple[int, tuple[str, ...]]] = []
    statements: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = {}
    at = 0
    for node in declared:
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        above = first
        while above > at and lines[above - 1].lstrip().startswith("#"):
            above -= 1
        if above > at:
            between.append((len(rows), tuple(lines[at:above])))
        found = [replace(row, id=f"r{len(rows) + place}") for place, row in enumerate(_rows_of(node, text))]
        statements[tuple(row.id for row in found)] = (tuple(lines[first:last]), tuple(lines[above:first]))
        rows += found
        at = last
    body = tuple(lines[at:]) if text else ()
    code = tuple(node for node in tree.body if node not in declared)
    return CellLayout(tuple(rows), body, tuple(between), {row.id: row for row in rows}, statements, code)


def _rows_of(node: ast.stmt, source: str) -> list[Row]:
    """Return the rows of a statement: one, or those of a dictionary of parameters."""
    if isinstance(node, ast.Expr):
        return [constraint_row(node, source)]
    assert isinstance(node, ast.AnnAssign)
    assert isinstance(node.target, ast.Name)
    found = entries(node) or [(node.target.id, node.annotation, node.value)]
    return [parameter_row(*entry, source) for entry in found]


def _one_a_line(text: str, namespace: Mapping[str, Any]) -> tuple[str, ast.Module, list[ast.stmt]]:
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
    return text, tree, found


def _comment(lines: Sequence[str]) -> str:
    """Return the comment behind a row's last line, with the spaces before it."""
    if not lines or "#" not in lines[-1]:
        return ""
    end = ast.parse("\n".join(lines)).body[0].end_col_offset or 0
    rest = lines[-1].encode()[end:].decode()
    return f"  {rest.strip()}" if rest.strip().startswith("#") else ""
