"""What is wrong with the rows of a form, said of the field that it is about."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbtune.errors import did_you_mean
from nbtune.spec.cell.parse import HELPERS
from nbtune.spec.forms.form_row import ARGUMENTS, Row, written_alone
from nbtune.spec.options.options import OPTIONS
from nbtune.spec.space.domain import SPACE_FUNCTIONS, Domain, number_problem
from nbtune.spec.space.expression import MATH, ast_names
from nbtune.spec.space.space import top_level
from nbtune.spec.space.values import same

__all__ = ["Findings", "check_rows"]

_NEEDED = {
    "lower": "a number is needed",
    "upper": "a number is needed",
    "values": "give at least one value; commas stand between them",
    "expression": "an expression is needed",
}
_NUMBERS = ("lower", "upper", "step", "mean", "sd")


@dataclass
class Findings:
    """What was found.

    Attributes:
        problems: a row's id -> field -> what is wrong; such a row is no parameter.
        notes: the same, of what is allowed but may not be meant.
    """

    problems: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, row: Row, where: str, problem: str) -> None:
        """Add a problem; the first of a field stays."""
        self.problems.setdefault(row.id, {}).setdefault(where, problem)


def check_rows(rows: Sequence[Row], namespace: Mapping[str, Any]) -> Findings:
    """Check each row for itself, and its name among the others.

    What the rows say together is the cell language's to check: see `nbtune.spec.cell.parse.parse_cell`.

    Args:
        rows: the rows of a form.
        namespace: the notebook's variables.
    """
    found = Findings()
    names = [row.name for row in rows if row.kind != "require"]
    tops = frozenset(map(top_level, names)) - {""}
    for position, row in enumerate(rows):
        if row.kind != "require" and (wrong := _name_problem(row.name, names[: _before(rows, position)])):
            found.add(row, "name", wrong)
        _check(row, namespace, tops, found)
    return found


def _before(rows: Sequence[Row], position: int) -> int:
    return sum(row.kind != "require" for row in rows[:position])


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
        return f"{first} is nbtune's own name in a trial; take another"
    if any(f"{name}/".startswith(f"{other}/") or f"{other}/".startswith(f"{name}/") for other in earlier if other):
        return f"there is a parameter {name} already"
    return None


def _check(row: Row, namespace: Mapping[str, Any], names: frozenset[str], found: Findings) -> None:
    """Check the fields of a row one by one, then its numbers and values together."""
    values: dict[str, Any] = {}
    own = top_level(row.name)
    others = names - {own} if own in namespace else names  # its own name may mean the notebook's
    for where in (*row.fields, "when", "otherwise", "default"):
        text = getattr(row, where)
        if not text and where in _NEEDED:
            found.add(row, where, _NEEDED[where])
        if not text:
            continue
        try:
            node = _list(text) if where == "values" else written_alone(text)
            used = ast_names(node)
            _refuse_unknown(node, used, where, row, names, namespace)
            if where not in ("expression", "when", "otherwise") and not used & others:
                values[where] = _evaluated(node, namespace)
        except ValueError as error:
            found.add(row, where, str(error))
        except SyntaxError as error:
            found.add(row, where, f"{text} cannot be read: {error.msg}")
    if row.function is not None:
        _check_domain(row, row.function, values, found)


def _list(text: str) -> ast.expr:
    """Return the list of a field's values."""
    node = ast.parse(f"[{text}]", mode="eval").body
    if not isinstance(node, ast.List):
        raise SyntaxError("values with commas between them are needed")
    only = node.elts[0] if len(node.elts) == 1 else None
    return only if isinstance(only, (ast.List, ast.ListComp)) else node


def _refuse_unknown(
    node: ast.expr, used: set[str], where: str, row: Row, names: frozenset[str], namespace: Mapping[str, Any]
) -> None:
    """Raise ValueError where a field uses a name that is nowhere, or its own parameter's."""
    own = top_level(row.name)
    if own and own in used and own not in namespace:
        raise ValueError(f"{own} cannot depend on itself")
    if where == "expression":
        return  # the cell language's to judge: it may bring names of its own
    unknown = sorted(used - names - set(namespace) - set(dir(builtins)) - set(SPACE_FUNCTIONS) - set(MATH))
    if not unknown:
        return
    hint = did_you_mean(unknown[0], {*names, *(name for name in namespace if not name.startswith("_"))})
    if where in _NUMBERS and isinstance(node, ast.Name):
        raise ValueError(f"{unknown[0]} is no number, and no variable or parameter{hint}")
    if where in ("values", "default", "otherwise") and not hint:
        hint = f"; text goes in quotes: {unknown[0]!r}"
    raise ValueError(f"there is no variable or parameter {unknown[0]}{hint}")


def _evaluated(node: ast.expr, namespace: Mapping[str, Any]) -> Any:
    try:
        return eval(compile(ast.Expression(node), "<field>", "eval"), dict(namespace))
    except Exception as error:  # whatever the user's expression raises
        raise ValueError(f"{ast.unparse(node)} cannot be evaluated: {type(error).__name__}: {error}") from None


def _check_domain(row: Row, function: str, values: Mapping[str, Any], found: Findings) -> None:
    """Let the cell language's own checks judge the arguments: each number by itself, then all together."""
    fields = {name: ARGUMENTS.get(name, name) for name in row.arguments()}
    known: dict[str, Any] = {}
    for name, where in fields.items():
        if where in values:
            known[name] = values[where]
        elif not getattr(row, where) and row.kind == "normal":
            known[name] = {"mean": 0.0, "sd": 1.0}[name]
        if name in known and where != "values" and (wrong := number_problem(function, name, known[name])):
            found.add(row, where, _said(wrong.removeprefix(f"{function}: ")))
    if len(known) < len(fields) or row.id in found.problems:
        return
    domain = Domain(function, known)
    fault = domain.fault()
    if fault is not None:
        found.add(row, fields[fault[0]], _said(fault[1].removeprefix(f"{domain!r}: ")))
    elif "default" in values and (note := _outside(row, domain, values["default"])):
        found.notes.setdefault(row.id, {})["default"] = note


def _said(text: str) -> str:
    """Return a message with the form's word for an argument that it calls otherwise."""
    return re.sub(r"\bq\b", "step", text)


def _outside(row: Row, domain: Domain, default: Any) -> str | None:
    """Return a note on a default that the parameter is never given, or None."""
    if domain.kind in ("choice", "grid_search"):
        kept = domain.values or []
        return None if any(same(default, value) or default == value for value in kept) else "none of the values"
    if "lower" not in domain.arguments or isinstance(default, bool) or not isinstance(default, (int, float)):
        return None
    lower, upper = domain.arguments["lower"], domain.arguments["upper"]
    return None if lower <= default <= upper else f"outside {row.lower} to {row.upper}"
