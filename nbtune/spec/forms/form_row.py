"""A row of the form on a space: the texts that a person types for one parameter or constraint.

The kinds are fewer than Ray Tune's space functions: "number" is `uniform`, with a step `quniform`, and with `log`
`loguniform` or `qloguniform`; "integer" and "normal" likewise. What none of them can say is an "expression".
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nbtune.spec.space.domain import SPACE_FUNCTIONS

__all__ = ["ARGUMENTS", "KINDS", "Row", "constraint_row", "parameter_row", "parse_field"]

KINDS: dict[str, tuple[str, ...]] = {
    "number": ("lower", "upper", "step"),
    "integer": ("lower", "upper", "step"),
    "normal": ("mean", "sd", "step"),
    "choice": ("values",),
    "grid_search": ("values",),
    "expression": ("expression",),
    "require": ("expression",),
}
"""The kinds of rows, each with the fields that its domain is made of."""

ARGUMENTS = {"q": "step", "categories": "values", "values": "values"}
"""Arguments of space functions -> the fields that they are, where these are called otherwise."""

_KIND_OF = {
    "uniform": "number",
    "randint": "integer",
    "randn": "normal",
    "choice": "choice",
    "grid_search": "grid_search",
}


@dataclass(frozen=True)
class Row:
    """What was typed for one parameter or constraint.

    Attributes:
        kind: one of `KINDS`.
        id: tells it from the other rows of its form.
        name: the parameter's, "a/b" for that of a dictionary; a constraint has none.
        lower: a bound, of numbers and integers.
        upper: the other; that of integers is left out of the space unless there is a step, as Ray Tune does it.
        step: what the values are multiples of, or empty.
        log: whether as many values are drawn from each order of magnitude.
        mean: of a normal distribution; 0 if empty.
        sd: its standard deviation; 1 if empty.
        values: those of a choice or grid, between commas.
        expression: the annotation, or what is required.
        when: the condition on which it has a value of this domain, or empty.
        otherwise: its value or domain where it does not; None if empty.
        default: the value for a run without tuning, or empty.
        prefix: what stands before the space function's name, `tune.` for instance.
    """

    kind: str
    id: str = ""
    name: str = ""
    lower: str = ""
    upper: str = ""
    step: str = ""
    log: bool = False
    mean: str = ""
    sd: str = ""
    values: str = ""
    expression: str = ""
    when: str = ""
    otherwise: str = ""
    default: str = ""
    prefix: str = ""

    @classmethod
    def from_message(cls, given: Mapping[str, Any]) -> Row:
        """Return the row that the browser has sent: of each field its text, without what surrounds it."""
        texts = {name: " ".join(str(given.get(name) or "").split("\n")).strip() for name in _TEXTS}
        kind = given.get("kind")
        return cls(kind=kind if kind in KINDS else "expression", log=given.get("log") is True, **texts)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that its domain is made of."""
        return KINDS[self.kind]

    @property
    def function(self) -> str | None:
        """The space function that it calls, or None."""
        q = "q" if self.step else ""
        log = "log" if self.log else ""
        ends = {"number": "uniform", "integer": "randint"}
        if self.kind in ends:
            return q + log + ends[self.kind]
        if self.kind == "normal":
            return f"{q}randn"
        return None if self.kind in ("expression", "require") else self.kind

    def arguments(self) -> dict[str, str]:
        """Return the texts of its space function's arguments, by their names, in their order."""
        if self.kind in ("choice", "grid_search"):
            text = self.values if _is_list(self.values) else f"[{self.values}]"
            return {next(iter(SPACE_FUNCTIONS[self.kind].parameters)): text}
        given = {"q" if field == "step" else field: getattr(self, field) for field in self.fields}
        if self.kind == "normal" and self.step:  # qrandn needs them all
            given.update(mean=self.mean or "0", sd=self.sd or "1")
        return {name: text for name, text in given.items() if text or name in ("lower", "upper")}

    def domain(self) -> str:
        """Return its annotation in a cell. It is valid where its fields are."""
        domain = self.expression
        if self.function is not None:
            given = self.arguments()
            first = next(iter(SPACE_FUNCTIONS[self.function].parameters), "")
            named = first not in given  # what follows an omitted argument needs its name
            shown = (f"{name}={text}" if named else text for name, text in given.items())
            domain = f"{self.prefix}{self.function}({', '.join(shown)})"
        if self.when:
            domain += f" if {_as_operand(self.when)} else {self.otherwise or 'None'}"
        return domain

    def text(self) -> str:
        """Return its line in a cell."""
        if self.kind == "require":
            return f"require({self.expression})"
        return f"{self.name}: {self.domain()}" + (f" = {self.default}" if self.default else "")


