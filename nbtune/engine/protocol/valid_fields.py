"""Fields of events that must not be what they say: a log may come from others, or be damaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["inside", "is_name", "is_number", "valid_reads"]


def is_name(folder: Any) -> bool:
    """Tell whether a value is the name of a folder, and not a path.

    Args:
        folder: any value.
    """
    return isinstance(folder, str) and folder not in {"", ".", ".."} and not set(folder) & {"/", "\\", "\0"}


def is_number(value: Any) -> bool:
    """Tell whether a value is the number of a configuration, a repeat or a worker.

    Args:
        value: any value.
    """
    return type(value) is int and 0 <= value < 2**31


def inside(path: Any) -> str:
    """Return a path of names that leads nowhere else, else an empty text.

    Args:
        path: any value.
    """
    return path if isinstance(path, str) and all(map(is_name, path.split("/"))) else ""


def valid_reads(reads: Any) -> dict[str, tuple[float, ...]]:
    """Return what was read of data sets, without entries that are none.

    Args:
        reads: any value; see `nbtune.engine.protocol.events.DataRead`.
    """
    return {
        str(name): tuple(map(float, read))
        for name, read in (reads.items() if isinstance(reads, Mapping) else ())
        if isinstance(read, (list, tuple)) and len(read) == 3 and all(type(one) in (int, float) for one in read)
    }
