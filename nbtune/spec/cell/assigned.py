"""Search spaces that a cell assigns with ``=`` instead of declaring them as parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nbtune.errors import Problem
from nbtune.spec.cell.bindings import bound_names, same_scope
from nbtune.spec.cell.origin import module_of
from nbtune.spec.space.domain import SPACE_FUNCTIONS

__all__ = ["assigned_domains"]

_MODULES = ("nbtune", "ray.tune")
_DOMAIN_METHODS = frozenset({"cast", "is_valid", "quantized", "sample", "get_sampler", "set_sampler"})
"""Methods that only Ray Tune's search space objects have."""
_TAKE_SPACES = frozenset({"Space", "SpaceForm", "Tuner", "from_dict", "isinstance", "run", "tune", *SPACE_FUNCTIONS})
"""Functions with search spaces among their arguments."""
_MAX_SOURCE = 60  # characters of source code in a message


def assigned_domains(statements: Sequence[ast.stmt], namespace: Mapping[str, Any]) -> list[tuple[str, Problem]]:
    """Return the variables that are assigned a search space at the top level of a cell, each with its problem.

    Such a variable is an object of Ray Tune in every trial, and not a value. Variables that are used as such an object
    are left out.

    Args:
        statements: the cell's top-level statements, without those that declare parameters.
        namespace: the notebook's variables; a function of the user's may have the name of a space function.
    """
    functions = _Functions(statements, namespace)
    found = []
    for node in statements:
        for target, value in _assignments(node):
            if not functions.makes_space(value) or _is_used_as_space(target, statements):
                continue
            source = ast.unparse(value)
            source = source if len(source) <= _MAX_SOURCE else f"{source[: _MAX_SOURCE - 3]}..."
            if isinstance(node, ast.AugAssign):
                text = f"declare `{target}_change: {source}` and use {target}_change: parameters are declared with `:`"
            else:
                text = f"write `{target}: {source}`: parameters are declared with `:`; `=` gives them no value"
            found.append((target, Problem(text, value.lineno, "syntax")))
    return found


def _assignments(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Yield the variables that a top-level statement assigns, each with its value; also by ``:=``."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _unpacked(target, node.value)
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)) and node.value is not None:
        yield from _unpacked(node.target, node.value)
    for inner in same_scope([node]):
        if isinstance(inner, ast.NamedExpr):
            yield from _unpacked(inner.target, inner.value)


def _unpacked(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        while isinstance(value, ast.NamedExpr):  # x = (y := …)
            value = value.value
        yield target.id, value
    elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
        starred = any(isinstance(part, ast.Starred) for part in [*target.elts, *value.elts])
        if not starred and len(target.elts) == len(value.elts):
            for one, part in zip(target.elts, value.elts, strict=True):
                yield from _unpacked(one, part)


def _is_used_as_space(name: str, statements: Sequence[ast.stmt]) -> bool:
    """Tell whether code uses a variable as a search space: a method of it, or as an argument where one is expected."""
    for node in (node for statement in statements for node in ast.walk(statement)):
        if isinstance(node, ast.Attribute) and node.attr in _DOMAIN_METHODS and name in _names(node.value):
            return True
        if isinstance(node, ast.Call) and _last_name(node.func) in _TAKE_SPACES:
            arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
            if any(name in _names(argument) for argument in arguments):
                return True
    return False


class _Functions:
    """The space functions that code can call, by the names that it has for them."""

    def __init__(self, statements: Sequence[ast.stmt], namespace: Mapping[str, Any]) -> None:
        self._namespace, self._bound = namespace, set(bound_names(statements))
        self._imported: dict[str, str] = {}  # name -> what it is, "ray.tune" or "nbtune.uniform"
        for node in same_scope(statements):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    self._imported[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                self._imported |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}

    def makes_space(self, node: ast.expr) -> bool:
        """Tell whether an expression is a call of a space function, or a dictionary or condition with one."""
        if isinstance(node, ast.IfExp):
            return self.makes_space(node.body) or self.makes_space(node.orelse)
        if isinstance(node, ast.Dict):
            return any(map(self.makes_space, node.values))
        return isinstance(node, ast.Call) and self._is_space_function(node.func)

    def _is_space_function(self, node: ast.expr) -> bool:
        path = self._path(node)
        module, _, name = path.rpartition(".")
        return name in SPACE_FUNCTIONS and (not module or module in _MODULES)

    def _path(self, node: ast.expr) -> str:
        """Return what a name or attribute is: "ray.tune.uniform"; a space function without import is its own name."""
        if isinstance(node, ast.Attribute):
            base = self._path(node.value)
            return f"{base}.{node.attr}" if base else ""
        if not isinstance(node, ast.Name):
            return ""
        if node.id in self._imported:
            return self._imported[node.id]
        if node.id in self._bound:
            return ""
        if node.id not in self._namespace:
            return node.id
        value = self._namespace[node.id]
        module, name = module_of(value), getattr(value, "__name__", "")
        if name == module:
            return name
        return name if module.startswith(_MODULES) and name in SPACE_FUNCTIONS else ""


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
