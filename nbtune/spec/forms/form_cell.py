"""A cell as the rows of a form, and back. Lines that the form does not change keep their text."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nbtune.bad_input import parse_code
from nbtune.spec.cell.declared import declarations
from nbtune.spec.forms.form_nested import dictionary_entries, group_rows, write_statement
from nbtune.spec.forms.form_row import Row, constraint_row, parameter_row

__all__ = ["CellLayout", "WrittenCell", "read_layout"]


@dataclass(frozen=True)
class WrittenCell:
    """The text of a cell, and the lines of its rows.

    Attributes:
        text: the cell without its magic line.
        lines: a row's id -> its first and last line. Line 1 is the magic line.
    """

    text: str
    lines: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class CellLayout:
    """A cell split into rows and other lines.

    Attributes:
        rows: the parameters and constraints.
        body: the lines after the last row.
        other_lines: the lines between the rows, as pairs: the number of rows before them, and the lines.
        rows_by_id: a row's id -> the row as it was read.
        statements: the ids of the rows of a statement -> its lines, and the comment lines directly above it.
        code: the statements that are not rows.
    """

    rows: tuple[Row, ...] = ()
    body: tuple[str, ...] = ()
    other_lines: tuple[tuple[int, tuple[str, ...]], ...] = ()
    rows_by_id: dict[str, Row] = field(default_factory=dict)
    statements: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    code: tuple[ast.stmt, ...] = ()

    def write(self, rows: Sequence[Row], extra_lines: Sequence[str] = ()) -> WrittenCell:
        """Return the cell with other rows.

        Args:
            rows: all rows in their new order. A row with the id of one that was read replaces that one.
            extra_lines: lines to append.
        """
        lines: list[str] = []
        places: dict[str, tuple[int, int]] = {}
        pending, rows_written = list(self.other_lines), 0
        for group in group_rows(rows):
            while pending and pending[0][0] <= rows_written:
                lines += pending.pop(0)[1]
            rows_written += len(group)
            ids = tuple(row.id for row in group)
            original_ids = next((key for key in self.statements if set(key) & set(ids)), ())
            original, comments = self.statements.get(original_ids, ((), ()))
            changed = original_ids != ids or any(row != self.rows_by_id[row.id] for row in group)
            text = (write_statement(group) + _trailing_comment(original),) if changed else original
            lines += comments
            # Line 1 is the magic line.
            places |= dict.fromkeys(ids, (len(lines) + 2, len(lines) + 1 + len(text)))
            lines += text
        for _, code in pending:
            lines += code
        if lines and lines[-1].strip() and self.body and self.body[0].strip() and not self.rows_by_id:
            lines.append("")
        lines += self.body
        if lines and not lines[-1].strip() and extra_lines and not extra_lines[0]:
            extra_lines = extra_lines[1:]  # no two empty lines in a row
        return WrittenCell("\n".join([*lines, *extra_lines]), places)


def read_layout(text: str, namespace: Mapping[str, Any]) -> CellLayout:
    """Split a cell into rows and other lines.

    Args:
        text: the cell without its magic line.
        namespace: the notebook's variables; a `require` among them is not nbtune's.

    Raises:
        SyntaxError: the cell is not valid Python.
    """
    text, tree, declared = _split_lines(text.replace("\r\n", "\n"), namespace)
    lines = text.split("\n")
    rows: list[Row] = []
    other_lines: list[tuple[int, tuple[str, ...]]] = []
    statements: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = {}
    position = 0  # the first line that is not in the result yet
    for node in declared:
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        above = first
        while above > position and lines[above - 1].lstrip().startswith("#"):
            above -= 1
        if above > position:
            other_lines.append((len(rows), tuple(lines[position:above])))
        group = [replace(row, id=f"r{number}") for number, row in enumerate(_statement_rows(node, text), len(rows))]
        statements[tuple(row.id for row in group)] = (tuple(lines[first:last]), tuple(lines[above:first]))
        rows += group
        position = last
    body = tuple(lines[position:]) if text else ()
    code = tuple(node for node in tree.body if node not in declared)
    return CellLayout(tuple(rows), body, tuple(other_lines), {row.id: row for row in rows}, statements, code)


def _statement_rows(node: ast.stmt, source: str) -> list[Row]:
    """Return the rows of a statement: one, or those of a dictionary of parameters."""
    if isinstance(node, ast.Expr):
        return [constraint_row(node, source)]
    assert isinstance(node, ast.AnnAssign)
    assert isinstance(node.target, ast.Name)
    entries = dictionary_entries(node) or [(node.target.id, node.annotation, node.value)]
    return [parameter_row(*entry, source) for entry in entries]


def _split_lines(text: str, namespace: Mapping[str, Any]) -> tuple[str, ast.Module, list[ast.stmt]]:
    """Put each declaration on lines of its own where `;` joins statements; return text, tree and declarations."""
    tree = parse_code(text)
    declared = declarations(tree.body, namespace)
    for first, second in itertools.pairwise(tree.body):
        if first.end_lineno == second.lineno and (first in declared or second in declared):
            lines = text.split("\n")
            line = lines[second.lineno - 1].encode()  # `ast` counts columns in bytes
            before, after = line[: first.end_col_offset], line[second.col_offset :]
            lines[second.lineno - 1 : second.lineno] = [before.decode(), after.decode()]
            return _split_lines("\n".join(lines), namespace)
    return text, tree, declared


def _trailing_comment(lines: Sequence[str]) -> str:
    """Return the comment at the end of a statement's last line, with two spaces before it; empty if there is none."""
    if not lines or "#" not in lines[-1]:
        return ""
    end = ast.parse("\n".join(lines)).body[0].end_col_offset or 0
    tail = lines[-1].encode()[end:].decode().strip()
    return f"  {tail}" if tail.startswith("#") else ""
