"""Conditions over the metrics of a trial as text, such as ``accuracy >= 0.99 or iterations >= 50``.

They have Python's syntax and precedence, but are never evaluated as code: only what is listed here is allowed.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nbtune.bad_input import NESTED, parse_expression
from nbtune.spec.options.plateau import CALLS, ExperimentPlateau, Plateau, read_plateau
from nbtune.spec.space.values import label

__all__ = ["OWN_NAMES", "Condition", "metrics_of", "parse_condition"]

OWN_NAMES = {"iterations": "training_iteration", "time_s": "time_total_s"}
"""Names that every report has, whatever the code reports -> the entries of Ray Tune with their values."""
_TUNE_NAMES = frozenset(
    {
        "training_iteration", "iterations_since_restore", "time_total_s", "time_this_iter_s", "time_since_restore",
        "timesteps_total", "timesteps_since_restore", "episodes_total", "timestamp", "done", "config",
    }
)  # fmt: skip
"""Entries that Ray Tune adds to each report: numbers, and the parameters as "config/NAME"."""

_Plateaus = Mapping[Plateau | ExperimentPlateau, bool | None]
_MAX_DEPTH = 100
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_SIGNS: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_NAME = r"[^\W\d]\w*"
# A quoted text, which is skipped, or names joined by slashes without spaces: a nested metric.
_TEXT_OR_NESTED = re.compile(rf"""("[^"]*"|'[^']*')|(?<![\w.])({_NAME}(?:/{_NAME})+)(?![\w(])""")
_READABLE = re.compile(rf"{_NAME}(?:/{_NAME})*")


@dataclass(frozen=True)
class Condition:
    """A condition over the metrics of a trial.

    Attributes:
        text: how it is written.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    @cached_property
    def _tree(self) -> ast.expr:
        return _parse(self.text)

    @property
    def names(self) -> frozenset[str]:
        """The names of the metrics that it uses, including those of `OWN_NAMES`."""
        found = [node for node in ast.walk(self._tree) if not isinstance(node, ast.keyword)]
        options = {id(node.value) for node in ast.walk(self._tree) if isinstance(node, ast.keyword)}
        constants = (node.value for node in found if isinstance(node, ast.Constant) and id(node) not in options)
        return frozenset(value for value in constants if isinstance(value, str))

    @cached_property
    def plateaus(self) -> frozenset[Plateau | ExperimentPlateau]:
        """The plateaus that it asks for."""
        return frozenset(_plateau(node) for node in ast.walk(self._tree) if isinstance(node, ast.Call))

    def reached(self, values: Mapping[str, Any], plateaus: _Plateaus) -> str:
        """Return the parts of the condition that are true, joined by "and"; an empty text if it is not true.

        A comparison with a value that is missing or not a number is neither true nor false, and so is its ``not``. The
        same applies to a quotient by zero. NaN is a number, which compares as in Python: ``loss != loss`` is true.

        Args:
            values: metric -> value of a report.
            plateaus: whether each of `plateaus` is reached, None if this report does not tell.
        """
        if not _truth(self._tree, values, plateaus):
            return ""
        return " and ".join(_written(part) for part in _alternatives(self._tree) if _truth(part, values, plateaus))


def metrics_of(conditions: Any) -> list[str]:
    """Return the metrics that code has to report for a stop condition, as far as they are known.

    Args:
        conditions: the option `stop`.
    """
    names = conditions.names if isinstance(conditions, Condition) else conditions
    if not isinstance(names, (frozenset, Mapping)):
        return []
    return sorted(name for name in names if name not in OWN_NAMES and name.partition("/")[0] not in _TUNE_NAMES)


def parse_condition(text: str) -> Condition:
    """Parse a condition.

    Allowed are comparisons (also chained), ``and``, ``or``, ``not``, parentheses, numbers, ``+ - * /``, metrics and
    ``plateau(METRIC, N, std=0.01, grace=N)``; and, by itself or beside ``or``,
    ``experiment_plateau(METRIC, N, std=0.001, patience=0, mode=min)``, which ends the experiment. A metric is a name;
    names that are joined by slashes without spaces are a nested metric, and a text in quotes is a metric of any name.

    Args:
        text: the condition.

    Raises:
        ValueError: it is something else.
    """
    condition = Condition(text.strip())
    try:
        _check_condition(condition._tree, alone=True)
    except SyntaxError as error:
        hint = "compare with <= or ==, and write a metric whose name is no Python name in quotes"
        raise ValueError(f"{label(text)} cannot be read: {error.msg}; {hint}") from None
    return condition


def _parse(text: str) -> ast.expr:
    """Return the tree of a condition, in which a metric is a constant text.

    Raises:
        SyntaxError: it cannot be parsed, or is nested too deeply.
    """
    tree = parse_expression(_TEXT_OR_NESTED.sub(lambda found: found[1] or repr(found[2]), text))
    level: list[ast.AST] = [tree]
    for _ in range(_MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise SyntaxError(NESTED)
    named: ast.expr = _Names().visit(tree)
    return named


class _Names(ast.NodeTransformer):
    """Replaces names by constants, except that of a function that is called."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.copy_location(ast.Constant(node.id), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        node.args = [self.visit(argument) for argument in node.args]
        return node


