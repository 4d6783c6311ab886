"""Calls that wait for a user, which nobody answers in a trial: debuggers, `input`, passwords."""

from __future__ import annotations

import ast
import linecache
import os
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from nbtune.errors import Problem
from nbtune.spec.cell.bindings import bound_names

__all__ = ["WAITING_CALLS", "interaction_problems", "interactions"]

WAITING_CALLS = ("breakpoint", "input", "set_trace", "getpass", "embed", "interact")
"""The names of the functions."""
_OF_MODULES = {"embed": "IPython", "interact": "code"}
"""Common names, which count as attributes of this module only."""
_NEW_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def interaction_problems(
    body: Iterable[ast.stmt],
    functions: Iterable[types.FunctionType],
    namespace: Mapping[str, Any],
    label: Callable[[str], str | None],
) -> list[Problem]:
    """Return a problem for each call that waits for a user, in a cell and in the functions that it uses.

    Args:
        body: the statements of the cell.
        functions: functions of the notebook.
        namespace: the notebook's variables.
        label: file name -> its label if it is a cell of the notebook, else None.
    """
    problems = [_problem(text, line, "") for text, line in interactions(body, namespace)]
    for function in functions:
        code = function.__code__
        if not set(_all_names(code)) & set(WAITING_CALLS):
            continue
        for node in _definition(code):
            where = f" of {label(code.co_filename) or code.co_filename}, in {function.__name__}()"
            problems += [_problem(text, line, where) for text, line in interactions([node], function.__globals__)]
    return problems


def _problem(text: str, line: int, where: str) -> Problem:
    message = f"{text} waits for an answer of a user, whom a trial cannot ask; remove the call"
    if where:
        return Problem(f"line {line}{where}: {message}", code="unsupported")
    return Problem(message, line, "unsupported")


def interactions(body: Iterable[ast.AST], namespace: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the calls that wait for a user: the text of each and its line.

    Args:
        body: statements. A branch whose condition is a false constant, or a false variable, is left out.
        namespace: the variables of their module.
    """
    statements = list(body)
    yield from _in_scope(statements, namespace, frozenset(bound_names(statements)))


def _in_scope(
    nodes: Iterable[ast.AST], namespace: Mapping[str, Any], bound: frozenset[str]
) -> Iterator[tuple[str, int]]:
    for node in nodes:
        inner = bound
        if isinstance(node, _NEW_SCOPE):
            given = node.args
            names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            names += [one.arg for one in (given.vararg, given.kwarg) if one]
            inner = bound.union(names, [] if isinstance(node, ast.Lambda) else bound_names(node.body))
        if isinstance(node, ast.Call) and (name := _waiting(node.func, namespace, bound)):
            yield f"{name}()", node.lineno
        if isinstance(node, ast.If) and _is_false(node.test, namespace, bound):
            yield from _in_scope(node.orelse, namespace, inner)
        else:
            yield from _in_scope(ast.iter_child_nodes(node), namespace, inner)


def _waiting(function: ast.expr, namespace: Mapping[str, Any], bound: frozenset[str]) -> str | None:
    """Return the name of a called function if it waits for a user."""
    if isinstance(function, ast.Attribute) and function.attr in WAITING_CALLS:
        owner = function.value.id if isinstance(function.value, ast.Name) else ""
        name = f"{owner}.{function.attr}"
        if function.attr in _OF_MODULES:
            return name if owner == _OF_MODULES[function.attr] else None
        if function.attr in ("breakpoint", "input"):
            return name if owner == "builtins" else None
        return name if owner and not (function.attr == "getpass" and owner in ("self", "cls")) else None
    if not isinstance(function, ast.Name) or function.id not in WAITING_CALLS:
        return None
    if function.id in ("breakpoint", "input"):  # built-in, unless the code or the notebook defines it
        own = function.id in bound or function.id in namespace
        disabled = function.id == "breakpoint" and os.environ.get("PYTHONBREAKPOINT") == "0"  # Python's own switch
        return None if own or disabled else function.id
    module = getattr(namespace.get(function.id), "__module__", None)  # from pdb import set_trace
    imported = function.id in bound or str(module).partition(".")[0] in ("pdb", "ipdb", "IPython", "getpass", "code")
    return function.id if imported and function.id in ("set_trace", "getpass") else None


def _is_false(test: ast.expr, namespace: Mapping[str, Any], bound: frozenset[str]) -> bool:
    if isinstance(test, ast.Constant):
        return not test.value
    if isinstance(test, ast.Name) and test.id not in bound:
        return namespace.get(test.id, True) is False
    return False


def _all_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _all_names(constant)


def _definition(code: types.CodeType) -> list[ast.AST]:
    """Return the definition of a function in its source; nothing if that is not available."""
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except SyntaxError:  # the cell has magics
        return []
    first = code.co_firstlineno  # of the first decorator, if there is one
    for node in ast.walk(tree):
        if isinstance(node, _NEW_SCOPE):
            decorators = getattr(node, "decorator_list", [])
            if min([node.lineno, *(one.lineno for one in decorators)]) == first and node.lineno >= first:
                return [node]
    return []
