"""A payload that a trial's process cannot unpickle: an error that names the notebook's variable."""

from __future__ import annotations

import io
import itertools
import pickle
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from nbtune.engine.protocol.failures import NotUnpackedError, format_error

__all__ = ["not_unpacked"]

_MODULE = "install it on all nodes of the cluster, or put it into a folder that they share"
_WITH_VARIABLES = ("function", "type")
"""The names of types whose values have variables of the notebook."""
_OTHER = "It needs what only the notebook's process has: create it inside the cell or function"


def not_unpacked(
    error: BaseException,
    data: bytes,
    fetch: Callable[[int], Any],
    names: Mapping[str, str],
    sources: Mapping[str, tuple[str, str]],
) -> NotUnpackedError:
    """Return the error of a payload that cannot be unpickled.

    Args:
        error: what unpickling has raised.
        data: `Packed.data`.
        fetch: returns the large value at a position of `Packed.large`.
        names: the notebook's variables in the payload: name -> the name of its type.
        sources: as for `nbtune.engine.protocol.failures.format_error`.
    """
    *users, name = _path(data, fetch, names) or [""]
    subject = f"{name} ({names[name]})" if name else "a variable or the code of the experiment"
    subject += f", which {users[-1]} uses," if users else ""
    formatted = format_error(error, sources)
    module = error.name if isinstance(error, ModuleNotFoundError) else None
    advice = f"The module {module} is not there: {_MODULE}" if module else _OTHER
    return NotUnpackedError(f"{subject} cannot be read in the trials: {formatted.summary}. {advice}", formatted.text)


class _Tracing(pickle._Unpickler):  # Python's own, whose stack can be read
    """Unpickles, and keeps what it has read when that fails."""

    def __init__(self, file: io.BytesIO, fetch: Callable[[int], Any]) -> None:
        super().__init__(file)
        self._fetch = fetch

    def persistent_load(self, position: int) -> Any:
        return self._fetch(position)

    def levels(self) -> list[list[Any]]:
        """Return the objects that are not complete, the outermost first: of dictionaries their keys and values."""
        return [*getattr(self, "metastack", []), getattr(self, "stack", [])]


def _path(data: bytes, fetch: Callable[[int], Any], names: Mapping[str, str]) -> list[str]:
    """Return the variable at whose value unpickling fails, after the functions through which the program reaches it.

    Empty if that is unknown.
    """
    file = io.BytesIO(data)
    pickle.load(file)  # the surroundings
    tracing = _Tracing(file, fetch)
    with suppress(Exception, SystemExit):
        tracing.load()
        return []  # it has failed the first time only
    path: list[str] = []
    for level in tracing.levels():
        if (name := _key_without_value(level, names)) is not None:
            path.append(name)
            if names[name] not in _WITH_VARIABLES:
                break  # what follows are its attributes or entries
    return path


def _key_without_value(level: Sequence[Any], names: Mapping[str, str]) -> str | None:
    """Return the variable at whose value unpickling a dictionary of variables has ended; None for anything else.

    Args:
        level: keys and values in turn, and after the last key the parts of its value; or, of a dictionary with a single
            entry, this dictionary, its key and the parts of the value, after other objects.
        names: as for `not_unpacked`.
    """
    keys: list[str] = []
    for key in level[::2]:
        if type(key) is not str or key not in names:
            break
        if key not in keys:  # else it is a part of the value
            keys.append(key)
    if keys:
        return keys[-1]
    pairs = itertools.pairwise(level)
    return next((key for one, key in pairs if type(one) is dict and type(key) is str and key in names), None)
