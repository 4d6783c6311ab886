"""The payload: the user's code and the notebook variables that it uses, pickled once.

Everything is in one pickle, so that the notebook's functions and the cell share one namespace in the trial as they
do in the notebook: a function of the notebook sees a variable that the cell has assigned. Large arrays, tensors
and frames are not part of the pickle, wherever they are referenced; they are put into Ray's object store.
"""

from __future__ import annotations

import builtins
import io
import os
import pickle
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import ray

from nbtune.engine.protocol.failures import register_sources
from nbtune.engine.protocol.metrics import plain
from nbtune.engine.trial.pickler import LARGE_BYTES, Pickler, size_of
from nbtune.errors import Problem
from nbtune.spec.cell.capture import Program, global_names
from nbtune.spec.cell.imports import uses_ray_data
from nbtune.spec.cell.origin import module_of
from nbtune.spec.cell.texts import names_in_texts
from nbtune.spec.cell.versions import CELL, CodeVersion, without_magic
from nbtune.spec.space.values import label
from nbtune.spec.units import format_size

__all__ = [
    "Captured",
    "Packed",
    "ProgramPayload",
    "Surroundings",
    "Unpacked",
    "Unpickler",
    "code_sources",
    "pack",
    "surroundings",
    "unpack",
]


@dataclass(frozen=True)
class Captured:
    """A notebook variable that is sent with the code.

    Attributes:
        name: the variable's name.
        kind: the name of its type.
        size: its approximate size in bytes.
        from_nbtune: whether it is defined in nbtune.
    """

    name: str
    kind: str
    size: int
    from_nbtune: bool = False


@dataclass(frozen=True)
class Packed:
    """The payload in the kernel.

    Attributes:
        data: the pickle.
        large: the large values. The pickle refers to them by position.
        captured: the captured variables, the largest first.
        sources: file name -> (its label in a traceback, its text), for the code that only the notebook has.
        text_names: the notebook's variables that texts of the program name.
        seed: the seed from which the seeds of the trials are derived, or None.
        version: what the code consists of.
        datasets: the data sets of Ray Data among the variables.
        reads_data: whether the program uses Ray Data.
    """

    data: bytes
    large: list[Any]
    captured: list[Captured]
    sources: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    text_names: frozenset[str] = frozenset()
    seed: int | None = None
    version: CodeVersion = field(default_factory=CodeVersion)
    datasets: Sequence[Any] = ()
    reads_data: bool = False


@dataclass(frozen=True)
class ProgramPayload:
    """The payload on its way to a trial.

    Attributes:
        data: the pickle, `Packed.data`.
        large: Ray's references to the large values.
        seed: the experiment's seed, or None.
        reads_data: whether the program uses Ray Data.
    """

    data: bytes
    large: Sequence[ray.ObjectRef[Any]] = ()
    seed: int | None = None
    reads_data: bool = False


@dataclass(frozen=True)
class Unpacked:
    """The payload in a trial. Each trial unpickles its own.

    Attributes:
        program: the program.
        namespace: the globals of the program, shared with the notebook's functions.
    """

    program: Program
    namespace: dict[str, Any]


@dataclass(frozen=True)
class Surroundings:
    """Where a program was packed.

    Attributes:
        cwd: the working directory of the notebook.
        path: the folders from which the notebook imports modules.
        sources: file name -> (its label in a traceback, its text), for the code that only the notebook has.
        names: the notebook's variables in the payload: name -> the name of its type.
    """

    cwd: str
    path: list[str]
    sources: Mapping[str, tuple[str, str]]
    names: Mapping[str, str] = field(default_factory=dict)


class Unpickler(pickle.Unpickler):
    """Unpickles what `Pickler` has pickled.

    Args:
        file: has the pickle.
        fetch: returns the large value at a position.
        refer: returns Ray's reference to it; if None, the value is put into the object store.
    """

    def __init__(
        self, file: io.BytesIO, fetch: Callable[[int], Any], refer: Callable[[int], Any] | None = None
    ) -> None:
        super().__init__(file)
        self._fetch, self._refer = fetch, refer or (lambda position: ray.put(fetch(position)))

    def persistent_load(self, identity: Any) -> Any:
        """Return a large value, or Ray's reference to it."""
        return self._refer(identity[1]) if isinstance(identity, tuple) else self._fetch(identity)


def pack(
    program: Program,
    captured: Mapping[str, Any],
    namespace: Mapping[str, Any],
    seed: int | None,
    label: Callable[[str], str | None],
) -> Packed:
    """Pickle a program together with the notebook variables it uses.

    Args:
        program: the program.
        captured: name -> value of the captured variables.
        namespace: the notebook's globals, which are the globals of its functions.
        seed: as in `Packed`.
        label: file name -> its label in a traceback if it is a cell of the notebook, else None.

    Raises:
        Exception: a value cannot be pickled; `unpicklable` finds out which one.
    """
    file = io.BytesIO()
    pickler = Pickler(file)
    # A function that refers to no names pickles nothing but its globals: the dictionary that the notebook's
    # functions share, also after unpickling.
    anchor = types.FunctionType((lambda: None).__code__, namespace if isinstance(namespace, dict) else {})
    pickler.dump((anchor, program, dict(captured)))
    filename = None if program.code is None else program.code.co_filename
    sources, version = pickler.sources(label, namespace, filename)
    if filename is not None:
        sources[filename] = (label(filename) or f'File "{filename}"', program.source)
        version = replace(version, definitions={CELL: without_magic(program.source), **version.definitions})
    # A pickle of its own, since it is needed to load the other and to describe why that fails.
    read = {name: namespace[name] for name in pickler.names_read() if name in namespace}
    names = {name: type(value).__qualname__ for name, value in {**read, **captured}.items()}
    around = pickle.dumps(Surroundings(os.getcwd(), [entry or os.getcwd() for entry in sys.path], sources, names))
    texts = frozenset(names_in_texts(pickler.code, namespace))
    variables = captured_variables(captured)
    data = around + file.getvalue()
    reads_data = bool(pickler.datasets) or any(map(uses_ray_data, pickler.code))
    return Packed(data, pickler.large, variables, sources, texts, seed, version, pickler.datasets, reads_data)


