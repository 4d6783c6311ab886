"""Validates the rows of a form: every problem is reported at the field that causes it."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbtune.bad_input import NESTED, parse_expression, shortened
from nbtune.errors import Problem, did_you_mean
from nbtune.spec.cell.parse import HELPERS
from nbtune.spec.forms.form_row import ARGUMENTS, Row, parse_field
from nbtune.spec.options.options import OPTIONS
from nbtune.spec.space.arguments import number_problem
from nbtune.spec.space.domain import SPACE_FUNCTIONS, Domain
from nbtune.spec.space.expression import MATH, ast_names
from nbtune.spec.space.space import top_level
from nbtune.spec.space.values import same

__all__ = ["Diagnostics", "check_rows"]

_REQUIRED = {
    "lower": "expected a number",
    "upper": "expected a number",
    "values": "expected at least one value; separate values by commas",
    "expression": "expected an expression",
}
_NUMBERS = ("lower", "upper", "step", "mean", "sd")


@dataclass
class Diagnostics:
    """Problems and notes about the rows of a form.

    Attributes:
        problems: a row's id -> field -> its problem. A row with a problem defines no parameter.
        notes: a row's id -> field -> a hint about a value that is allowed but may not be intended.
    """

    problems: dict[str, dict[str, Problem]] = field(default_factory=dict)
    notes: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, row: Row, field: str, problem: Problem) -> None:
        """Add a problem, unless the field has one already.

        Args:
            row: the row that has the problem.
            field: the name of its field.
            problem: the problem.
        """
        self.problems.setdefault(row.id, {}).setdefault(field, problem)

    def messages(self) -> dict[str, dict[str, str]]:
        """Return the problems as the form shows them at its fields: a row's id -> field -> message."""
        return {
            row: {name: problem.render("line", subject=False, line=False) for name, problem in of_row.items()}
            for row, of_row in self.problems.items()
        }


def check_rows(rows: Sequence[Row], namespace: Mapping[str, Any]) -> Diagnostics:
    """Validate each row by itself, and that the names of the rows are unique.

    `nbtune.spec.cell.parse.parse_cell` checks the rows together, cyclic dependencies for instance.

    Args:
        rows: the rows of a form, in order.
        namespace: the notebook's variables, which fields may use.
    """
    diagnostics = Diagnostics()
    parameters = frozenset(top_level(row.name) for row in rows if row.kind != "require") - {""}
    earlier: list[str] = []
    for row in rows:
        if row.kind != "require":
            if problem := _name_problem(row.name, earlier):
                diagnostics.add(row, "name", problem)
            earlier.append(row.name)
        _check_fields(row, namespace, parameters, diagnostics)
    return diagnostics


def _name_problem(name: str, earlier: Sequence[str]) -> Problem | None:
    if not name:
        return Problem("expected a name", code="missing")
    first, *keys = name.split("/")
    try:
        OPTIONS["name"].read(first)
    except ValueError as error:
        return Problem(str(error))
    if not all(keys):
        return Problem(f"expected a name on each side of a /, got {name!r}", code="missing")
    if first in HELPERS:
        return Problem(f"{first} is a name that nbtune defines in a trial; choose another", code="conflict")
    if any(f"{name}/".startswith(f"{other}/") or f"{other}/".startswith(f"{name}/") for other in earlier if other):
        return Problem(f"a parameter named {name} already exists", code="repeated")
    return None


def _check_fields(row: Row, namespace: Mapping[str, Any], parameters: frozenset[str], diagnostics: Diagnostics) -> None:
    """Check the fields of a row one by one, then its numbers and values together."""
    values: dict[str, Any] = {}
    own = top_level(row.name)
    # `batch: choice([batch, 2 * batch])` means the notebook's `batch`.
    others = parameters - {own} if own in namespace else parameters
    for name in (*row.fields, "when", "otherwise", "default"):
        text = getattr(row, name)
        if not text and name in _REQUIRED:
            diagnostics.add(row, name, Problem(_REQUIRED[name], code="missing"))
        if not text:
            continue
        try:
            node = _parse_values(text) if name == "values" else parse_field(text)
            used = ast_names(node)
            problem = _name_use_problem(node, used, name, row, parameters, namespace)
            if problem is not None:
                diagnostics.add(row, name, problem)
            elif name not in ("expression", "when", "otherwise") and not used & others:
                values[name] = _evaluate(node, namespace)
        except ValueError as error:
            diagnostics.add(row, name, Problem(str(error)))
        except RecursionError:
            diagnostics.add(row, name, Problem(NESTED, code="syntax"))
        except SyntaxError as error:
            diagnostics.add(row, name, Problem(f"{shortened(text)} cannot be read: {error.msg}", code="syntax"))
    if row.function is not None:
        _check_domain(row, row.function, values, diagnostics)