def _check_condition(node: ast.expr, *, alone: bool = False) -> None:
    """Check that a node is a condition, which is true or false.

    Args:
        node: the node.
        alone: whether it is the whole condition, or one of its alternatives.

    Raises:
        ValueError: it is not.
    """
    match node:
        case ast.BoolOp(op=op, values=parts):
            for part in parts:
                _check_condition(part, alone=alone and isinstance(op, ast.Or))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _check_condition(operand)
        case ast.Compare(left=left, ops=operators, comparators=others):
            for part in (left, *others):
                _check_number(part)
            if unknown := [one for one in operators if type(one) not in _COMPARISONS]:
                word = type(unknown[0]).__name__.lower()
                raise ValueError(f"{word!r} is not allowed in {_written(node)}; compare with < <= > >= == or !=")
        case ast.Call():
            if isinstance(_plateau(node), ExperimentPlateau) and not alone:
                raise ValueError(
                    f"{_written(node)} ends the experiment, and not a trial: it stands by itself, or beside an or"
                )
        case ast.Tuple():
            raise ValueError(f"the commas in {_written(node)} have no meaning: join conditions with and, or")
        case _:
            raise ValueError(f"expected a comparison such as accuracy >= 0.99, got {_written(node)}")


def _check_number(node: ast.expr) -> None:
    """Check that a node is a number, a metric or a calculation with them.

    Raises:
        ValueError: it is not.
    """
    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            pass
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            _check_number(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            _check_number(left)
            _check_number(right)
        case ast.Attribute():
            name = _written(node)
            raise ValueError(
                f"the metric {name} is written {name.replace('.', '/')} if it is nested, and in quotes if the dot is a"
                " part of its name"
            )
        case ast.Call():
            raise ValueError(f"{_written(node)} is no number: {CALLS[0]}(…) is a condition, and nothing else is called")
        case _:
            raise ValueError(f"expected a metric or a number (+ - * / are allowed), got {_written(node)}")


def _plateau(node: ast.Call) -> Plateau | ExperimentPlateau:
    return read_plateau(node, _written(node))


def _alternatives(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the parts of a condition of which one is enough."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        for part in node.values:
            yield from _alternatives(part)
    else:
        yield node


def _truth(node: ast.expr, values: Mapping[str, Any], plateaus: _Plateaus) -> bool | None:
    """Return whether a condition is true; None if that is unknown."""
    match node:
        case ast.BoolOp(op=op, values=parts):
            decisive = isinstance(op, ast.Or)
            return _joined(decisive, (_truth(part, values, plateaus) for part in parts))
        case ast.UnaryOp(operand=operand):
            inner = _truth(operand, values, plateaus)
            return None if inner is None else not inner
        case ast.Call():
            return plateaus[_plateau(node)]
        case ast.Compare(left=left, ops=operators, comparators=others):
            numbers = [_number(part, values) for part in (left, *others)]
            pairs = zip(operators, numbers, numbers[1:], strict=False)
            return _joined(False, (_compared(op, one, other) for op, one, other in pairs))
    raise AssertionError(node)


def _joined(decisive: bool, parts: Iterator[bool | None]) -> bool | None:
    """Return `decisive` if a part is, None if one of the others is unknown, else the opposite."""
    known = list(parts)
    if decisive in known:
        return decisive
    return None if None in known else not decisive


def _compared(op: ast.cmpop, one: Any, other: Any) -> bool | None:
    return None if one is None or other is None else _COMPARISONS[type(op)](one, other)


def _number(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """Return the number that a node stands for; None without one."""
    match node:
        case ast.Constant(value=str(name)):
            value = values.get(name)
            return value if isinstance(value, (int, float)) else None
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=sign, operand=operand):
            inner = _number(operand, values)
            return None if inner is None else _SIGNS[type(sign)](inner)
        case ast.BinOp(left=left, op=op, right=right):
            one, other = _number(left, values), _number(right, values)
            try:
                return None if one is None or other is None else _ARITHMETIC[type(op)](one, other)
            except ArithmeticError:  # a quotient by zero, or an integer that is too large for a float
                return None
    raise AssertionError(node)


def _written(node: ast.expr) -> str:
    """Return a part of a condition as text, with metrics as they are written in one."""

    class Spelled(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.expr:
            readable = isinstance(node.value, str) and _READABLE.fullmatch(node.value)
            return ast.Name(str(node.value)) if readable else node

    copied = ast.parse(ast.unparse(node), mode="eval").body
    return ast.unparse(Spelled().visit(copied))
