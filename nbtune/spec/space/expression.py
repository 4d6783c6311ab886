"""Expressions over other parameters: the conditions, derived bounds and constraints of a search space."""

from __future__ import annotations

import ast
import builtins
import functools
import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nbtune.bad_input import parse_expression
from nbtune.errors import Problem, SpecError
from nbtune.spec.space.values import label

__all__ = [
    "MATH",
    "DisplayOnlyExpression",
    "Expression",
    "ast_names",
    "read_expression",
    "safe_expression",
]

_PLAIN = (bool, int, float, str, type(None))
_MAX_INLINE_ITEMS = 20  # a list with more items is not inlined into an expression
MATH = {name: getattr(math, name) for name in ("ceil", "floor", "log", "log2", "log10", "exp", "sqrt")}
"""Functions that every expression may call without import."""
_SAFE_CALLS = frozenset({"abs", "bool", "float", "int", "len", "max", "min", "round", "str", "sum", *MATH})
_SAFE = (
    ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Call, ast.Subscript, ast.Slice,
    ast.Name, ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict,
    ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """A Python expression over parameters.

    Attributes:
        text: its source, with short values of the notebook inlined.
        depends: the top-level names of the parameters that it uses ("model" for "model/hidden").
        values: name -> value, for the variables of the notebook that are not inlined.
        is_limited: whether its values have a limited size, so that it takes neither long nor much memory: it is from a
            file.
    """

    text: str
    depends: frozenset[str]
    values: Mapping[str, Any] = field(default_factory=dict, compare=False)
    is_limited: bool = field(default=False, compare=False)

    def __call__(self, config: Mapping[str, Any]) -> Any:
        """Evaluate the expression.

        Args:
            config: the parameters, nested: {"model": {"hidden": 64}}.

        Raises:
            Exception: any exception of the expression; ValueError also for too large a value.
        """
        if self.is_limited:
            return eval(_compiled_with_limits(self.text), {**MATH, **_LIMITED, **config})
        return eval(_compiled(self.text), {**MATH, **self.values, **config})

    def __repr__(self) -> str:
        return self.text


class DisplayOnlyExpression(Expression):
    """An expression from a file that is not safe to evaluate: it can only be displayed."""

    def __call__(self, config: Mapping[str, Any]) -> Any:
        """Refuse the evaluation.

        Args:
            config: ignored.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"{self.text} comes from a stored experiment and uses functions of its notebook, so it cannot be evaluated;"
            " create the space again with Space.from_cell(experiment.source, globals())"
        )


@functools.lru_cache(maxsize=1000)
def _compiled(text: str) -> types.CodeType:
    return compile(text, "<parameter>", "eval")


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and exponent * base.bit_length() > _MAX_BITS:
        raise ValueError(f"a power in an expression from a file has more than {_MAX_BITS} bits")
    return base**exponent


def _product(one: Any, other: Any) -> Any:
    for sequence, count in ((one, other), (other, one)):
        if isinstance(sequence, (str, list, tuple)) and isinstance(count, int) and count * len(sequence) > _MAX_ITEMS:
            raise ValueError(f"a sequence in an expression from a file has more than {_MAX_ITEMS} items")
    return one * other


def _shifted(number: Any, bits: Any) -> Any:
    if isinstance(bits, int) and bits > _MAX_BITS:
        raise ValueError(f"a number in an expression from a file has more than {_MAX_BITS} bits")
    return number << bits


def _remainder(one: Any, other: Any) -> Any:
    if isinstance(one, str):
        raise ValueError("text cannot be formatted in an expression from a file")
    return one % other


_MAX_BITS, _MAX_ITEMS = 10_000, 100_000
_OPERATIONS = {ast.Pow: _power, ast.Mult: _product, ast.LShift: _shifted, ast.Mod: _remainder}
_LIMITED = {f"${function.__name__}": function for function in _OPERATIONS.values()}  # "$" is in no parameter's name


class _LimitOperations(ast.NodeTransformer):
    """Replaces the operators whose results may be large."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        left, right = self.visit(node.left), self.visit(node.right)
        if (function := _OPERATIONS.get(type(node.op))) is None:
            return ast.BinOp(left, node.op, right)
        return ast.Call(ast.Name(f"${function.__name__}", ast.Load()), [left, right], [])


@functools.lru_cache(maxsize=1000)
def _compiled_with_limits(text: str) -> types.CodeType:
    tree = _LimitOperations().visit(ast.parse(text, mode="eval"))
    return compile(ast.fix_missing_locations(tree), "<parameter>", "eval")


def ast_names(node: ast.AST) -> set[str]:
    """Return the free names of an expression.

    Args:
        node: the expression. Names that it binds anywhere, in a lambda or comprehension, are not free.
    """
    names = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    bound = {name.id for name in names if not isinstance(name.ctx, ast.Load)}
    bound |= {inner.arg for inner in ast.walk(node) if isinstance(inner, ast.arg)}
    return {name.id for name in names} - bound


def read_expression(node: ast.expr, namespace: Mapping[str, Any], parameters: Iterable[str]) -> Expression:
    """Return the expression of a syntax tree.

    Args:
        node: the syntax tree, which is not modified.
        namespace: the notebook's variables.
        parameters: the names of the parameters; they take precedence over variables of the same name.

    Raises:
        NameError: the expression uses an undefined name.
    """
    used, known = ast_names(node), frozenset(parameters)
    values = {}
    for name in used - known:
        if name in namespace:
            values[name] = namespace[name]
        elif name not in MATH and not hasattr(builtins, name):
            raise NameError(f"name {name!r} is not defined")
    inliner = _InlineValues({name: value for name, value in values.items() if _is_plain(value)})
    text = ast.unparse(inliner.visit(ast.parse(ast.unparse(node), mode="eval").body))
    captured = {name: value for name, value in values.items() if not _is_plain(value)}
    return Expression(text, known & used, captured)


def safe_expression(text: str, parameters: Iterable[str], *, display_only: bool = False) -> Expression:
    """Parse an expression from an untrusted source, which may only use parameters, operators and a few builtins, and
    whose values have a limited size.

    Args:
        text: the source of the expression.
        parameters: the names of the parameters.
        display_only: whether to return a `DisplayOnlyExpression` for an unsafe expression instead of raising.

    Raises:
        SpecError: the text is not a valid expression, or the expression is unsafe.
    """
    try:
        tree = parse_expression(text)
    except SyntaxError as error:
        raise SpecError([Problem(f"invalid expression {label(text)}: {error.msg}")]) from None
    for node in ast.walk(tree):
        calls = isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _SAFE_CALLS)
        if calls or not isinstance(node, _SAFE):
            if display_only:
                return DisplayOnlyExpression(text, frozenset(parameters) & ast_names(tree))
            raise SpecError(
                [
                    Problem(
                        f"{text!r}: {ast.unparse(node)} is not allowed in an expression from a file, which may use"
                        f" only parameters, operators and {', '.join(sorted(_SAFE_CALLS))}"
                    )
                ]
            )
    try:
        return replace(read_expression(tree, {}, parameters), is_limited=True)
    except NameError as error:
        if display_only:
            return DisplayOnlyExpression(text, frozenset(parameters) & ast_names(tree))
        raise SpecError([Problem(f"{text!r}: {error}, and no parameter has that name")]) from None


def _is_plain(value: Any) -> bool:
    """Tell whether a value has a short representation as Python source."""
    if type(value) in (list, tuple):
        return len(value) <= _MAX_INLINE_ITEMS and all(type(item) in _PLAIN for item in value)
    return type(value) in _PLAIN and (not isinstance(value, float) or math.isfinite(value))


class _InlineValues(ast.NodeTransformer):
    """Replaces names by the plain values that they have in the notebook."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self._values or not isinstance(node.ctx, ast.Load):
            return node
        return ast.parse(repr(self._values[node.id]), mode="eval").body