def _parse_values(text: str) -> ast.expr:
    """Return the list that the text of a `values` field stands for; the brackets may be typed or not."""
    node = parse_expression(f"[{text}]")
    if not isinstance(node, ast.List):
        raise SyntaxError("expected values separated by commas")
    only = node.elts[0] if len(node.elts) == 1 else None
    return only if isinstance(only, (ast.List, ast.ListComp)) else node


def _name_use_problem(
    node: ast.expr, used: set[str], field: str, row: Row, parameters: frozenset[str], namespace: Mapping[str, Any]
) -> Problem | None:
    """Return the problem of a field that uses an undefined name, or the row's own parameter."""
    own = top_level(row.name)
    if own and own in used and own not in namespace:
        return Problem(f"{own} cannot depend on itself", code="conflict")
    if field == "expression":
        return None  # it may bind names itself, in a lambda for instance: `parse_cell` checks it
    unknown = sorted(used - parameters - set(namespace) - set(dir(builtins)) - set(SPACE_FUNCTIONS) - set(MATH))
    if not unknown:
        return None
    hint = did_you_mean(unknown[0], {*parameters, *(name for name in namespace if not name.startswith("_"))})
    if field in _NUMBERS and isinstance(node, ast.Name):
        text = f"{unknown[0]} is neither a number nor the name of a variable or parameter{hint}"
        return Problem(text, code="unknown")
    if field in ("values", "default", "otherwise") and not hint:
        hint = f"; text goes in quotes: {unknown[0]!r}"
    return Problem(f"no variable or parameter is named {unknown[0]}{hint}", code="unknown")


def _evaluate(node: ast.expr, namespace: Mapping[str, Any]) -> Any:
    try:
        return eval(compile(ast.Expression(node), "<field>", "eval"), dict(namespace))
    except Exception as error:  # the user's expression may raise anything
        raise ValueError(f"{ast.unparse(node)} cannot be evaluated: {type(error).__name__}: {error}") from None


def _check_domain(row: Row, function: str, values: Mapping[str, Any], diagnostics: Diagnostics) -> None:
    """Apply the cell language's checks to the arguments of the space function: each by itself, then all together."""
    fields = {name: ARGUMENTS.get(name, name) for name in row.arguments()}
    arguments: dict[str, Any] = {}
    for name, field_name in fields.items():
        if field_name in values:
            arguments[name] = values[field_name]
        elif not getattr(row, field_name) and row.kind == "normal":
            arguments[name] = {"mean": 0.0, "sd": 1.0}[name]
        if name not in arguments or field_name == "values":
            continue
        if message := number_problem(function, arguments[name]):
            diagnostics.add(row, field_name, Problem(message))
    if len(arguments) < len(fields) or row.id in diagnostics.problems:
        return
    domain = Domain(function, arguments)
    invalid = domain.invalid_argument(fields)
    if invalid is not None:
        diagnostics.add(row, fields[invalid.name], Problem(invalid.message, code=invalid.code))
    elif "default" in values and (note := _default_note(row, domain, values["default"])):
        diagnostics.notes.setdefault(row.id, {})["default"] = note


def _default_note(row: Row, domain: Domain, default: Any) -> str | None:
    """Return a note if the default lies outside the domain, so that no trial would draw it."""
    if domain.kind in ("choice", "grid_search"):
        values = domain.values or []
        return None if any(same(default, value) or default == value for value in values) else "none of the values"
    if "lower" not in domain.arguments or isinstance(default, bool) or not isinstance(default, (int, float)):
        return None
    lower, upper = domain.arguments["lower"], domain.arguments["upper"]
    return None if lower <= default <= upper else f"outside {row.lower} to {row.upper}"
