"""A row of the form on a space: the texts of the fields of one parameter or constraint.

There are fewer kinds of rows than space functions in Ray Tune: "number" stands for `uniform`, with a step for
`quniform`, and with `log` for `loguniform` or `qloguniform`; "integer" and "normal" likewise. Domains that no other
kind can represent are of the kind "expression".
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nbtune.bad_input import parse_expression
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
"""The kinds of rows -> the fields that define the domain."""

ARGUMENTS = {"q": "step", "categories": "values", "values": "values"}
"""Arguments of space functions -> the fields for them, if the field has another name than the argument."""

_KIND_OF = {
    "uniform": "number",
    "randint": "integer",
    "randn": "normal",
    "choice": "choice",
    "grid_search": "grid_search",
}


@dataclass(frozen=True)
class Row:
    """The texts of the fields of one parameter or constraint.

    Attributes:
        kind: one of `KINDS`.
        id: identifies the row within its form.
        name: the name of the parameter, "a/b" for an entry of a dictionary; empty for a constraint.
        lower: the lower bound of a number or integer.
        upper: the upper bound. That of an integer is exclusive unless there is a step, as in Ray Tune.
        step: the values are multiples of it; may be empty.
        log: whether to sample uniformly on a logarithmic scale.
        mean: the mean of a normal distribution; 0 if empty.
        sd: its standard deviation; 1 if empty.
        values: the values of a choice or grid, separated by commas.
        expression: the annotation of a parameter, or the condition of a constraint.
        when: the condition for the parameter to have a value of this domain; may be empty.
        otherwise: its value or domain if the condition does not hold; None if empty.
        default: the value for a run without tuning; may be empty.
        prefix: the text before the name of the space function, `tune.` for instance.
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
    def from_message(cls, message: Mapping[str, Any]) -> Row:
        """Return the row for a message from the browser.

        Args:
            message: field -> its value. Line breaks in texts become spaces, and surrounding whitespace is removed.
        """
        texts = {name: " ".join(str(message.get(name) or "").split("\n")).strip() for name in _TEXT_FIELDS}
        kind = message.get("kind")
        return cls(kind=kind if kind in KINDS else "expression", log=message.get("log") is True, **texts)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields that define the domain."""
        return KINDS[self.kind]

    @property
    def function(self) -> str | None:
        """The name of the space function that the row calls, or None."""
        q = "q" if self.step else ""
        log = "log" if self.log else ""
        functions = {"number": "uniform", "integer": "randint"}
        if self.kind in functions:
            return q + log + functions[self.kind]
        if self.kind == "normal":
            return f"{q}randn"
        return None if self.kind in ("expression", "require") else self.kind

    def arguments(self) -> dict[str, str]:
        """Return the arguments of the space function: name -> text, in the order of its signature."""
        if self.kind in ("choice", "grid_search"):
            text = self.values if _is_list(self.values) else f"[{self.values}]"
            return {next(iter(SPACE_FUNCTIONS[self.kind].parameters)): text}
        arguments = {"q" if field == "step" else field: getattr(self, field) for field in self.fields}
        if self.kind == "normal" and self.step:  # qrandn has no default arguments
            arguments.update(mean=self.mean or "0", sd=self.sd or "1")
        return {name: text for name, text in arguments.items() if text or name in ("lower", "upper")}

    def domain(self) -> str:
        """Return the annotation of the parameter in a cell; it is valid Python if the fields are valid."""
        domain = self.expression
        if self.function is not None:
            arguments = self.arguments()
            first = next(iter(SPACE_FUNCTIONS[self.function].parameters), "")
            by_keyword = first not in arguments  # an argument after an omitted one must be passed by keyword
            parts = (f"{name}={text}" if by_keyword else text for name, text in arguments.items())
            domain = f"{self.prefix}{self.function}({', '.join(parts)})"
        if self.when:
            domain += f" if {_as_operand(self.when)} else {self.otherwise or 'None'}"
        return domain

    def text(self) -> str:
        """Return the row as a line of a cell."""
        if self.kind == "require":
            return f"require({self.expression})"
        return f"{self.name}: {self.domain()}" + (f" = {self.default}" if self.default else "")


_TEXT_FIELDS = [field.name for field in dataclasses.fields(Row) if field.name not in ("kind", "log")]


def constraint_row(node: ast.Expr, source: str) -> Row:
    """Return the row for a call of `require`.

    Args:
        node: the statement, whose value is the call.
        source: the text that it was parsed from.
    """
    assert isinstance(node.value, ast.Call)
    # `parse_cell` reports a call with more than one argument.
    return Row("require", expression=", ".join(_one_line(part, source) for part in node.value.args))


def parameter_row(name: str, annotation: ast.expr, value: ast.expr | None, source: str) -> Row:
    """Return the row for a parameter.

    Args:
        name: its name, "a/b" for an entry of a dictionary.
        annotation: its domain.
        value: its default, or None.
        source: the text that annotation and default were parsed from.
    """

    def text(part: ast.expr) -> str:
        return _one_line(part, source)

    domain, when, otherwise = annotation, "", ""
    if isinstance(annotation, ast.IfExp) and _call_fields(annotation.body, text) is not None:
        when, otherwise = text(annotation.test), text(annotation.orelse)
        domain = annotation.body
    fields = _call_fields(domain, text)
    if fields is None:
        fields, when, otherwise = {"kind": "expression", "expression": text(annotation)}, "", ""
    otherwise = "" if otherwise == "None" else otherwise
    default = "" if value is None else text(value)
    if isinstance(value, ast.Tuple) and not default.startswith("("):
        default = f"({default})"  # `parse_field` accepts a single expression
    return Row(name=name, when=when, otherwise=otherwise, default=default, **fields)


def _call_fields(node: ast.expr, text: Callable[[ast.expr], str]) -> dict[str, Any] | None:
    """Return the fields for a call of a space function, or None if only an "expression" row can represent it."""
    if not isinstance(node, ast.Call):
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    prefix = f"{text(node.func.value)}." if isinstance(node.func, ast.Attribute) else ""
    log = "log" in name
    kind = _KIND_OF.get(name.removeprefix("q").replace("log", ""))
    if kind is None or any(isinstance(argument, ast.Starred) for argument in node.args):
        return None
    keywords = {str(keyword.arg): keyword.value for keyword in node.keywords}
    try:
        arguments = SPACE_FUNCTIONS[name].bind(*node.args, **keywords).arguments
    except TypeError:
        return None
    if "base" in arguments or (name == "choice" and len(arguments) != 1):
        return None
    fields = {ARGUMENTS.get(name, name): _field_text(name, value, text) for name, value in arguments.items()}
    if name.startswith("q"):
        fields.setdefault("step", "1")  # the default of qrandint
    return {"kind": kind, "log": log, "prefix": prefix, **fields}


def _field_text(argument: str, value: ast.expr, text: Callable[[ast.expr], str]) -> str:
    if ARGUMENTS.get(argument) != "values":
        return text(value)
    if not isinstance(value, ast.List):
        return f"*{text(value)}"  # another iterable of values
    if len(value.elts) == 1 and isinstance(value.elts[0], (ast.List, ast.ListComp)):
        return text(value)  # without the outer brackets, the inner list would be read as the list of values
    return text(value)[1:-1].strip().removesuffix(",")


def _is_list(text: str) -> bool:
    """Tell whether the text of a `values` field includes the brackets."""
    return isinstance(_parsed(text), (ast.List, ast.ListComp))


def _as_operand(text: str) -> str:
    """Return a condition with parentheses if it needs them between `if` and `else`."""
    return f"({text})" if isinstance(_parsed(text), (ast.IfExp, ast.Lambda, ast.NamedExpr)) else text


def _parsed(text: str) -> ast.expr | None:
    try:
        return parse_expression(f"({text})")
    except (SyntaxError, ValueError):
        return None


def parse_field(text: str) -> ast.expr:
    """Parse the text of a field as a single expression.

    Args:
        text: the text; parentheses that close more than the text opens are a syntax error.

    Raises:
        SyntaxError: the text is not valid Python, or not exactly one expression.
    """
    tree = parse_expression(f"f({text})")
    if (
        isinstance(tree, ast.Call)
        and isinstance(tree.func, ast.Name)  # false for a text like `1)(2`, which closes the call and adds another
        and len(tree.args) == 1
        and not tree.keywords
        and not isinstance(tree.args[0], (ast.Starred, ast.NamedExpr, ast.GeneratorExp))
    ):
        return tree.args[0]
    raise SyntaxError("expected a single value")


def _one_line(node: ast.expr, source: str) -> str:
    """Return the text of an expression as it was typed; an expression of several lines is joined into one."""
    text = ast.get_source_segment(source, node) or ""
    return text if text and "\n" not in text else ast.unparse(node)
