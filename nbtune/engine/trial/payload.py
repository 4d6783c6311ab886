"""The payload: the user's code and what it takes from the notebook, packed once.

Everything is pickled together, so that the notebook's functions and the cell share one namespace in
the trial too: a function of the notebook sees a variable that the cell has bound anew. Big arrays,
tensors and frames, wherever they are, are left out of the pickle and travel through the object store.
"""

from __future__ import annotations

import builtins
import io
import os
import pickle
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray.cloudpickle as cloudpickle

from nbtune.engine.protocol.failures import register_sources
from nbtune.engine.protocol.metrics import plain
from nbtune.errors import Problem
from nbtune.spec.cell.capture import Program, names_used
from nbtune.spec.cell.origin import module_of
from nbtune.spec.space.values import label
from nbtune.spec.units import format_size

__all__ = ["LARGE", "Captured", "Packed", "Unpacked", "pack", "size_of", "unpack"]

LARGE = 1_000_000
"""From this many bytes on, an array, tensor or frame travels through the object store."""


@dataclass(frozen=True)
class Captured:
    """A notebook variable that travels with the code.

    Attributes:
        name: its name.
        kind: its type's name.
        size: its size in bytes, about.
        own: whether it is nbtune's.
    """

    name: str
    kind: str
    size: int
    own: bool = False


@dataclass(frozen=True)
class Packed:
    """The payload, ready to be sent.

    Attributes:
        data: the pickle.
        large: what the pickle refers to by position: the big values themselves.
        captured: the variables that are in it, the largest first.
        seed: what the trials' random numbers are derived from, or None.
    """

    data: bytes
    large: list[Any]
    captured: list[Captured]
    seed: int | None = None


@dataclass(frozen=True)
class Unpacked:
    """The payload in a trial, made anew for each.

    Attributes:
        program: what to run.
        namespace: the globals to run it in: the one that the notebook's functions have.
        cwd: the notebook's working directory.
    """

    program: Program
    namespace: dict[str, Any]
    cwd: str


class _Pickler(cloudpickle.CloudPickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.large: list[Any] = []
        self._positions: dict[int, int] = {}

    def persistent_id(self, value: Any) -> int | None:
        if not _may_be_large(value) or size_of(value) < LARGE:
            return None
        position = self._positions.setdefault(id(value), len(self.large))
        if position == len(self.large):
            self.large.append(value)
        return position


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, fetch: Callable[[int], Any]) -> None:
        super().__init__(file)
        self._fetch = fetch

    def persistent_load(self, position: int) -> Any:
        return self._fetch(position)


def _may_be_large(value: Any) -> bool:
    kind = type(value)
    return kind in (bytes, bytearray, str) or hasattr(kind, "nbytes") or hasattr(kind, "memory_usage")


def size_of(value: Any) -> int:
    """Return the size in bytes of an array, tensor, frame, text or bytes, about; 0 for anything else."""
    try:
        if hasattr(value, "memory_usage"):
            usage = value.memory_usage(index=True)
            return int(usage if isinstance(usage, int) else usage.sum())
        if isinstance(value, (bytes, bytearray, str)):
            return len(value)
        return int(getattr(value, "nbytes", 0))
    except Exception:  # somebody's own class with such an attribute
        return 0


def pack(program: Program, captured: Mapping[str, Any], namespace: Mapping[str, Any], seed: int | None) -> Packed:
    """Pack a program with the notebook variables it needs.

    Args:
        program: what to run.
        captured: name -> value, the variables to take along.
        namespace: the notebook's globals, which its functions have.
        seed: see `Packed`.

    Raises:
        Exception: something in it cannot be pickled; `unpicklable` says what.
    """
    file = io.BytesIO()
    pickler = _Pickler(file)
    # A function without names of its own brings nothing but its globals: the dictionary that all
    # functions of the notebook share after unpickling too.
    anchor = types.FunctionType((lambda: None).__code__, namespace if isinstance(namespace, dict) else {})
    pickler.dump((anchor, program, dict(captured), os.getcwd()))
    return Packed(file.getvalue(), pickler.large, sized(captured), seed)


def sized(captured: Mapping[str, Any]) -> list[Captured]:
    """Return what there is to know of the variables that travel, the largest first."""
    found = []
    for name, value in captured.items():
        with suppress(Exception):  # of a function's, what only shares a name with something that it uses
            found.append(_captured(name, value))
    return sorted(found, key=lambda c: -c.size)


def unpack(data: bytes, fetch: Callable[[int], Any]) -> Unpacked:
    """Return the payload with a namespace of its own.

    Args:
        data: `Packed.data`.
        fetch: position -> the big value that stands there in `Packed.large`.
    """
    anchor, program, captured, cwd = _Unpickler(io.BytesIO(data), fetch).load()
    register_sources(program.sources)
    namespace = anchor.__globals__
    namespace.update(captured)
    namespace.update(__name__="__main__", __builtins__=builtins)
    return Unpacked(program, namespace, cwd)


def unpicklable(captured: Mapping[str, Any], optional: set[str]) -> tuple[set[str], list[Problem]]:
    """Find which variables cannot be pickled.

    Args:
        captured: name -> value.
        optional: names that may be left out, since the code perhaps does not need them.

    Returns:
        The names to leave out, and a problem for each other.
    """
    failed: dict[str, Exception] = {}
    for name, value in captured.items():
        try:
            _Pickler(io.BytesIO()).dump(value)
        except Exception as error:  # whatever the object's own reduction raises
            failed[name] = error
    problems = []
    culprits = dict(_culprit(name, captured, failed) for name in failed if name not in optional)
    for culprit, user in culprits.items():
        value, cause = captured[culprit], failed[culprit]
        reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
        through = f", which {user} uses," if user != culprit else ""
        problems.append(
            Problem(
                f"{culprit} ({type(value).__module__}.{type(value).__qualname__}){through} cannot travel to the trials:"
                f" {reason}. Make {culprit} inside {user if through else 'the cell'}, or keep it out of what the cell"
                " uses"
            )
        )
    return failed.keys() & optional, problems


def _culprit(name: str, captured: Mapping[str, Any], failed: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a variable cannot be pickled for, itself or what a function of the notebook uses, and its user."""
    user, seen = name, {name}
    while True:
        used = set(names_used(captured[name])) & failed.keys() - seen
        if not used:
            return name, user
        user, name = name, min(used, key=lambda inner: bool(set(names_used(captured[inner])) & failed.keys()))
        seen.add(name)


def _captured(name: str, value: Any) -> Captured:
    size = size_of(value)
    if not size:
        file = io.BytesIO()
        _Pickler(file).dump(value)
        size = len(file.getvalue())
    return Captured(name, type(value).__name__, size, module_of(value).startswith("nbtune"))


def describe_captured(captured: list[Captured]) -> str:
    """Return a line for each variable: name, type, size, and how it travels."""
    # Modules are imported there, and nbtune's own names are there anyway.
    captured = [c for c in captured if c.kind != "module" and not c.own]
    if not captured:
        return "no notebook variables travel with the cell"
    width = max(len(c.name) for c in captured)
    lines = [
        f"  {c.name:<{width}}  {c.kind}, {format_size(c.size)}{', through the object store' if c.size >= LARGE else ''}"
        for c in captured
    ]
    return "\n".join(["notebook variables that travel with the cell:", *lines])


def config_key(config: Mapping[str, Any]) -> str:
    """Return a text that is the same for the same configuration."""
    return repr(sorted((name, label(value)) for name, value in plain(config).items()))
