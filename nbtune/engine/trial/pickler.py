"""Pickles the user's code and variables, and collects what a trial needs beside the pickle."""

from __future__ import annotations

import dis
import functools
import io
import linecache
import operator
import pickle
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from typing import Any

import ray
import ray.cloudpickle as cloudpickle

from nbtune.spec.cell.origin import is_installed
from nbtune.spec.cell.reached import CachedFunction
from nbtune.spec.cell.versions import CodeVersion, digest_of_code, digest_of_value, statements_at

__all__ = ["LARGE_BYTES", "MAX_BLOCK_BYTES", "Pickler", "size_of"]

LARGE_BYTES = 1_000_000
"""The size in bytes from which a value is put into the object store instead of the pickle."""
MAX_BLOCK_BYTES = 256_000_000
"""The size of the blocks of a data set in Ray's object store up to which they are sent and stored by value."""
_MAX_SOURCE_BYTES = 1_000_000
_READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_WRITES = frozenset({"STORE_GLOBAL", "STORE_NAME", "DELETE_GLOBAL", "DELETE_NAME"})


class Pickler(cloudpickle.CloudPickler):
    """Pickles by value what only the notebook has.

    Args:
        file: receives the pickle.

    Attributes:
        large: the large values, to which the pickle refers by position.
        code: all code that is pickled by value, however the program reaches it.
        datasets: the data sets of Ray Data that are pickled, however the program reaches them.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.large: list[Any] = []
        self._positions: dict[int, int] = {}
        self.code: list[types.CodeType] = []
        self._functions: list[types.FunctionType] = []
        self.datasets: list[Any] = []
        self._blocks: dict[Any, bool] = {}  # Ray's references to blocks by value -> whether each is a large value

    def persistent_id(self, value: Any) -> int | tuple[str, int] | None:
        """Return the position of a large value, marked if Ray's reference to it is meant; None for any other value."""
        if self._blocks and isinstance(value, ray.ObjectRef) and self._blocks.get(value):
            position = self._positions.setdefault(id(value), len(self.large))
            if position == len(self.large):
                self.large.append(ray.get(value))
            return "reference", position
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
        elif isinstance(value, types.FunctionType):
            self._functions.append(value)
        elif isinstance(value, CachedFunction) and not _is_importable(value):
            # By default pickled as its name, which trials do not know.
            parameters = value.cache_parameters()
            return _cached, (value.__wrapped__, parameters["maxsize"], parameters["typed"]), dict(vars(value))
        elif isinstance(value, _dataset_class()):
            return self._reduce_dataset(value)
        elif isinstance(value, ray.ObjectRef) and value in self._blocks:
            return ray.put, (ray.get(value),)
        return super().reducer_override(value)

    def _reduce_dataset(self, dataset: Any) -> Any:
        """Pickle the plan of a data set, and its blocks in the object store by value if they are not too large."""
        from nbtune.engine._ray.data import blocks_of, rebuild

        self.datasets.append(dataset)
        blocks = blocks_of(dataset)
        total = sum(size or 0 for _, size in blocks)
        if total <= MAX_BLOCK_BYTES:
            # Many small blocks are part of the pickle: each large value is a message and a file of its own.
            self._blocks.update((reference, total >= LARGE_BYTES) for reference, _ in blocks)
        return rebuild, (type(dataset), dataset.__getstate__())

    def sources(
        self, label: Callable[[str], str | None], namespace: Mapping[str, Any], cell: str | None = None
    ) -> tuple[dict[str, tuple[str, str]], CodeVersion]:
        """Return the texts of the pickled code's files, and what the code consists of.

        Statements without pickled code are left out: they may have a password that the trials do not need.

        Args:
            label: file name -> its label in a traceback if it is a notebook's cell, else None.
            namespace: the notebook's variables.
            cell: the file name of the program's own cell, which is left out.

        Returns:
            File name -> (its label, its text); and the version of the code.
        """
        sources: dict[str, tuple[str, str]] = {}
        definitions: dict[str, str] = {}
        names = defaultdict[str, dict[int, str]](dict)  # file name -> first line of code -> what it defines
        for code in self.code:
            names[code.co_filename].setdefault(code.co_firstlineno, code.co_qualname.partition(".")[0])
        for filename, defined in names.items():
            name = label(filename)
            if filename == cell or (name is None and is_installed(filename)):
                continue
            text = "".join(linecache.getlines(filename))
            if text and len(text) <= _MAX_SOURCE_BYTES:
                kept, statements = statements_at(text, defined)
                sources[filename] = (name or f'File "{filename}"', kept)
                for name, part in statements.items():
                    definitions[name] = f"{definitions[name]}\n{part}" if name in definitions else part
                continue
            for code in self.code:  # without a text
                name = code.co_qualname.partition(".")[0]
                if code.co_filename == filename and not name.startswith(("<", "__")):
                    definitions.setdefault(name, digest_of_code(code))
        return sources, CodeVersion(definitions, self._plain_values(namespace))

    def names_read(self) -> set[str]:
        """Return the names of the global variables that the code reads."""
        return self._names(_READS)

    def _names(self, operations: Set[str]) -> set[str]:
        return {
            str(instruction.argval)
            for code in self.code
            for instruction in dis.get_instructions(code)
            if instruction.opname in operations
        }

    def _plain_values(self, namespace: Mapping[str, Any]) -> dict[str, str]:
        """Return digests of the plain values that the code reads from variables that it does not set itself."""
        names = self.names_read() - self._names(_WRITES)
        values = {name: namespace[name] for name in names if name in namespace}
        by_value = {id(code) for code in self.code}
        for function in self._functions:
            if id(function.__code__) in by_value:
                for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
                    with suppress(ValueError):  # not bound yet
                        values[f"{name} in {function.__name__}"] = cell.cell_contents
        digests = {name: digest_of_value(value) for name, value in values.items()}
        return {name: digest for name, digest in digests.items() if digest is not None}


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


def _dataset_class() -> Any:
    """Return `ray.data.Dataset`; an empty tuple of classes while it is not imported, since nothing can be one."""
    return getattr(sys.modules.get("ray.data"), "Dataset", ())


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
