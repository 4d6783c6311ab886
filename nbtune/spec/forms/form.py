"""The form on a space: rows of text to a cell, and to its space or to what is wrong with which field."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbtune.errors import Problem
from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.forms.form_cell import Sketch, Written, read_sketch
from nbtune.spec.forms.form_check import Findings, check_rows
from nbtune.spec.forms.form_line import line_problems, read_line, write_line
from nbtune.spec.forms.form_row import Row
from nbtune.spec.space.space import Space

__all__ = ["Checked", "Form"]

_MAGIC = "%%tune"
_MARKED = "first put right what is marked"
_INCOMPLETE = "first fill in what is still empty"
_EMPTY = "first add a parameter"


@dataclass(frozen=True)
class Checked:
    """What the rows and the line of a form come to.

    Attributes:
        space: their space, or None where a row is wrong.
        text: the whole cell, or None where anything is wrong.
        findings: what is wrong with the rows, and what may not be meant.
        line: field of the magic line -> what is wrong with it.
        general: what is wrong with no field of the form.
    """

    space: Space | None
    text: str | None
    findings: Findings
    line: dict[str, str]
    general: tuple[str, ...]

    @property
    def why_not(self) -> str:
        """Why the cell is not to be written, or an empty text."""
        wrong = [text for texts in self.findings.problems.values() for text in texts.values()]
        if all("needed" in text or "give at least" in text for text in wrong) and wrong and not self.line:
            return _INCOMPLETE
        if wrong or self.line or self.general:
            return _MARKED
        return "" if self.space is not None and len(self.space) else _EMPTY


@dataclass(frozen=True)
class Form:
    """A cell as a form shows it.

    Attributes:
        sketch: its rows and the rest of its lines.
        line: the fields of its magic line.
        magic: the line as it was typed, or None where there was none.
        namespace: the notebook's variables.
        generated: whether it ends with a body of nbtune's own, which follows the metric.
    """

    sketch: Sketch
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
            line: the fields of the magic line of a new cell, which is also given a body if it has but parameters and
                constants; None for a cell that is there.

        Raises:
            SyntaxError: the cell is no Python.
        """
        first, _, rest = text.partition("\n")
        magic = first.strip() if first.startswith(_MAGIC) else None
        sketch = read_sketch(text if magic is None else rest, namespace)
        fields = {**read_line("" if magic is None else magic.removeprefix(_MAGIC)), **(line or {})}
        generated = line is not None and all(isinstance(node, ast.Assign) for node in sketch.code)
        return cls(sketch, fields, magic, namespace, generated)

    def check(self, rows: Sequence[Row], line: Mapping[str, str]) -> Checked:
        """Check what was typed, and make a cell of it.

        Args:
            rows: the rows.
            line: the fields of the magic line.
        """
        findings = check_rows(rows, self.namespace)
        wrong = line_problems(line, self.namespace)
        if findings.problems:
            return Checked(None, None, findings, wrong, ())
        written = self.sketch.write(rows, default_body(line["metric"]) if self.generated else ())
        magic = self.magic if self.magic is not None and dict(line) == self.line else write_line(line)
        cell, found = parse_cell(written.text, self.namespace, magic=magic)
        general = _assign(found, rows, written, findings)
        names = cell.space.names if cell is not None else ()
        for row in rows if cell is not None and not found else ():
            if row.kind != "require" and not any(f"{name}/".startswith(f"{row.name}/") for name in names):
                findings.add(row, row.fields[0], "this is no parameter: a space function is needed, like uniform(0, 1)")
        if cell is None or findings.problems:
            return Checked(None, None, findings, wrong, general)
        text = None if wrong or general else f"{magic}\n{written.text}"
        return Checked(cell.space, text, findings, wrong, general)


def _assign(found: Sequence[Problem], rows: Sequence[Row], written: Written, findings: Findings) -> tuple[str, ...]:
    """Give each problem of the cell to its row; return the others."""
    general = []
    for problem in found:
        owners = [row for row in rows if problem.line is not None and _has(written.lines[row.id], problem.line)]
        if not owners:
            general.append(str(problem))
        # Of a dictionary's rows the one that is named, or the first.
        for row in [row for row in owners if problem.message.startswith(f"{row.name}: ")] or owners[:1]:
            where = "when" if row.when else (*row.fields, "name")[0]
            findings.add(row, where, problem.message.removeprefix(f"{row.name}: "))
    return tuple(general)


def _has(lines: tuple[int, int], line: int) -> bool:
    return lines[0] <= line <= lines[1]


def default_body(metric: str) -> list[str]:
    """Return the lines of a body that runs as it is and says what to put in its place."""
    name = metric or "score"
    named = f"{name}=epoch / 3" if name.isidentifier() else f"**{{{name!r}: epoch / 3}}"
    return [
        "",
        "# Put your training here. It sees the names above and the notebook's variables.",
        "for epoch in range(3):",
        f"    report({named})",
    ]
