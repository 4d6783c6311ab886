"""The modules that training code imports, as far as its code and the values that it uses show."""

from __future__ import annotations

import dis
import types
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nbtune.spec.cell.capture import code_names, functions_of, parts_of
from nbtune.spec.cell.origin import module_of
from nbtune.spec.cell.own_modules import EXECUTED, IMPORTING, OwnModules, Path

__all__ = ["Mentions", "mentions_of", "uses_ray_data"]

_BETWEEN_CALL_AND_ARGUMENT = ("PUSH_NULL", "CACHE", "NOP")
_FOLLOWS_A_NAME = ("CACHE", "NOP", "EXTENDED_ARG", "PUSH_NULL")


@dataclass(frozen=True)
class Mentions:
    """What code mentions.

    Attributes:
        modules: the modules that it imports or uses, with dots; also what is imported from them.
        names: its names and attributes.
    """

    modules: set[str]
    names: set[str]


def mentions_of(code: Iterable[Any], variables: Mapping[str, Any]) -> Mentions:
    """Return what code mentions, with the functions and classes that it uses.

    Of the user's own modules, only what the code uses counts, and what that uses in turn. Libraries are not searched.
    Nothing is imported.

    Args:
        code: code objects and functions.
        variables: the notebook's variables that they use: modules, functions, classes and other objects.
    """
    own, found, names = OwnModules(), set[str](), set[str]()
    modules = {name: one for name, one in variables.items() if own.has(one)}
    unseen = set(modules)
    seen = set[int]()
    for value in [*code, *(one for name, one in variables.items() if name not in modules)]:
        for part in parts_of(value):
            if id(part) in seen:
                continue
            seen.add(id(part))
            if isinstance(part, types.ModuleType):
                own.use(part.__name__)
            elif isinstance(part, type):
                for base in part.__mro__:
                    own.use_object(str(base.__module__), base.__qualname__)
            elif module := module_of(part):
                own.use_object(module, str(getattr(part, "__qualname__", "")))
            functions = [one for one in functions_of(part) if not own.use_object(one.__module__, one.__qualname__)]
            for body in [part] if isinstance(part, types.CodeType) else [one.__code__ for one in functions]:
                found.update(_imports(body))
                names.update(code_names(body))
                unseen -= _use(body, modules, own)
    for name in unseen:  # it is used in a way that its code does not show
        own.use(modules[name].__name__)
    return Mentions(found | own.imported, names | own.names)


def _use(code: types.CodeType, modules: Mapping[str, types.ModuleType], own: OwnModules) -> set[str]:
    """Note what code uses of the user's own modules; return the names of variables with one that it mentions.

    Args:
        code: the code, with inner functions and classes.
        modules: name -> the module in the variable of this name.
        own: notes it.
    """
    paths = defaultdict[str, set[Path]](set)
    for name, path in _loads(code):
        paths[name].add(path)
    for module, name, alias in _import_statements(code):
        if not alias:
            own.use(module, EXECUTED)
        elif name == "*":
            own.use_all_names(module, ((loaded, *path) for loaded, found in paths.items() for path in found))
        else:
            own.use(module, *((name, *path) if name else path for path in paths.get(alias, [()])))
    for name in modules.keys() & paths.keys():
        own.use(modules[name].__name__, *paths[name])
    return modules.keys() & paths.keys()


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


def _loads(code: types.CodeType) -> Iterator[tuple[str, Path]]:
    """Yield the names that code loads, each with the attributes that are taken of it: ("x", ("a", "b")) for x.a.b.

    Args:
        code: the code, with inner functions and classes.
    """
    name, path = "", Path()
    for instruction in dis.get_instructions(code):
        kind, value = instruction.opname, instruction.argval
        if kind in _FOLLOWS_A_NAME:
            continue
        if kind in ("LOAD_ATTR", "LOAD_METHOD") and name:
            path = (*path, str(value))
            continue
        if name:
            yield name, path
        name, path = "", Path()
        if kind.startswith(
            ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF", "STORE_FAST_LOAD")
        ):
            loaded = value if isinstance(value, tuple) else (value,)  # Python 3.13 loads two with one instruction
            if len(loaded) == 2 and not kind.startswith("STORE"):
                yield str(loaded[0]), ()
            name = str(loaded[-1])
    if name:
        yield name, path
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _loads(constant)


def _import_statements(code: types.CodeType) -> Iterator[tuple[str, str, str]]:
    """Yield what import statements bind: the module, what is imported from it or "", and the variable or "".

    Args:
        code: the code, with inner functions and classes.
    """
    instructions = [one for one in dis.get_instructions(code) if one.opname not in _FOLLOWS_A_NAME]
    module, imported = "", ""
    names: Any = None
    for position, instruction in enumerate(instructions):
        kind, value = instruction.opname, instruction.argval
        if kind == "IMPORT_NAME":
            module, names, imported = str(value), instructions[position - 1].argval, ""
            if names and "*" in names:
                yield module, "*", "*"
                module = ""
        elif kind == "IMPORT_FROM":
            imported = str(value)
        elif kind.startswith("STORE_") and module:
            alias = str(value[0] if isinstance(value, tuple) else value)
            if names:
                yield module, imported, alias
            else:  # import a.b binds a, but import a.b as c binds a.b
                yield module if imported or alias != module.partition(".")[0] else alias, "", alias
                if not imported and module != alias:
                    yield module, "", ""
                module = ""
        elif kind == "POP_TOP" and names:
            module = ""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _import_statements(constant)


def _imports(code: types.CodeType) -> Iterator[str]:
    """Yield the modules that code imports, by statements or by name, in inner functions and classes, too."""
    package, called = "", False
    for instruction in dis.get_instructions(code):
        if called and instruction.opname == "LOAD_CONST" and isinstance(instruction.argval, str):
            yield instruction.argval
        if instruction.opname not in _BETWEEN_CALL_AND_ARGUMENT:
            called = instruction.opname.startswith("LOAD_") and instruction.argval in IMPORTING
        if instruction.opname == "IMPORT_NAME":
            package = str(instruction.argval)
            yield package
        elif instruction.opname == "IMPORT_FROM":  # perhaps a module of that package
            yield f"{package}.{instruction.argval}"
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imports(constant)
