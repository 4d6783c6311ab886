"""The metrics that code reports, as far as its source shows."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Reports", "find_reports", "name_may_report", "text_may_report"]


@dataclass(frozen=True)
class Reports:
    """The calls of `report` in the source of a cell or function.

    Attributes:
        metrics: the names of metrics that appear in the source, in order.
        complete: whether `metrics` is complete: no ``report(**values)``, and `report` is not passed to other code.
        any: whether there is any report.
        checkpoints: whether a checkpoint may be reported; true if the source does not tell.
    """

    metrics: tuple[str, ...]
    complete: bool
    any: bool
    checkpoints: bool = field(default=True, compare=False)


def find_reports(body: Iterable[ast.stmt], *, returns: bool) -> Reports:
    """Find the calls of `report`, also as ``tune.report`` or ``train.report``.

    Args:
        body: the statements; functions defined in them are searched too.
        returns: whether a ``return {...}`` at the top level of `body` is a report.
    """
    metrics: dict[str, None] = {}
    complete, any_report, checkpoints = True, False, False
    nodes = [node for statement in body for node in ast.walk(statement)]
    functions = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    dictionaries: list[ast.expr | None] = []
    for node in nodes:
        if isinstance(node, ast.Call) and _name(node.func) == "report":
            any_report = True
            checkpoints = (
                checkpoints or len(node.args) > 1 or any(isinstance(argument, ast.Starred) for argument in node.args)
            )
            for keyword in node.keywords:
                if keyword.arg is None:
                    complete, checkpoints = False, True
                elif keyword.arg == "metrics":
                    dictionaries.append(keyword.value)
                elif keyword.arg != "checkpoint":
                    metrics[keyword.arg] = None
                else:
                    checkpoints = checkpoints or not (
                        isinstance(keyword.value, ast.Constant) and keyword.value.value is None
                    )
            dictionaries += node.args[:1]
        elif _name(node) == "report" and id(node) not in functions and isinstance(getattr(node, "ctx", None), ast.Load):
            any_report, complete, checkpoints = True, False, True  # passed to other code, a callback for instance
        elif any(name != "report" and name_may_report(name) for name in _mentioned(node)) or _renames(node):
            any_report, complete, checkpoints = True, False, True  # TuneReportCallback, my_report…
        elif isinstance(node, ast.Constant) and text_may_report(node.value, map(_name, nodes)):
            any_report, complete, checkpoints = True, False, True  # getattr(nbtune, "report"), eval("report(…)")
    if returns:
        returned = [node.value for node in _returns(body) if node.value is not None]
        any_report = any_report or bool(returned)
        dictionaries += returned
    for value in dictionaries:
        keys = value.keys if isinstance(value, ast.Dict) else [None]
        for key in keys:
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                metrics[key.value] = None
            else:
                complete = False
    return Reports(tuple(metrics), complete, any_report, checkpoints)


def name_may_report(name: str) -> bool:
    """Tell whether code that uses a name may report.

    Args:
        name: a name or attribute, like `report`, `my_report` or the `lightning` of ``nbtune.lightning``.
    """
    return "report" in name.lower() or name in _WITH_TRAINER


_WITH_TRAINER = frozenset({"lightning", "transformers"})
"""The modules of `nbtune.frameworks` whose trainers report by themselves."""


_BY_TEXT = frozenset({"getattr", "attrgetter", "methodcaller", "eval", "exec", "globals", "vars", "locals"})
"""Functions that find others by text."""


def text_may_report(constant: Any, names: Iterable[str]) -> bool:
    """Tell whether code with a constant may report by it, as in ``getattr(nbtune, "report")``.

    Args:
        constant: the constant.
        names: the names that the code mentions.
    """
    is_call = isinstance(constant, str) and (constant == "report" or "report(" in constant)
    return is_call and not _BY_TEXT.isdisjoint(names)


def _renames(node: ast.AST) -> bool:
    """Tell whether a node imports `report` by another name."""
    return isinstance(node, ast.alias) and node.name == "report" and node.asname not in (None, "report")


def _mentioned(node: ast.AST) -> list[str]:
    """Return the names that a single node mentions, including imported names and aliases."""
    return [node.name, node.asname or ""] if isinstance(node, ast.alias) else [_name(node)]


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _returns(body: Iterable[ast.stmt]) -> list[ast.Return]:
    returns, stack = [], list[ast.AST](body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Return):
            returns.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            stack.extend(ast.iter_child_nodes(node))
    return returns
