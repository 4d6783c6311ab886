"""The parts of a run that are not pickled with Tune's settings: each process has its own, registered by its role.

Tune pickles the settings of an experiment into its folder when it starts, and `Tuner.restore` loads them from there.
But nbtune's scheduler, search algorithm, stopper and callbacks belong to one driver. They are pickled as a reference by
role, which the restoring driver resolves to its own.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Live", "filesystem_by_reference", "forget_live", "live", "register_filesystem", "register_live"]

_FILESYSTEM = "filesystem"

_parts: dict[str, Any] = {}


class Live:
    """Base class of parts that are pickled as a reference to the process's own part of the same role."""

    role: str

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return live, (self.role,)


def live(role: str) -> Any:
    """Return this process's part with a role; None in a process that is not a driver of nbtune.

    Args:
        role: `Live.role` of the part.
    """
    return _parts.get(role)


def register_live(*parts: Live) -> None:
    """Register parts as those of this process.

    Args:
        parts: one for each role.
    """
    _parts.update({part.role: part for part in parts})


def register_filesystem(filesystem: Any) -> None:
    """Register the filesystem of the experiment's storage as that of this process.

    Args:
        filesystem: a `pyarrow.fs.FileSystem`.
    """
    _parts[_FILESYSTEM] = filesystem


@contextmanager
def filesystem_by_reference() -> Iterator[None]:
    """Pickle the experiment's filesystem inside as a reference, since it may have the password of the storage's URL."""
    filesystem = _parts.get(_FILESYSTEM)
    if filesystem is None:  # a process that is not a driver's
        yield
        return
    kind, before = type(filesystem), copyreg.dispatch_table.get(type(filesystem))

    def reduced(value: Any) -> Any:
        return (live, (_FILESYSTEM,)) if value.equals(filesystem) else value.__reduce_ex__(2)

    copyreg.pickle(kind, reduced)
    try:
        yield
    finally:
        del copyreg.dispatch_table[kind]
        if before is not None:
            copyreg.pickle(kind, before)


def forget_live() -> None:
    """Forget the parts of an experiment that is over."""
    _parts.clear()
