"""The form on a space: from rows of text to a cell and its space, or to problems at their fields."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbtune.errors import Problem
from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.forms.form_cell import CellLayout, WrittenCell, read_layout
from nbtune.spec.forms.form_check import Diagnostics, check_rows
from nbtune.spec.forms.form_line import line_problems, read_line, write_line
from nbtune.spec.forms.form_row import Row
from nbtune.spec.space.space import Space

__all__ = ["Form", "FormCheck"]

_MAGIC = "%%tune"
_INVALID = "correct the marked fields first"
_INCOMPLETE = "fill in the empty fields first"
_EMPTY = "add a parameter first"


@dataclass(frozen=True)
class FormCheck:
    """The result of checking the rows and the magic line of a form.

    Attributes:
        space: the space of the rows, or None if a row is invalid.
        text: the whole cell, magic line included, or None if anything is invalid.
        diagnostics: problems and notes about the rows.
        line_problems: field of the magic line -> what is wrong with it.
        general: problems of the cell that belong to no field of the form.
    """

    space: Space | None
    text: str | None
    diagnostics: Diagnostics
    line_problems: dict[str, str]
    general: tuple[str, ...]

    @property
    def blocked_reason(self) -> str:
        """What to do before the cell can be written, or an empty text if it can be."""
        problems = [problem for of_row in self.diagnostics.problems.values() for problem in of_row.values()]
        incomplete = all(problem.code == "missing" for problem in problems)
        if incomplete and problems and not self.line_problems:
            return _INCOMPLETE
        if problems or self.line_problems or self.general:
            return _INVALID
        return "" if self.space is not None and len(self.space) else _EMPTY


@dataclass(frozen=True)
class Form:
    """A cell as a form shows it.

    Attributes:
        layout: the rows of the cell, and its other lines.
        line: the fields of its magic line, a text for each of `nbtune.spec.forms.form_line.FIELDS`.
        magic: the magic line as it was typed, or None if the cell has none.
        namespace: the notebook's variables.
        generated: whether nbtune appends a default body, which reports the metric of the magic line.
    """

    layout: CellLayout
    line: dict[str, str]
    magic: str | None
    namespace: Mapping[str, Any] = field(repr=False)
    generated: bool = False

    @classmethod
    def read(cls, text: str, namespace: Mapping[str, Any], line: Mapping[str, str] | None = None) -> Form:
        """Return the form of a cell.

        Args:
            text: the cell, with or without its ``%%tune`` line.
            namespace: the notebook's variables.
            line: for a new cell, the initial fields of its magic line; such a cell also gets a default body if it
                consists of parameters and constants only. None for an existing cell.

        Raises:
            SyntaxError: the cell is not valid Python.
        """
        first, _, rest = text.partition("\n")
        magic = first.strip() if first.startswith(_MAGIC) else None
        layout = read_layout(text if magic is None else rest, namespace)
        fields = {**read_line("" if magic is None else magic.removeprefix(_MAGIC)), **(line or {})}
        generated = line is not None and all(isinstance(node, ast.Assign) for node in layout.code)
        return cls(layout, fields, magic, namespace, generated)

    def check(self, rows: Sequence[Row], line: Mapping[str, str]) -> FormCheck:
        """Validate edited rows and fields, and write the cell that they describe.

        Args:
            rows: all rows in their new order. A row with the id of one that was read replaces that one.
            line: the fields of the magic line.
        """
        diagnostics = check_rows(rows, self.namespace)
        invalid_fields = line_problems(line, self.namespace)
        if diagnostics.problems:
            return FormCheck(None, None, diagnostics, invalid_fields, ())
        written = self.layout.write(rows, default_body(line["metric"]) if self.generated else ())
        magic = self.magic if self.magic is not None and dict(line) == self.line else write_line(line)
        cell, problems = parse_cell(written.text, self.namespace, magic=magic)
        general = _assign_to_rows(problems, rows, written, diagnostics)
        names = cell.space.names if cell is not None else ()
        for row in rows if cell is not None and not problems else ():
            if row.kind != "require" and not any(f"{name}/".startswith(f"{row.name}/") for name in names):
                problem = Problem("expected a space function, such as uniform(0, 1)")
                diagnostics.add(row, row.fields[0], problem)
        if cell is None or diagnostics.problems:
            return FormCheck(None, None, diagnostics, invalid_fields, general)
        text = None if invalid_fields or general else f"{magic}\n{written.text}"
        return FormCheck(cell.space, text, diagnostics, invalid_fields, general)


def _assign_to_rows(
    problems: Sequence[Problem], rows: Sequence[Row], written: WrittenCell, diagnostics: Diagnostics
) -> tuple[str, ...]:
    """Add each problem of the cell to the row on its line; return the problems that belong to no row."""
    general = []
    for problem in problems:
        owners = [row for row in rows if problem.line is not None and _contains(written.lines[row.id], problem.line)]
        if not owners:
            general.append(problem.render("line"))
        # Of the rows of one dictionary, the row that the problem is about, otherwise the first.
        for row in [row for row in owners if problem.parameter == row.name] or owners[:1]:
            diagnostics.add(row, "when" if row.when else (*row.fields, "name")[0], problem)
    return tuple(general)


def _contains(lines: tuple[int, int], line: int) -> bool:
    return lines[0] <= line <= lines[1]


def default_body(metric: str) -> list[str]:
    """Return the lines of a placeholder body that runs as it is.

    Args:
        metric: the metric that the body reports, or several, "accuracy,latency"; "score" if empty.
    """
    names = [name.strip() for name in metric.split(",") if name.strip()] or ["score"]
    if all(name.isidentifier() for name in names):
        argument = ", ".join(f"{name}=epoch / 3" for name in names)
    else:
        argument = f"**{{{', '.join(f'{name!r}: epoch / 3' for name in names)}}}"
    return [
        "",
        "# Put your training here. It sees the names above and the notebook's variables.",
        "for epoch in range(3):",
        f"    report({argument})",
    ]
