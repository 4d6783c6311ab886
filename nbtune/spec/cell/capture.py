"""The notebook variables that a program uses, and `Program`, the code that a trial runs."""

from __future__ import annotations

import builtins
import functools
import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbtune.errors import Problem, did_you_mean
from nbtune.spec.cell.names import FreeNames
from nbtune.spec.cell.origin import is_user_module, module_of
from nbtune.spec.cell.parse import HELPERS
from nbtune.spec.cell.reports import Reports, name_may_report, text_may_report

__all__ = [
    "Capture",
    "Program",
    "all_metrics",
    "capture",
    "code_names",
    "functions_of",
    "global_names",
    "may_report",
    "may_save_checkpoints",
    "metric_problems",
    "parts_of",
    "unseen_reporters",
]


@dataclass(frozen=True)
class Program:
    """The code that a trial runs: the body of a cell, or a function.

    Attributes:
        code: the code of the body, or None.
        is_async: whether the body awaits at top level.
        function: the training function, or None; or a subclass of `ray.tune.Trainable`.
        arguments: further arguments of the function, or of the method `setup` of the class.
        by_name: whether the function takes the parameters as keyword arguments, not as one `config` dictionary.
        imports: the top-level packages that the body imports.
        source: the text of the cell, with its magic line; empty for a function.
    """

    code: types.CodeType | None = None
    is_async: bool = False
    function: Callable[..., Any] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    by_name: bool = False
    imports: frozenset[str] = frozenset()
    source: str = ""


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
    for function in functions_of(value):
        if namespace is None or function.__globals__ is namespace:
            yield from code_names(function.__code__)


def functions_of(value: Any) -> Iterator[types.FunctionType]:
    """Yield the functions that a value is or has: itself, or the methods of a class.

    Args:
        value: any value.
    """
    value = inspect.unwrap(value) if callable(value) and hasattr(value, "__wrapped__") else value
    if isinstance(value, types.FunctionType):
        yield value
    elif isinstance(value, type):
        for member in vars(value).values():
            inner = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
            if isinstance(inner, types.FunctionType):
                yield inner


def code_names(code: types.CodeType) -> Iterator[str]:
    """Yield the global names and attributes that code mentions, with inner functions and classes.

    Args:
        code: the code.
    """
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_names(constant)


def may_report(value: Any) -> bool:
    """Tell whether a value may call `report`, or is that function.

    Args:
        value: a variable of the notebook, which `find_reports` does not recognize by its name. Functions, classes and
            what objects consist of are searched for calls; the user's modules and what they define may always report.
    """
    return any(map(_may_report, parts_of(value)))


def _may_report(value: Any) -> bool:
    module = module_of(value) or type(value).__module__
    if name_may_report(str(getattr(value, "__name__", ""))) and not isinstance(value, types.ModuleType):
        return True  # `nbtune.report` itself, under another name
    if module.startswith("nbtune.frameworks"):
        return True
    if module.startswith("nbtune"):
        return False
    for function in functions_of(value):
        names = list(code_names(function.__code__))
        if any(map(name_may_report, names)):
            return True
        if any(text_may_report(constant, names) for constant in _constants(function.__code__)):
            return True
    return is_user_module(module)


_MAX_PARTS = 2000


def parts_of(value: Any) -> Iterator[Any]:
    """Yield a value and what it consists of, of a large one a part only.

    Args:
        value: any value.
    """
    seen, pending, index = {id(value)}, [value], 0
    while index < len(pending):
        one = pending[index]
        index += 1
        yield one
        inner: list[Any] = []
        if isinstance(one, dict):
            inner += one.values()
        elif isinstance(one, (list, tuple, set, frozenset)):
            inner += one
        elif isinstance(one, functools.partial):
            inner += [one.func, *one.args, *one.keywords.values()]
        elif isinstance(one, types.MethodType):
            inner += [one.__func__, one.__self__]
        elif isinstance(one, types.FunctionType):
            inner += [*(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values()]
            inner += [content for cell in one.__closure__ or () for content in _content(cell)]
            inner += vars(one).values()
        elif not isinstance(one, (type, types.ModuleType)):
            inner += [type(one), *(getattr(one, "__dict__", None) or {}).values()]
        for part in inner:
            if id(part) not in seen and len(pending) < _MAX_PARTS:
                seen.add(id(part))
                pending.append(part)


def _content(cell: types.CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # not bound yet
        return []


def _constants(code: types.CodeType) -> Iterator[Any]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _constants(constant)
        else:
            yield constant


def unseen_reporters(captured: Mapping[str, Any]) -> list[Any]:
    """Return captured values, without `report` by its own name: `find_reports` sees its calls in the source.

    Args:
        captured: name -> value.
    """
    return [value for name, value in captured.items() if name != "report" or not module_of(value).startswith("nbtune")]


def metric_problems(
    metrics: Sequence[tuple[str, str]],
    reports: Reports,
    captured: Iterable[Any],
    kind: str,
    imports: Iterable[str] = (),
) -> list[Problem]:
    """Check that the code reports the metrics that options name, as far as its source shows.

    Args:
        metrics: (option, metric) for each of them.
        reports: the reports in the source.
        captured: the notebook's values that the code uses, as `unseen_reporters` returns them.
        kind: "cell" or "function", for the message.
        imports: the top-level packages that the code imports.

    Returns:
        The problem that nothing is reported, or one for each metric that is not.
    """
    if all_metrics(reports, captured, imports) is None:
        return []
    if not reports.any:
        example = next((metric for _, metric in metrics), "accuracy")
        text = f"the {kind} never reports a metric: add report({example}=…), or end it with return {{{example!r}: …}}"
        return [Problem(text, code="missing")]
    names = ", ".join(reports.metrics) or "nothing"
    return [
        Problem(
            f"the {kind} never reports {metric!r}{did_you_mean(metric, reports.metrics)}; it reports {names}",
            code="unknown",
            option=option,
        )
        for option, metric in metrics
        # Ray Tune flattens a reported dictionary: {"val": {"accuracy": 1}} is the metric "val/accuracy".
        if not any(metric == name or metric.startswith(f"{name}/") for name in reports.metrics)
    ]


def all_metrics(reports: Reports, captured: Iterable[Any], imports: Iterable[str] = ()) -> tuple[str, ...] | None:
    """Return the metrics that code reports; None if its source does not show all of them.

    Args:
        reports: the reports in the source.
        captured: the notebook's values that the code uses, as `unseen_reporters` returns them.
        imports: the top-level packages that the code imports.
    """
    if not reports.complete or any(map(may_report, captured)) or any(map(is_user_module, imports)):
        return None
    return reports.metrics


def may_save_checkpoints(reports: Reports, captured: Iterable[Any], imports: Iterable[str] = ()) -> bool:
    """Tell whether code may report checkpoints, as far as its source shows.

    Args:
        reports: the reports in the source.
        captured: the notebook's values that the code uses.
        imports: the top-level packages that the code imports.
    """
    return reports.checkpoints or any(map(may_report, captured)) or any(map(is_user_module, imports))
