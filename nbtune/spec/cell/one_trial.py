"""The code of an experiment with the values of one trial, as a cell that runs without tuning."""

from __future__ import annotations

import ast
import keyword
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nbtune.bad_input import parse_code
from nbtune.errors import SpecError
from nbtune.spec.cell.declared import declarations
from nbtune.spec.cell.versions import without_magic
from nbtune.spec.space.space import Space
from nbtune.spec.space.to_cell import space_to_cell

__all__ = ["declared_with", "plain_cell"]

_PLAIN = (bool, int, str, float, type(None))


def declared_with(space: Space, parameters: Mapping[str, Any]) -> str:
    """Return the lines of a cell that declare a space with the values of a trial as defaults.

    Args:
        space: the space.
        parameters: the values by name; nested parameters have joined names, "a/b".

    Returns:
        The lines; empty if the name of a parameter is not a valid variable name.
    """
    known = [replace(p, default=parameters[p.name]) if p.name in parameters else p for p in space.parameters]
    try:
        return space_to_cell(replace(space, parameters=tuple(known)))
    except SpecError:
        return ""


def plain_cell(source: str, config: Mapping[str, Any], title: str) -> str:
    """Return a cell that runs the code of an experiment once, with the values of a trial, without tuning.

    In a `%%tune` cell, values are assigned where parameters were declared, and constraints are left out. A function is
    called with the configuration.

    Args:
        source: the text of the cell with its magic line, or of the function; empty if it is unknown.
        config: the parameters, nested.
        title: a comment for its first line.

    Returns:
        The cell; empty if the code cannot be read, as with IPython's magics, or a value has no text as code.
    """
    values = {name: _code(value) for name, value in config.items()}
    written = {name: value for name, value in values.items() if value is not None}
    tree = _parsed(without_magic(source) if source.startswith("%%") else source.strip())
    if tree is None or len(written) < len(values):
        return ""
    if not source.startswith("%%"):
        name = _function_of(tree)
        configuration = "config = {" + ", ".join(f"{name!r}: {value}" for name, value in written.items()) + "}"
        return f"# {title}\n{configuration}\n{name}(config)" if name else ""
    lines = [line.encode() for line in without_magic(source).split("\n")]
    on_line = Counter(number for one in tree.body for number in {one.lineno, one.end_lineno})
    declared = set()
    nodes: list[Any] = declarations(tree.body, {})
    for node in reversed(nodes):
        name = ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else None
        if name is not None:
            declared.add(name)
            if name not in config:
                continue
        if name is None and on_line[node.lineno] == on_line[node.end_lineno] == 1:
            del lines[node.lineno - 1 : node.end_lineno]
            continue
        text = "pass" if name is None else f"{name} = {written[name]}"
        before, after = lines[node.lineno - 1][: node.col_offset], lines[node.end_lineno - 1][node.end_col_offset :]
        lines[node.lineno - 1 : node.end_lineno] = [before + text.encode() + after]
    other = [name for name in written if name not in declared]  # of the option `space`
    if not all(name.isidentifier() and not keyword.iskeyword(name) for name in other):
        return ""
    return "\n".join(
        [f"# {title}", *(f"{name} = {written[name]}" for name in other), *(line.decode() for line in lines)]
    )


def _code(value: Any) -> str | None:
    """Return a value as code; None if it has none, as an object."""
    if value is None or isinstance(value, (bool, int, str)):
        return repr(value) if type(value) in _PLAIN else None
    if type(value) is float:
        return repr(value) if math.isfinite(value) else f'float("{value}")'
    if type(value) is dict:
        entries = {repr(name): _code(one) for name, one in value.items() if type(name) in _PLAIN}
        if len(entries) < len(value) or None in entries.values():
            return None
        return "{" + ", ".join(f"{name}: {one}" for name, one in entries.items()) + "}"
    if type(value) in (list, tuple):
        parts = [_code(one) for one in value]
        if None in parts:
            return None
        inside = ", ".join(str(part) for part in parts)
        if type(value) is list:
            return f"[{inside}]"
        return f"({inside},)" if len(parts) == 1 else f"({inside})"
    return None


def _parsed(text: str) -> ast.Module | None:
    try:
        return parse_code(text)
    except SyntaxError:  # it has IPython's magics, for instance
        return None


def _function_of(tree: ast.Module) -> str | None:
    functions = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return functions[0] if functions and not keyword.iskeyword(functions[0]) else None
