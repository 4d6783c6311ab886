"""Pickles whose classes cannot all be found, such as those that a cell defines: substitutes for the missing ones."""

from __future__ import annotations

import pickle
import types
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["TOLERANT", "MissingClassError", "find_missing", "missing_class_error"]


class MissingClassError(AttributeError):
    """A class that a pickle refers to cannot be found."""


class _MissingType(type):
    """The type of the substitutes, whose attributes are nested classes or members, substitutes as well."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _MissingType(name, (_Missing,), {"_nbtune_name": f"{cls._nbtune_name}.{name}"})


class _Missing(metaclass=_MissingType):
    """The base of the substitutes. They accept whatever a pickle does with the real class."""

    _nbtune_name = ""

    def __new__(cls, *given: Any, **named: Any) -> Any:
        self = super().__new__(cls)
        self.__dict__["_nbtune_parts"] = [*given, *named.values()]
        return self

    def __init__(self, *given: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.__dict__["_nbtune_parts"].append(state)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.__dict__["_nbtune_parts"] += [key, value]

    def append(self, value: Any) -> None:
        self.__dict__["_nbtune_parts"].append(value)

    def extend(self, values: Iterable[Any]) -> None:
        self.__dict__["_nbtune_parts"] += values


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except (AttributeError, ImportError):
            full = f"{module}.{name}"
            return _MissingType(name.rpartition(".")[2], (_Missing,), {"_nbtune_name": full})


TOLERANT = types.ModuleType("nbtune_tolerant_pickle", "In place of the module `pickle` in `torch.load`.")
vars(TOLERANT).update(Unpickler=_Unpickler, load=lambda file, **named: _Unpickler(file, **named).load())


def find_missing(value: Any) -> list[str]:
    """Return the full names of the missing classes in an object, sorted.

    Args:
        value: an object that was read with `TOLERANT`.
    """
    found, seen, pending = set(), {id(value)}, [value]
    while pending:
        one = pending.pop()
        kind = one if isinstance(one, type) else type(one)
        found |= {base.__dict__["_nbtune_name"] for base in kind.__mro__ if base.__dict__.get("_nbtune_name")}
        parts: list[Any] = []
        if isinstance(one, dict):
            parts += [*one.keys(), *one.values()]
        elif isinstance(one, (list, tuple, set, frozenset)):
            parts += one
        if isinstance(one, types.MethodType):
            parts.append(one.__self__)
        for state in (getattr(one, "__dict__", None), getattr(one, "args", None), getattr(one, "func", None)):
            if state is not None and not isinstance(one, (type, types.ModuleType, types.FunctionType)):
                parts.append(state)
        for part in parts:
            if id(part) not in seen and not isinstance(part, (str, bytes, int, float, type(None))):
                seen.add(id(part))
                pending.append(part)
    return sorted(found)


def missing_class_error(classes: Sequence[str], entries: str, readable: Sequence[Any] = ()) -> MissingClassError:
    """Return the error for entries of a checkpoint that need classes that cannot be found.

    Args:
        classes: the full names of the classes.
        entries: what needs them.
        readable: the keys of the entries that can be read.
    """
    own = [name.partition(".")[2] for name in classes if name.startswith("__main__.")]
    others = [name for name in classes if not name.startswith("__main__.")]
    advice = []
    if own:
        advice.append(f"run the cell that defines {', '.join(own)} in this notebook first")
    if others:
        advice.append(f"make {', '.join(others)} importable here (install the package, or add its folder to sys.path)")
    text = f"{entries} cannot be read: {', '.join(classes)} cannot be found here; {'; '.join(advice)}"
    if readable:
        text += f". Other entries can be read: {', '.join(f'checkpoint[{key!r}]' for key in readable)}"
    return MissingClassError(text)
