"""Validates the rows of a form: every problem is reported at the field that causes it."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbtune.errors import did_you_mean
from nbtune.spec.cell.parse import HELPERS
from nbtune.spec.forms.form_row import ARGUMENTS, Row, parse_field
from nbtune.spec.options.options import OPTIONS
from nbtune.spec.space.domain import SPACE_FUNCTIONS, Domain, number_problem
from nbtune.spec.space.expression import MATH, ast_names
from nbtune.spec.space.space import top_level
from nbtune.spec.space.values import same

__all__ = ["Diagnostics", "check_rows"]

_REQUIRED = {
    "lower": "a number is needed",
    "upper": "a number is needed",
    "values": "give at least one value; separate values by commas",
    "expression": "an expression is needed",
}
_NUMBERS = ("lower", "upper", "step", "mean", "sd")


@dataclass
class Diagnostics:
    """Problems and notes about the rows of a form.

    Attributes:
        problems: a row's id -> field -> what is wrong. A row with a problem defines no parameter.
        notes: a row's id -> field -> a hint about a value that is allowed but may not be intended.
    """

    problems: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, row: Row, field: str, problem: str) -> None:
        """Add a problem, unless the field has one already.

        Args:
            row: the row that has the problem.
            field: the name of its field.
            problem: what is wrong, as one sentence.
        """
        self.problems.setdefault(row.id, {}).setdefault(field, problem)


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


def _name_problem(name: str, earlier: Sequence[str]) -> str | None:
    if not name:
        return "a name is needed"
    first, *rest = name.split("/")
    try:
        OPTIONS["name"].read(first)
    except ValueError as error:
        return str(error)
    if not all(rest):
        return f"{name!r}: a name is needed on each side of a /"
    if first in HELPERS:
        return f"{first} is a name that nbtune defines in a trial; choose another"
    if any(f"{name}/".startswith(f"{other}/") or f"{other}/".startswith(f"{name}/") for other in earlier if other):
        return f"a parameter named {name} already exists"
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
            diagnostics.add(row, name, _REQUIRED[name])
        if not text:
            continue
        try:
            node = _parse_values(text) if name == "values" else parse_field(text)
            used = ast_names(node)
            _check_names(node, used, name, row, parameters, namespace)
            if name not in ("expression", "when", "otherwise") and not used & others:
                values[name] = _evaluate(node, namespace)
        except ValueError as error:
            diagnostics.add(row, name, str(error))
        except SyntaxError as error:
            diagnostics.add(row, name, f"{text} cannot be read: {error.msg}")
    if row.function is not None:
        _check_domain(row, row.function, values, diagnostics)


def _parse_values(text: str) -> ast.expr:
    """Return the list that the text of a `values` field stands for; the brackets may be typed or not."""
    node = ast.parse(f"[{text}]", mode="eval").body
    if not isinstance(node, ast.List):
        raise SyntaxError("expected values separated by commas")
    only = node.elts[0] if len(node.elts) == 1 else None
    return only if isinstance(only, (ast.List, ast.ListComp)) else node


def _check_names(
    node: ast.expr, used: set[str], field: str, row: Row, parameters: frozenset[str], namespace: Mapping[str, Any]
) -> None:
    """Raise ValueError if a field uses an undefined name, or the row's own parameter."""
    own = top_level(row.name)
    if own and own in used and own not in namespace:
        raise ValueError(f"{own} cannot depend on itself")
    if field == "expression":
        return  # it may bind names itself, in a lambda for instance: `parse_cell` checks it
    unknown = sorted(used - parameters - set(namespace) - set(dir(builtins)) - set(SPACE_FUNCTIONS) - set(MATH))
    if not unknown:
        return
    hint = did_you_mean(unknown[0], {*parameters, *(name for name in namespace if not name.startswith("_"))})
    if field in _NUMBERS and isinstance(node, ast.Name):
        raise ValueError(f"{unknown[0]} is neither a number nor the name of a variable or parameter{hint}")
    if field in ("values", "default", "otherwise") and not hint:
        hint = f"; text goes in quotes: {unknown[0]!r}"
    raise ValueError(f"no variable or parameter is named {unknown[0]}{hint}")


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
        if problem := number_problem(function, name, arguments[name]):
            diagnostics.add(row, field_name, _in_form_terms(problem.removeprefix(f"{function}: ")))
    if len(arguments) < len(fields) or row.id in diagnostics.problems:
        return
    domain = Domain(function, arguments)
    invalid = domain.argument_problem()
    if invalid is not None:
        argument, message = invalid
        diagnostics.add(row, fields[argument], _in_form_terms(message.removeprefix(f"{domain!r}: ")))
    elif "default" in values and (note := _default_note(row, domain, values["default"])):
        diagnostics.notes.setdefault(row.id, {})["default"] = note


def _in_form_terms(text: str) -> str:
    """Return a message about arguments with the form's name of the field: "step" for Ray Tune's `q`."""
    return re.sub(r"\bq\b", "step", text)


def _default_note(row: Row, domain: Domain, default: Any) -> str | None:
    """Return a note if the default lies outside the domain, so that no trial would draw it."""
    if domain.kind in ("choice", "grid_search"):
        values = domain.values or []
        return None if any(same(default, value) or default == value for value in values) else "none of the values"
    if "lower" not in domain.arguments or isinstance(default, bool) or not isinstance(default, (int, float)):
        return None
    lower, upper = domain.arguments["lower"], domain.arguments["upper"]
    return None if lower <= default <= upper else f"outside {row.lower} to {row.upper}"
