"""The functions of the notebook that a program reaches by the names that it reads."""

from __future__ import annotations

import dis
import functools
import inspect
import types
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["CachedFunction", "reached_functions"]

CachedFunction: Any = type(functools.lru_cache(len))
"""The type of what `functools.lru_cache` returns."""

_CALLED_BY_OTHERS = frozenset({"forward", "training_step", "validation_step", "configure_optimizers"})
"""Methods that libraries call; in addition to those with names such as ``__call__``."""
_MAX_DEPTH = 3  # of containers


def reached_functions(program: types.CodeType | Any, namespace: Mapping[str, Any]) -> list[types.FunctionType]:
    """Return the notebook's functions that a program may call, directly or through others, each once.

    Args:
        program: the code of a cell, or a function.
        namespace: the notebook's variables.
    """
    found: dict[int, types.FunctionType] = {}
    pending: list[tuple[types.CodeType, Mapping[str, Any]]] = []

    def add(value: Any, attributes: frozenset[str]) -> None:
        for function in _functions(value, attributes, 0):
            ours = function.__module__ == "__main__" or function.__globals__ is namespace
            if ours and id(function) not in found:
                found[id(function)] = function
                pending.append((function.__code__, function.__globals__))
                for cell in function.__closure__ or ():
                    try:
                        add(cell.cell_contents, attributes)
                    except ValueError:  # not bound yet
                        continue

    if isinstance(program, types.CodeType):
        pending.append((program, namespace))
    else:
        add(program, frozenset())
    while pending:
        code, variables = pending.pop()
        names, attributes = _names(code)
        for name in names:
            if name in variables:
                add(variables[name], attributes)
    return list(found.values())


def _names(code: types.CodeType) -> tuple[set[str], frozenset[str]]:
    """Return the global names that code reads, and the names of its attributes."""
    names, attributes = set(), set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_GLOBALS"):
            names.add(str(instruction.argval))
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add(str(instruction.argval))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = _names(constant)
            names |= inner[0]
            attributes |= inner[1]
    return names, frozenset(attributes)


def _functions(value: Any, attributes: frozenset[str], depth: int) -> Iterator[types.FunctionType]:
    """Yield the functions that code may call by using a value: of a class, those that it mentions."""
    if isinstance(value, types.FunctionType):
        yield value
        if hasattr(value, "__wrapped__"):
            yield from _functions(inspect.unwrap(value), attributes, depth)
    elif isinstance(value, (functools.partial, functools.partialmethod)):
        yield from _functions(value.func, attributes, depth)
    elif isinstance(value, types.MethodType):
        yield from _functions(value.__func__, attributes, depth)
    elif isinstance(value, (staticmethod, classmethod, CachedFunction)):
        yield from _functions(value.__wrapped__, attributes, depth)
    elif isinstance(value, property):
        yield from _functions(value.fget, attributes, depth)
    elif isinstance(value, (dict, list, tuple, set, frozenset)):
        if depth < _MAX_DEPTH and len(value) < 1000:
            for entry in value.values() if isinstance(value, dict) else value:
                yield from _functions(entry, attributes, depth + 1)
    else:
        kind = value if isinstance(value, type) else type(value)
        if kind.__module__ != "__main__" or depth >= _MAX_DEPTH:
            return
        for base in kind.__mro__:
            if base.__module__ != "__main__":
                continue
            for name, member in vars(base).items():
                if name in attributes or name in _CALLED_BY_OTHERS or (name.startswith("__") and name.endswith("__")):
                    yield from _functions(member, attributes, _MAX_DEPTH - 1 if isinstance(member, type) else depth)
        if not isinstance(value, type):
            for member in getattr(value, "__dict__", {}).values():
                yield from _functions(member, attributes, depth + 1)
