"""The code of an experiment with the values of one trial, as a cell that runs without tuning."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nbtune.bad_input import parse_code
from nbtune.errors import SpecError
from nbtune.spec.cell.declared import declarations
from nbtune.spec.cell.versions import without_magic
from nbtune.spec.space.space import Space
from nbtune.spec.space.to_cell import space_to_cell
from nbtune.spec.space.values import literal

__all__ = ["declared_with", "plain_cell"]


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
    """
    comment = f"# {title}"
    configuration = "config = {" + ", ".join(f"{name!r}: {literal(value)}" for name, value in config.items()) + "}"
    if not source.startswith("%%"):
        name = _function_of(source)
        return "\n".join([comment, configuration, *([f"{name}(config)"] if name else [])])
    text = without_magic(source)
    tree = _parsed(text)
    if tree is None:
        return f"{comment}\n{configuration}"
    lines = text.split("\n")
    nodes: list[Any] = declarations(tree.body, {})
    for node in reversed(nodes):
        name = ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else None
        if name is not None and name not in config:
            continue
        lines[node.lineno - 1 : node.end_lineno] = [] if name is None else [f"{name} = {literal(config[name])}"]
    return "\n".join([comment, *lines])


def _parsed(text: str) -> ast.Module | None:
    try:
        return parse_code(text)
    except SyntaxError:  # it has IPython's magics, for instance
        return None


def _function_of(source: str) -> str | None:
    tree = _parsed(source.strip())
    body = [] if tree is None else tree.body
    functions = [node.name for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return functions[0] if functions and not keyword.iskeyword(functions[0]) else None
