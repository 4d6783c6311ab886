"""Which of the notebook's variables a program takes along, and what a program is."""

from __future__ import annotations

import builtins
import inspect
import linecache
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.errors import Problem, did_you_mean
from nbtune.spec.cell.names import Names
from nbtune.spec.cell.origin import is_users_own, module_of
from nbtune.spec.cell.parse import HELPERS, Cell
from nbtune.spec.cell.reports import Reports, may_report_by

__all__ = ["Capture", "Program", "capture", "may_report", "metric_problems", "names_used", "saves", "sources_of"]


@dataclass(frozen=True)
class Program:
    """What a trial runs: a cell's body or a function.

    Attributes:
        code: the code of the cell's body, or None.
        is_async: whether it awaits at top level.
        function: the training function, or None.
        by_name: whether the function takes the parameters one by one, not as one `config`.
        imports: the packages that the program imports itself.
        sources: file name -> (what to call it in a traceback, its text), for the notebook's code.
    """

    code: types.CodeType | None = None
    is_async: bool = False
    function: Callable[..., Any] | None = None
    by_name: bool = False
    imports: frozenset[str] = frozenset()
    sources: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Capture:
    """The notebook variables that a cell takes along.

    Attributes:
        values: name -> value, those of the functions it calls included.
        optional: names among them that the cell perhaps does not need.
        problems: names that are nowhere.
    """

    values: dict[str, Any]
    optional: set[str]
    problems: list[Problem]


def capture(names: Names, namespace: Mapping[str, Any]) -> Capture:
    """Find the values of the names that a cell takes from outside.

    Args:
        names: what it reads.
        namespace: the notebook's variables.
    """
    values: dict[str, Any] = {}
    problems = []
    for name, line in names.needed.items():
        if name in _NOTEBOOKS_OWN and name not in namespace:
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
        elif name not in HELPERS and not names.star:
            known = [key for key in namespace if not key.startswith("_")] + list(HELPERS)
            problems.append(Problem(f"{name!r} is not defined{did_you_mean(name, known)}", line, "unknown"))
    optional = {name for name in names.maybe if name in namespace} - set(values)
    values.update({name: namespace[name] for name in optional})
    pending = list(values.values())
    while pending:
        for name in names_used(pending.pop(), namespace):
            if name in namespace and name not in values and not _is_builtin(name, namespace):
                # What the notebook's functions use may not be used on the way that the cell goes.
                values[name] = namespace[name]
                optional.add(name)
                pending.append(namespace[name])
    return Capture(values, optional, problems)


_NOTEBOOKS_OWN = {"display", "get_ipython"}
"""What IPython adds to Python's builtins."""


def _is_builtin(name: str, namespace: Mapping[str, Any]) -> bool:
    if not hasattr(builtins, name):
        return False
    return name not in namespace or namespace[name] is getattr(builtins, name)


def names_used(value: Any, namespace: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Yield the global names that a function or class uses.

    Args:
        value: it; what is neither uses none.
        namespace: only where these are its globals, or in any case if None.
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
    """Tell whether something of the notebook may report: its text says so, or is the user's own module's."""
    module = module_of(value)
    if module.startswith("nbtune.frameworks"):
        return True
    if module.startswith("nbtune"):  # ``from nbtune import *``: its calls are read in the text
        return False
    if any(may_report_by(name) for function in _functions(value) for name in _code_names(function.__code__)):
        return True
    return is_users_own(module)


def metric_problems(
    metric: str | None, reports: Reports, captured: Iterable[Any], what: str, imports: Iterable[str] = ()
) -> list[Problem]:
    """Return what is wrong with the metric, as far as the text shows.

    Args:
        metric: the metric to optimise.
        reports: what the text reports.
        captured: the notebook's values that the text uses.
        what: what the text is, for messages: "cell" or "function".
        imports: the packages that the text imports.
    """
    if not reports.complete or any(map(may_report, captured)) or any(map(is_users_own, imports)):
        return []
    if not reports.any:
        example = metric or "accuracy"
        text = f"the {what} never reports a metric: add report({example}=…), or end it with return {{{example!r}: …}}"
        return [Problem(text, code="missing")]
    # Of a reported dictionary Ray Tune makes "val/accuracy".
    known = metric is None or any(metric == name or metric.startswith(f"{name}/") for name in reports.metrics)
    if not known:
        names = ", ".join(reports.metrics) or "nothing"
        hint = did_you_mean(str(metric), reports.metrics)
        return [
            Problem(f"the {what} never reports {metric!r}{hint}; it reports {names}", code="unknown", option="metric")
        ]
    return []


def saves(reports: Reports, captured: Iterable[Any], imports: Iterable[str] = ()) -> bool:
    """Tell whether code may report checkpoints, as far as the text shows.

    Args:
        reports: what the text reports.
        captured: the notebook's values that the text uses.
        imports: the packages that the text imports.
    """
    return reports.checkpoints or any(map(may_report, captured)) or any(map(is_users_own, imports))


def sources_of(
    cell: Cell | None, values: Iterable[Any], namer: Callable[[str], str | None]
) -> dict[str, tuple[str, str]]:
    """Return the text of the notebook's code, for tracebacks.

    Args:
        cell: the cell, or None.
        values: functions and classes that travel along.
        namer: file name -> what to call it, or None if it is no notebook cell's.
    """
    found: dict[str, tuple[str, str]] = {}
    if cell is not None:
        found[cell.filename] = (namer(cell.filename) or f'File "{cell.filename}"', cell.source)
    for value in values:
        for function in _functions(value):
            filename = function.__code__.co_filename
            name = namer(filename)
            if name and filename not in found:
                found[filename] = (name, "".join(linecache.getlines(filename)))
    return found