_TEXTS = [field.name for field in dataclasses.fields(Row) if field.name not in ("kind", "log")]


def constraint_row(node: ast.Expr, source: str) -> Row:
    """Return the row of a call of `require`.

    Args:
        node: the statement.
        source: the text that it was parsed from.
    """
    assert isinstance(node.value, ast.Call)
    # Further arguments are none of `require`'s: the cell language says so.
    return Row("require", expression=", ".join(_one_line(part, source) for part in node.value.args))


def parameter_row(name: str, annotation: ast.expr, value: ast.expr | None, source: str) -> Row:
    """Return the row of a parameter.

    Args:
        name: its name.
        annotation: what it may be.
        value: its default, or None.
        source: the text that both were parsed from.
    """

    def text(part: ast.expr) -> str:
        return _one_line(part, source)

    domain, when, otherwise = annotation, "", ""
    if isinstance(annotation, ast.IfExp) and _call(annotation.body, text) is not None:
        when, otherwise = text(annotation.test), text(annotation.orelse)
        domain = annotation.body
    found = _call(domain, text)
    if found is None:
        found, when, otherwise = {"kind": "expression", "expression": text(annotation)}, "", ""
    otherwise = "" if otherwise == "None" else otherwise
    default = "" if value is None else text(value)
    if isinstance(value, ast.Tuple) and not default.startswith("("):
        default = f"({default})"  # a field is one value
    return Row(name=name, when=when, otherwise=otherwise, default=default, **found)


def _call(node: ast.expr, text: Callable[[ast.expr], str]) -> dict[str, Any] | None:
    """Return the fields that a call of a space function comes to, or None where a row cannot say it."""
    if not isinstance(node, ast.Call):
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    prefix = f"{text(node.func.value)}." if isinstance(node.func, ast.Attribute) else ""
    log = "log" in name
    kind = _KIND_OF.get(name.removeprefix("q").replace("log", ""))
    if kind is None or any(isinstance(argument, ast.Starred) for argument in node.args):
        return None
    try:
        given = (
            SPACE_FUNCTIONS[name].bind(*node.args, **{str(word.arg): word.value for word in node.keywords}).arguments
        )
    except TypeError:
        return None
    if "base" in given or (name == "choice" and len(given) != 1):
        return None
    fields = {ARGUMENTS.get(argument, argument): _field(argument, value, text) for argument, value in given.items()}
    if name.startswith("q"):
        fields.setdefault("step", "1")  # qrandint's, where none is given
    return {"kind": kind, "log": log, "prefix": prefix, **fields}


def _field(argument: str, value: ast.expr, text: Callable[[ast.expr], str]) -> str:
    if ARGUMENTS.get(argument) != "values":
        return text(value)
    if not isinstance(value, ast.List):
        return f"*{text(value)}"  # any other iterable of values
    if len(value.elts) == 1 and isinstance(value.elts[0], (ast.List, ast.ListComp)):
        return text(value)  # else its only value would be taken for the list
    return text(value)[1:-1].strip().removesuffix(",")


def _is_list(text: str) -> bool:
    """Tell whether somebody has typed the brackets too."""
    return isinstance(_parsed(text), (ast.List, ast.ListComp))


def _as_operand(text: str) -> str:
    """Return a condition as it may stand between `if` and `else`."""
    return f"({text})" if isinstance(_parsed(text), (ast.IfExp, ast.Lambda, ast.NamedExpr)) else text


def _parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(f"({text})", mode="eval").body
    except (SyntaxError, ValueError):
        return None


def parse_field(text: str) -> ast.expr:
    """Return the expression of a field's text, which must not reach beyond its field.

    Raises:
        SyntaxError: it is no expression, or it is more than one.
    """
    tree = ast.parse(f"f({text})", mode="eval").body
    if (
        isinstance(tree, ast.Call)
        and isinstance(tree.func, ast.Name)  # else the text has closed the call, and made another
        and len(tree.args) == 1
        and not tree.keywords
        and not isinstance(tree.args[0], (ast.Starred, ast.NamedExpr, ast.GeneratorExp))
    ):
        return tree.args[0]
    raise SyntaxError("one value is needed")


def _one_line(node: ast.expr, source: str) -> str:
    """Return the text of an expression as it was typed; one that has several lines is written anew in one."""
    found = ast.get_source_segment(source, node) or ""
    return found if found and "\n" not in found else ast.unparse(node)