def code_sources(values: Iterable[Any], label: Callable[[str], str | None]) -> dict[str, tuple[str, str]]:
    """Return the texts of the code in values that only the notebook has, as `Packed.sources`.

    Args:
        values: any objects. Of one that cannot be pickled, only a part of the code is found.
        label: as for `pack`.
    """
    pickler = Pickler(io.BytesIO())
    for value in values:
        with suppress(Exception):  # a custom reduction may raise anything
            pickler.dump(value)
    return pickler.sources(label, {})[0]


def captured_variables(captured: Mapping[str, Any]) -> list[Captured]:
    """Return the types and sizes of captured variables, the largest first.

    Args:
        captured: name -> value. Values that cannot be pickled are left out.
    """
    variables = []
    for name, value in captured.items():
        with suppress(Exception):  # for a function, a variable may merely have the name of an attribute
            variables.append(_captured(name, value))
    return sorted(variables, key=lambda c: -c.size)


def surroundings(data: bytes) -> Surroundings:
    """Return what a payload was packed with, and let tracebacks and `inspect` find the texts of its code.

    Args:
        data: `Packed.data`.
    """
    around: Surroundings = pickle.load(io.BytesIO(data))
    register_sources(around.sources)
    return around


def unpack(data: bytes, fetch: Callable[[int], Any], refer: Callable[[int], Any] | None = None) -> Unpacked:
    """Unpickle the payload, with a new namespace.

    Args:
        data: `Packed.data`.
        fetch: returns the large value at a position of `Packed.large`.
        refer: returns Ray's reference to it; if None, the value is put into the object store.
    """
    file = io.BytesIO(data)
    pickle.load(file)  # the surroundings
    anchor, program, captured = Unpickler(file, fetch, refer).load()
    namespace = anchor.__globals__
    namespace.update(captured)
    namespace.update(__name__="__main__", __builtins__=builtins)
    return Unpacked(program, namespace)


def unpicklable(captured: Mapping[str, Any], optional: set[str]) -> tuple[set[str], list[Problem]]:
    """Find the captured variables that cannot be pickled.

    Args:
        captured: name -> value.
        optional: the names that may be left out, since the code may not need them.

    Returns:
        The optional names that cannot be pickled, and a problem for each other name that cannot.
    """
    failed: dict[str, Exception] = {}
    for name, value in captured.items():
        try:
            Pickler(io.BytesIO()).dump(value)
        except Exception as error:  # a custom `__reduce__` may raise anything
            failed[name] = error
    problems = []
    causes = dict(_root_cause(name, captured, failed) for name in failed if name not in optional)
    for name, user in causes.items():
        value, cause = captured[name], failed[name]
        reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
        used_by = f", which {user} uses," if user != name else ""
        problems.append(
            Problem(
                f"{name} ({type(value).__module__}.{type(value).__qualname__}){used_by} cannot be sent to the trials:"
                f" {reason}. Create {name} inside {user if used_by else 'the cell'}, or do not use it in the cell",
                code="unpicklable",
            )
        )
    return failed.keys() & optional, problems


def _root_cause(name: str, captured: Mapping[str, Any], failed: Mapping[str, Any]) -> tuple[str, str]:
    """Return the variable that prevents `name` from being pickled, and the function that uses it, or `name` twice."""
    user, seen = name, {name}
    while True:
        used = set(global_names(captured[name])) & failed.keys() - seen
        if not used:
            return name, user
        user, name = name, min(used, key=lambda inner: bool(set(global_names(captured[inner])) & failed.keys()))
        seen.add(name)


def _captured(name: str, value: Any) -> Captured:
    size = size_of(value)
    if not size:
        file = io.BytesIO()
        Pickler(file).dump(value)
        size = len(file.getvalue())
    return Captured(name, type(value).__name__, size, module_of(value).startswith("nbtune"))


def describe_captured(captured: list[Captured]) -> str:
    """Describe captured variables as text, a line each: name, type, size, and whether the object store holds it.

    Args:
        captured: the variables, as `captured_variables` returns them.
    """
    # Modules are not sent but imported in the trial, and nbtune is always available.
    captured = [c for c in captured if c.kind != "module" and not c.from_nbtune]
    if not captured:
        return "no notebook variables are sent with the cell"
    width = max(len(c.name) for c in captured)
    note = ", through the object store"
    lines = [
        f"  {c.name:<{width}}  {c.kind}, {format_size(c.size)}{note if c.size >= LARGE_BYTES else ''}" for c in captured
    ]
    return "\n".join(["notebook variables that are sent with the cell:", *lines])


def config_key(config: Mapping[str, Any]) -> str:
    """Return a text that is equal for equal configurations.

    Args:
        config: the parameters of a trial, nested or not.
    """
    return repr(sorted((name, label(value)) for name, value in plain(config).items()))
