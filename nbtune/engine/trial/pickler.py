"""Pickles the user's code and variables, and collects what a trial needs beside the pickle."""

from __future__ import annotations

import ast
import functools
import io
import linecache
import operator
import pickle
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Set
from typing import Any

import ray.cloudpickle as cloudpickle

from nbtune.spec.cell.origin import is_installed
from nbtune.spec.cell.reached import CachedFunction

__all__ = ["LARGE_BYTES", "Pickler", "size_of"]

LARGE_BYTES = 1_000_000
"""The size in bytes from which a value is put into the object store instead of the pickle."""
_MAX_SOURCE_BYTES = 1_000_000


class Pickler(cloudpickle.CloudPickler):
    """Pickles by value what only the notebook has.

    Args:
        file: receives the pickle.

    Attributes:
        large: the large values, to which the pickle refers by position.
        code: all code that is pickled by value, however the program reaches it.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.large: list[Any] = []
        self._positions: dict[int, int] = {}
        self.code: list[types.CodeType] = []

    def persistent_id(self, value: Any) -> int | None:
        """Return the position of a large value, None for any other value."""
        if not _may_be_large(value) or size_of(value) < LARGE_BYTES:
            return None
        position = self._positions.setdefault(id(value), len(self.large))
        if position == len(self.large):
            self.large.append(value)
        return position

    def reducer_override(self, value: Any) -> Any:
        """Return how to pickle a value; NotImplemented for pickle's own way."""
        if isinstance(value, types.CodeType):
            self.code.append(value)
        elif isinstance(value, CachedFunction) and not _is_importable(value):
            # By default pickled as its name, which trials do not know.
            parameters = value.cache_parameters()
            return _cached, (value.__wrapped__, parameters["maxsize"], parameters["typed"]), dict(vars(value))
        return super().reducer_override(value)

    def sources(self, label: Callable[[str], str | None]) -> dict[str, tuple[str, str]]:
        """Return the texts of the pickled code's files: file name -> (its label in a traceback, its text).

        Statements without pickled code are left out: they may have a password that the trials do not need.

        Args:
            label: file name -> its label if it is a notebook's cell, else None.
        """
        sources, lines = {}, defaultdict[str, set[int]](set)
        for code in self.code:
            lines[code.co_filename].add(code.co_firstlineno)
        for filename, first_lines in lines.items():
            name = label(filename)
            if name is None and is_installed(filename):
                continue
            text = "".join(linecache.getlines(filename))
            if text and len(text) <= _MAX_SOURCE_BYTES:
                sources[filename] = (name or f'File "{filename}"', _statements_at(text, first_lines))
        return sources


def _statements_at(text: str, lines: Set[int]) -> str:
    """Return a text in which all lines are empty but those of the top-level statements at some lines."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return text
    kept: set[int] = set()
    for statement in body:
        first = min(node.lineno for node in (statement, *getattr(statement, "decorator_list", ())))
        own = range(first, (statement.end_lineno or first) + 1)
        if not lines.isdisjoint(own):
            kept.update(own)
    return "\n".join(line if at in kept else "" for at, line in enumerate(text.split("\n"), 1))


def _cached(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """Return a function with an empty `functools.lru_cache`."""
    return functools.lru_cache(maxsize, typed)(function)


def _is_importable(value: Any) -> bool:
    """Tell whether a trial can import a value by its name."""
    if value.__module__ == "__main__":
        return False
    try:
        return bool(operator.attrgetter(value.__qualname__)(sys.modules[value.__module__]) is value)
    except (AttributeError, KeyError):
        return False


def _may_be_large(value: Any) -> bool:
    kind = type(value)
    return kind in (bytes, bytearray, str) or hasattr(kind, "nbytes") or hasattr(kind, "memory_usage")


def size_of(value: Any) -> int:
    """Return the approximate size in bytes of an array, tensor, frame, text or bytes; 0 for other types.

    Args:
        value: any object.
    """
    try:
        if hasattr(value, "memory_usage"):
            usage = value.memory_usage(index=True)
            return int(usage if isinstance(usage, int) else usage.sum())
        if isinstance(value, (bytes, bytearray, str)):
            return len(value)
        return int(getattr(value, "nbytes", 0))
    except Exception:  # a user-defined class with an attribute of that name
        return 0
