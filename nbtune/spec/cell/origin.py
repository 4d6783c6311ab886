"""Whether a module belongs to the user or to a library."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

__all__ = ["is_installed", "is_user_module", "module_of"]

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_LIBRARY_FOLDERS = {"site-packages", "dist-packages"}
"""What pip and Debian call folders of packages. There are several: that of `pip install --user`, those of the system
under a virtual environment, and those that a `.pth` file adds."""


def is_user_module(module: str) -> bool:
    """Tell whether a module is the user's own: not in the standard library and not installed. Nothing is imported.

    Args:
        module: the name of the module; the location of its top-level package decides.
    """
    top = module.partition(".")[0]
    if top in {"", "__main__", "nbtune"} or top in sys.stdlib_module_names:
        return False
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None or spec.origin in {"built-in", "frozen"}:
        return False
    # A folder without __init__.py has no origin, and may have several locations.
    location = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
    return bool(location) and not is_installed(str(Path(location)))


def is_installed(filename: str) -> bool:
    """Tell whether a file belongs to the standard library or to an installed package.

    Args:
        filename: the file's path.
    """
    return filename.startswith(_LIBRARIES) or not _LIBRARY_FOLDERS.isdisjoint(Path(filename).parts)


def module_of(value: Any) -> str:
    """Return the name of a module, or of the module that defines a function or class.

    Args:
        value: any value. Other values than modules and callables have no module: the result is empty.
    """
    if isinstance(value, types.ModuleType):
        return value.__name__
    return str(getattr(value, "__module__", None) or "") if callable(value) else ""
