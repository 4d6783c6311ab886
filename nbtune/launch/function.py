"""Training functions and classes: how they take their parameters, what they report, which globals they use."""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nbtune.errors import Problem
from nbtune.spec.cell.capture import global_names, may_report
from nbtune.spec.cell.reports import Reports, find_reports
from nbtune.spec.space.space import Space, top_level

__all__ = ["globals_used", "reported_metrics", "source_and_reports", "takes_parameters_by_name"]


def takes_parameters_by_name(function: Callable[..., Any], space: Space, problems: list[Problem]) -> bool:
    """Tell whether a function takes the parameters by name, ``f(lr, hidden)``, or as one dictionary, ``f(config)``.

    Args:
        function: the training function.
        space: the parameters.
        problems: receives what does not match between the function's arguments and the parameters.
    """
    try:
        arguments = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    names = set(map(top_level, space.names))
    by_name = [one for one in arguments if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    required = [one for one in by_name if one.default is one.empty]
    has_kwargs = any(one.kind is one.VAR_KEYWORD for one in arguments)
    if len(required) == 1 and required[0].name not in names and required[0].kind is not inspect.Parameter.KEYWORD_ONLY:
        return False
    missing = [one.name for one in required if one.name not in names]
    surplus = [] if has_kwargs else sorted(names - {one.name for one in by_name})
    called = getattr(function, "__name__", repr(function))
    if missing:
        text = (
            f"{called}() requires {', '.join(missing)}, but the space has {', '.join(sorted(names)) or 'no parameters'}"
        )
        problems.append(Problem(text, code="missing"))
    if surplus:
        text = f"{called}() does not take {', '.join(surplus)}; give it one argument, config, or one for each parameter"
        problems.append(Problem(text, code="unknown"))
    return True


def source_and_reports(function: Callable[..., Any]) -> tuple[str, Reports]:
    """Return the source of a function or class, empty if it is not available, and the metrics that it reports.

    Args:
        function: the training function, or a class, which reports what its method `step` returns.
    """
    if inspect.isclass(function):
        return _source_of_class(function), _reports_of(vars(function).get("step", function), returns=True)
    return _source_of(function), _reports_of(function, returns=True)


def _source_of_class(cls: type) -> str:
    """Return the source of a class, which `inspect` finds by the file of its module only: a notebook has none."""
    codes = [member.__code__ for member in vars(cls).values() if inspect.isfunction(member)]
    for code in codes:
        text = "".join(linecache.getlines(code.co_filename))
        try:
            nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
        except SyntaxError:
            continue
        for node in nodes:
            if node.name == cls.__name__ and node.lineno <= code.co_firstlineno <= (node.end_lineno or 0):
                return textwrap.dedent("".join(text.splitlines(keepends=True)[node.lineno - 1 : node.end_lineno]))
    return ""


def _source_of(function: Callable[..., Any]) -> str:
    try:
        source = textwrap.dedent(inspect.getsource(function))
        ast.parse(source)
    except (OSError, TypeError, SyntaxError):
        return ""
    return source


def _reports_of(function: Callable[..., Any], *, returns: bool) -> Reports:
    """Return the metrics that the source of a function shows; `returns` tells whether what it returns is a report."""
    unknown = Reports((), False, True)
    node = next(iter(ast.parse(_source_of(function)).body), None)
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):  # a lambda, for instance
        return unknown
    generator = any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in ast.walk(node))
    return unknown if generator else find_reports(node.body, returns=returns)


def reported_metrics(reports: Reports, values: Iterable[Any]) -> tuple[str, ...]:
    """Return the metrics that a cell or function reports, also through the notebook's functions that it uses.

    Args:
        reports: the reports in its own source.
        values: the values of the variables that it uses.
    """
    called = [
        metric
        for value in values
        if inspect.isfunction(value) and may_report(value)
        for metric in _reports_of(value, returns=False).metrics
    ]
    return tuple(dict.fromkeys([*reports.metrics, *called]))


def globals_used(function: Callable[..., Any], namespace: Mapping[str, Any]) -> list[str]:
    """Return the names of the global variables that a function or the methods of a class use themselves.

    Args:
        function: the training function or class.
        namespace: the global variables.
    """
    if inspect.isclass(function):
        return [name for name in dict.fromkeys(global_names(function)) if name in namespace]
    code = getattr(inspect.unwrap(function), "__code__", None)
    return [name for name in (code.co_names if code else ()) if name in namespace]
