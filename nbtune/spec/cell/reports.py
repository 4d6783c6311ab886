"""Which metrics a piece of code reports, as far as its text shows."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Reports", "may_report_by", "reports_in"]


@dataclass(frozen=True)
class Reports:
    """What is known of the calls of `report`.

    Attributes:
        metrics: the names that are written out, in the order of the lines.
        complete: whether these are surely all: no ``report(**values)``, no `report` handed on.
        any: whether anything is reported at all.
        checkpoints: whether a checkpoint may be among it; what cannot be known counts as one.
    """

    metrics: tuple[str, ...]
    complete: bool
    any: bool
    checkpoints: bool = field(default=True, compare=False)


def reports_in(body: Iterable[ast.stmt], *, returns: bool) -> Reports:
    """Read the calls of `report` (also ``tune.report``, ``train.report``) in `body`.

    Args:
        body: the statements, functions inside included.
        returns: whether a ``return {...}`` at the top level of `body` is a report too.
    """
    metrics: dict[str, None] = {}
    complete, found, saves = True, False, False
    nodes = [node for statement in body for node in ast.walk(statement)]
    functions = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    dictionaries: list[ast.expr | None] = []
    for node in nodes:
        if isinstance(node, ast.Call) and _name(node.func) == "report":
            found = True
            saves = saves or len(node.args) > 1 or any(isinstance(argument, ast.Starred) for argument in node.args)
            for keyword in node.keywords:
                if keyword.arg is None:
                    complete, saves = False, True
                elif keyword.arg == "metrics":
                    dictionaries.append(keyword.value)
                elif keyword.arg != "checkpoint":
                    metrics[keyword.arg] = None
                else:
                    saves = saves or not (isinstance(keyword.value, ast.Constant) and keyword.value.value is None)
            dictionaries += node.args[:1]
        elif _name(node) == "report" and id(node) not in functions and isinstance(getattr(node, "ctx", None), ast.Load):
            found, complete, saves = True, False, True  # handed on: to a callback, a function…
        elif any(name != "report" and may_report_by(name) for name in _mentioned(node)):
            found, complete, saves = True, False, True  # TuneReportCallback, my_report…
    if returns:
        own = [node for node in _returns(body) if node.value is not None]
        found = found or bool(own)
        dictionaries += [node.value for node in own]
    for value in dictionaries:
        keys = value.keys if isinstance(value, ast.Dict) else [None]
        for key in keys:
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                metrics[key.value] = None
            else:
                complete = False
    return Reports(tuple(metrics), complete, found, saves)


def may_report_by(name: str) -> bool:
    """Tell whether a name is of something that may report: `report`, my_report, ``nbtune.lightning``."""
    return "report" in name.lower() or name == "lightning"


def _mentioned(node: ast.AST) -> list[str]:
    """Return the names that a node itself writes out, those of imports included."""
    return [node.name, node.asname or ""] if isinstance(node, ast.alias) else [_name(node)]


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _returns(body: Iterable[ast.stmt]) -> list[ast.Return]:
    found, stack = [], list[ast.AST](body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Return):
            found.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            stack.extend(ast.iter_child_nodes(node))
    return found
