"""Expressions over other parameters: the conditions, derived bounds and constraints of a search space."""

from __future__ import annotations

import ast
import builtins
import functools
import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.errors import Problem, SpecError

__all__ = ["MATH", "Expression", "Shown", "ast_names", "read_expression", "safe_expression"]

_PLAIN = (bool, int, float, str, type(None))
_LONGEST = 20  # items of a list that is written out in place of its name
MATH = {name: getattr(math, name) for name in ("ceil", "floor", "log", "log2", "log10", "exp", "sqrt")}
"""What every expression may call, without import."""
_SAFE_CALLS = frozenset({"abs", "bool", "float", "int", "len", "max", "min", "round", "str", "sum", *MATH})
_SAFE = (
    ast.Expression, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Call, ast.Subscript, ast.Slice,
    ast.Name, ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict,
    ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """A Python expression over parameters.

    Attributes:
        text: its source.
        depends: the top-level names of the parameters that it uses ("model" for "model/hidden").
        values: what it takes from the notebook besides: name -> value, what could not be written out.
    """

    text: str
    depends: frozenset[str]
    values: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __call__(self, config: Mapping[str, Any]) -> Any:
        """Return its value.

        Args:
            config: the parameters, nested: {"model": {"hidden": 64}}.

        Raises:
            Exception: whatever it raises.
        """
        return eval(_compiled(self.text), {**MATH, **self.values, **config})

    def __repr__(self) -> str:
        return self.text


class Shown(Expression):
    """An expression from a file that could do more than compute: it is shown, and not evaluated."""

    def __call__(self, config: Mapping[str, Any]) -> Any:
        """Refuse.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"{self.text} comes from a stored experiment and uses the notebook's functions: make the space anew,"
            " Space.from_cell(experiment.source, globals())"
        )


@functools.lru_cache(maxsize=1000)
def _compiled(text: str) -> types.CodeType:
    return compile(text, "<parameter>", "eval")


def ast_names(node: ast.AST) -> set[str]:
    """Return the names that an expression reads, those that it binds itself left out."""
    names = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    own = {name.id for name in names if not isinstance(name.ctx, ast.Load)}
    own |= {inner.arg for inner in ast.walk(node) if isinstance(inner, ast.arg)}
    return {name.id for name in names} - own


def read_expression(node: ast.expr, namespace: Mapping[str, Any], parameters: Iterable[str]) -> Expression:
    """Return the expression of a syntax tree.

    Args:
        node: the tree; it is not changed.
        namespace: the notebook's variables.
        parameters: the names of the parameters; they go before variables of the same name.

    Raises:
        NameError: it uses a name that is nowhere.
    """
    used, known = ast_names(node), frozenset(parameters)
    values = {}
    for name in used - known:
        if name in namespace:
            values[name] = namespace[name]
        elif name not in MATH and not hasattr(builtins, name):
            raise NameError(f"name {name!r} is not defined")
    written = _WriteOut({name: value for name, value in values.items() if _is_plain(value)})
    text = ast.unparse(written.visit(ast.parse(ast.unparse(node), mode="eval").body))
    kept = {name: value for name, value in values.items() if not _is_plain(value)}
    return Expression(text, known & used, kept)


def safe_expression(text: str, parameters: Iterable[str], *, show: bool = False) -> Expression:
    """Return the expression of a text that may come from anywhere: it can compute, but call nothing of the notebook's.

    Args:
        text: the expression.
        parameters: the names of the parameters.
        show: whether one that could do more is `Shown`, not refused.

    Raises:
        SpecError: it is no expression, or one that could do more than compute.
    """
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise SpecError([Problem(f"{text!r} is no expression: {error.msg}")]) from None
    for node in ast.walk(tree):
        calls = isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _SAFE_CALLS)
        if calls or not isinstance(node, _SAFE):
            if show:
                return Shown(text, frozenset(parameters) & ast_names(tree))
            raise SpecError(
                [
                    Problem(
                        f"{text!r}: {ast.unparse(node)} is not taken from a file. An expression there may use"
                        f" parameters, operators and {', '.join(sorted(_SAFE_CALLS))}"
                    )
                ]
            )
    try:
        return read_expression(tree.body, {}, parameters)
    except NameError as error:
        if show:
            return Shown(text, frozenset(parameters) & ast_names(tree))
        raise SpecError([Problem(f"{text!r}: {error}, and no parameter has that name")]) from None


def _is_plain(value: Any) -> bool:
    """Tell whether a value can be written out as Python source, in few words."""
    if type(value) in (list, tuple):
        return len(value) <= _LONGEST and all(type(item) in _PLAIN for item in value)
    return type(value) in _PLAIN and (not isinstance(value, float) or math.isfinite(value))


class _WriteOut(ast.NodeTransformer):
    """Puts the notebook's plain values in place of their names."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self._values or not isinstance(node.ctx, ast.Load):
            return node
        return ast.parse(repr(self._values[node.id]), mode="eval").body
