"""Whose a module is: the user's own, or a library's."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

__all__ = ["is_users_own", "module_of"]

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def is_users_own(module: str) -> bool:
    """Tell whether a module is the user's: found, but neither Python's nor installed. Nothing is imported.

    Args:
        module: the module's name; what is asked about is its top-level package.
    """
    top = module.partition(".")[0]
    if top in {"", "__main__", "nbtune"} or top in sys.stdlib_module_names:
        return False
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if found is None or not found.origin or found.origin in {"built-in", "frozen"}:
        return False
    return not str(Path(found.origin)).startswith(_LIBRARIES)


def module_of(value: Any) -> str:
    """Return the name of the module that a value is, or comes from; empty if there is none."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    return str(getattr(value, "__module__", None) or "") if callable(value) else ""
