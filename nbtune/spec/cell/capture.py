"""The notebook variables that a program uses, and `Program`, the code that a trial runs."""

from __future__ import annotations

import builtins
import inspect
import linecache
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.errors import Problem, did_you_mean
from nbtune.spec.cell.names import FreeNames
from nbtune.spec.cell.origin import is_user_module, module_of
from nbtune.spec.cell.parse import HELPERS, Cell
from nbtune.spec.cell.reports import Reports, name_may_report

__all__ = [
    "Capture",
    "Program",
    "capture",
    "global_names",
    "may_report",
    "may_save_checkpoints",
    "metric_problems",
    "notebook_sources",
]


@dataclass(frozen=True)
class Program:
    """The code that a trial runs: the body of a cell, or a function.

    Attributes:
        code: the code of the body, or None.
        is_async: whether the body awaits at top level.
        function: the training function, or None.
        by_name: whether the function takes the parameters as keyword arguments, not as one `config` dictionary.
        imports: the top-level packages that the body imports.
        sources: file name -> (its label in a traceback, its text), for the code of notebook cells.
    """

    code: types.CodeType | None = None
    is_async: bool = False
    function: Callable[..., Any] | None = None
    by_name: bool = False
    imports: frozenset[str] = frozenset()
    sources: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Capture:
    """The notebook variables that a program uses.

    Attributes:
        values: name -> value, including the globals of the notebook's functions and classes among the values.
        optional: the names in `values` that the program may not need.
        problems: the names that are not defined.
    """

    values: dict[str, Any]
    optional: set[str]
    problems: list[Problem]


def capture(names: FreeNames, namespace: Mapping[str, Any]) -> Capture:
    """Collect the values of the names that a program reads from the notebook.

    Args:
        names: the free names of the program.
        namespace: the notebook's variables.
    """
    values: dict[str, Any] = {}
    problems = []
    for name, line in names.needed.items():
        if name in _IPYTHON_BUILTINS and name not in namespace:
            problems.append(
                Problem(
                    f"{name!r} is a function of the notebook and not available in a trial; use print or report",
                    line,
                    "unsupported",
                )
            )
            continue
        if _is_builtin(name, namespace):
            continue
        if name in namespace:
            values[name] = namespace[name]
        elif name not in HELPERS and not names.star_import:
            known = [key for key in namespace if not key.startswith("_")] + list(HELPERS)
            problems.append(Problem(f"{name!r} is not defined{did_you_mean(name, known)}", line, "unknown"))
    optional = {name for name in names.optional if name in namespace} - set(values)
    values.update({name: namespace[name] for name in optional})
    pending = list(values.values())
    while pending:
        for name in global_names(pending.pop(), namespace):
            if name in namespace and name not in values and not _is_builtin(name, namespace):
                # Optional, because the program may not call the function on a path that reads the name.
                values[name] = namespace[name]
                optional.add(name)
                pending.append(namespace[name])
    return Capture(values, optional, problems)


_IPYTHON_BUILTINS = {"display", "get_ipython"}
"""The names that IPython adds to Python's builtins."""


def _is_builtin(name: str, namespace: Mapping[str, Any]) -> bool:
    if not hasattr(builtins, name):
        return False
    return name not in namespace or namespace[name] is getattr(builtins, name)


def global_names(value: Any, namespace: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Yield the global names and attributes that the code of a function or class mentions.

    Args:
        value: the function or class; other values yield nothing.
        namespace: skip functions whose globals are another dictionary; None skips none.
    """
    for function in _functions(value):
        if namespace is None or function.__globals__ is namespace:
            yield from _code_names(function.__code__)


def _functions(value: Any) -> Iterator[types.FunctionType]:
    value = inspect.unwrap(value) if callable(value) and hasattr(value, "__wrapped__") else value
    if isinstance(value, types.FunctionType):
        yield value
    elif isinstance(value, type):
        for member in vars(value).values():
            inner = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
            if isinstance(inner, types.FunctionType):
                yield inner


def _code_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code_names(constant)


def may_report(value: Any) -> bool:
    """Tell whether a value may call `report`.

    Args:
        value: a variable of the notebook. Functions and classes are searched for calls; the user's modules and what
            they define may always report.
    """
    module = module_of(value)
    if module.startswith("nbtune.frameworks"):
        return True
    if module.startswith("nbtune"):  # from ``from nbtune import *``; `find_reports` sees its calls in the source
        return False
    if any(name_may_report(name) for function in _functions(value) for name in _code_names(function.__code__)):
        return True
    return is_user_module(module)


def metric_problems(
    metric: str | None, reports: Reports, captured: Iterable[Any], kind: str, imports: Iterable[str] = ()
) -> list[Problem]:
    """Check that the code reports the metric, as far as its source shows.

    Args:
        metric: the metric to optimize, or None.
        reports: the reports in the source.
        captured: the notebook's values that the code uses.
        kind: "cell" or "function", for the message.
        imports: the top-level packages that the code imports.

    Returns:
        A list with one problem, or an empty list.
    """
    if not reports.complete or any(map(may_report, captured)) or any(map(is_user_module, imports)):
        return []
    if not reports.any:
        example = metric or "accuracy"
        text = f"the {kind} never reports a metric: add report({example}=…), or end it with return {{{example!r}: …}}"
        return [Problem(text, code="missing")]
    # Ray Tune flattens a reported dictionary: {"val": {"accuracy": 1}} is the metric "val/accuracy".
    known = metric is None or any(metric == name or metric.startswith(f"{name}/") for name in reports.metrics)
    if not known:
        names = ", ".join(reports.metrics) or "nothing"
        hint = did_you_mean(str(metric), reports.metrics)
        return [
            Problem(f"the {kind} never reports {metric!r}{hint}; it reports {names}", code="unknown", option="metric")
        ]
    return []


def may_save_checkpoints(reports: Reports, captured: Iterable[Any], imports: Iterable[str] = ()) -> bool:
    """Tell whether code may report checkpoints, as far as its source shows.

    Args:
        reports: the reports in the source.
        captured: the notebook's values that the code uses.
        imports: the top-level packages that the code imports.
    """
    return reports.checkpoints or any(map(may_report, captured)) or any(map(is_user_module, imports))


def notebook_sources(
    cell: Cell | None, values: Iterable[Any], namer: Callable[[str], str | None]
) -> dict[str, tuple[str, str]]:
    """Return the source of the notebook's code, for tracebacks.

    Args:
        cell: the cell that runs in the trials, or None.
        values: the captured values; the cells that define functions and classes among them are included.
        namer: file name -> its label in a traceback, or None if the file is not a notebook cell.

    Returns:
        File name -> (label, source).
    """
    sources: dict[str, tuple[str, str]] = {}
    if cell is not None:
        sources[cell.filename] = (namer(cell.filename) or f'File "{cell.filename}"', cell.source)
    for value in values:
        for function in _functions(value):
            filename = function.__code__.co_filename
            name = namer(filename)
            if name and filename not in sources:
                sources[filename] = (name, "".join(linecache.getlines(filename)))
    return sources
