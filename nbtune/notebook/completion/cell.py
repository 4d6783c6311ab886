"""What the text of a cell tells while it is being written: its parameters and the metrics that it reports."""

from __future__ import annotations

import ast
import inspect
import time
import types
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.spec.cell.declared import declarations
from nbtune.spec.cell.reports import find_reports

__all__ = ["CellFacts", "metrics_of_function", "read_cell"]

_MAX_SOURCE = 200_000  # characters
_MAX_SECONDS = 0.2


@dataclass(frozen=True)
class CellFacts:
    """What a cell declares and reports.

    Attributes:
        parameters: the parameters -> the keys of those that are dictionaries.
        metrics: the metrics.
    """

    parameters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()


def read_cell(body: str) -> CellFacts:
    """Return what a cell tells; lines that are not valid Python are left out.

    Args:
        body: its text without the magic line.
    """
    tree = _parse(body)
    if tree is None:
        return CellFacts()
    try:
        declared = declarations(tree.body, {})
        others = [node for node in tree.body if node not in declared]
        return CellFacts(_parameters(declared), find_reports(others, returns=True).metrics)
    except RecursionError:
        return CellFacts()


def metrics_of_function(function: Any) -> tuple[str, ...]:
    """Return the metrics that a function reports, as far as its source shows.

    Args:
        function: any value.
    """
    if type(function) is not types.FunctionType:
        return ()
    try:
        tree = _parse(inspect.cleandoc(f"\n{inspect.getsource(function.__code__)}"))
    except (OSError, TypeError, SyntaxError):
        return ()
    if tree is None or not tree.body or not isinstance(tree.body[0], (ast.FunctionDef, ast.AsyncFunctionDef)):
        return ()
    return find_reports(tree.body[0].body, returns=True).metrics


def _parameters(declared: list[ast.stmt]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for node in declared:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            keys = node.annotation.keys if isinstance(node.annotation, ast.Dict) else []
            names = [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
            found[node.target.id] = tuple(names)
    return found


def _parse(source: str) -> ast.Module | None:
    """Parse a text; a line that is not valid Python, such as the one at the cursor, counts as `pass`."""
    if len(source) > _MAX_SOURCE:
        return None
    lines, replaced = source.split("\n"), set[int]()
    end = time.monotonic() + _MAX_SECONDS
    while time.monotonic() < end:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse("\n".join(lines))
        except SyntaxError as error:
            number = min((error.lineno or 1), len(lines)) - 1
            while number >= 0 and (number in replaced or not lines[number].strip()):
                number -= 1  # the parser stops after the line that is wrong
            if number < 0:
                return None
            replaced.add(number)
            line = lines[number]
            lines[number] = f"{line[: len(line) - len(line.lstrip())]}pass"
        except (ValueError, RecursionError, MemoryError):
            return None
    return None
