"""The modules that training code imports, as far as its code and the values that it uses show."""

from __future__ import annotations

import ast
import dis
import importlib.util
import types
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from nbtune.spec.cell.capture import functions_of, global_names, parts_of
from nbtune.spec.cell.origin import is_user_module, module_of

__all__ = ["imported_modules", "uses_ray_data"]

_IMPORTING = ("import_module", "__import__")
"""Functions that import the module whose name is their first argument."""
_BETWEEN_CALL_AND_ARGUMENT = ("PUSH_NULL", "CACHE", "NOP")


def imported_modules(values: Iterable[Any]) -> set[str]:
    """Return the names of the modules that code imports or uses, with dots.

    Of the user's own modules, all counts that they import; but of a function or class of theirs that is used, only what
    that uses. Libraries are not searched. Nothing is imported.

    Args:
        values: code objects, and the values that they use: modules, functions, classes and other objects.
    """
    found, searched = set[str](), set[str]()
    is_own = cache(is_user_module)
    pending, seen = list(values), set[int]()
    while pending:
        for part in parts_of(pending.pop()):
            if id(part) in seen:
                continue
            seen.add(id(part))
            if isinstance(part, types.CodeType):
                _search(_imports(part), searched, is_own)
            elif isinstance(part, types.ModuleType):
                _search([part.__name__], searched, is_own)
            elif isinstance(part, type):
                found.update(str(base.__module__) for base in part.__mro__)
                pending += [base for base in part.__mro__ if is_own(str(base.__module__))]
            elif module := module_of(part):
                found.add(module)
            for function in functions_of(part):
                pending.append(function.__code__)
                if is_own(str(function.__module__)):
                    names = set(global_names(function)) & function.__globals__.keys()
                    pending += [function.__globals__[name] for name in names]
    return found | searched


def uses_ray_data(code: types.CodeType) -> bool:
    """Tell whether code mentions `ray.data`, by an import or as an attribute. Inner functions are not searched.

    Args:
        code: the code.
    """
    before, package = "", ""
    for instruction in dis.get_instructions(code):
        name = str(instruction.argval)
        if instruction.opname == "IMPORT_NAME":
            package = name
            if name == "ray.data" or name.startswith("ray.data."):
                return True
        elif name == "data" and ((instruction.opname == "IMPORT_FROM" and package == "ray") or before == "ray"):
            return True
        before = name if instruction.opname.startswith("LOAD_") else ""
    return False


def _search(names: Iterable[str], searched: set[str], is_own: Callable[[str], bool]) -> None:
    """Add modules to those that were searched, and what the user's own ones among them import."""
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in searched:
            searched.add(name)
            if is_own(name) and (file := _file_of(name)) is not None:
                pending += _statements(file, name)


def _file_of(name: str) -> Path | None:
    """Return the file of one of the user's modules; None if there is none, for instance of a function of a module."""
    top, *rest = name.split(".")
    spec = importlib.util.find_spec(top)
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin)
    if not rest:
        return file
    inner = file.parent.joinpath(*rest)
    candidates = [inner.with_name(f"{inner.name}.py"), inner / "__init__.py"] if file.name == "__init__.py" else []
    return next((one for one in candidates if one.is_file()), None)


def _statements(file: Path, name: str) -> Iterator[str]:
    """Yield the modules that a module imports.

    Args:
        file: its file.
        name: its name.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):  # it cannot be imported in a trial either, or is no source
        return
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
            argument = node.args[0] if called in _IMPORTING and node.args else None
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)  # perhaps modules of that package


def _imports(code: types.CodeType) -> Iterator[str]:
    """Yield the modules that code imports, by statements or by name, in inner functions and classes, too."""
    package, called = "", False
    for instruction in dis.get_instructions(code):
        if called and instruction.opname == "LOAD_CONST" and isinstance(instruction.argval, str):
            yield instruction.argval
        if instruction.opname not in _BETWEEN_CALL_AND_ARGUMENT:
            called = instruction.opname.startswith("LOAD_") and instruction.argval in _IMPORTING
        if instruction.opname == "IMPORT_NAME":
            package = str(instruction.argval)
            yield package
        elif instruction.opname == "IMPORT_FROM":  # perhaps a module of that package
            yield f"{package}.{instruction.argval}"
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imports(constant)
