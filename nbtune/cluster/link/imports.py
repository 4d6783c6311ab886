"""Importing Ray, and the environment of the Ray processes that nbtune starts."""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import site
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbtune.engine.protocol import environment
from nbtune.engine.protocol.importing import without_collection

__all__ = [
    "EXTRA_IDLE_WORKERS",
    "LOOPBACK",
    "PACKAGE",
    "environment_variables",
    "import_ray",
    "lazy_folder",
    "loopback",
    "process_variables",
    "version",
]

PACKAGE = Path(__file__).parents[2]
"""The folder of the package nbtune."""
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's switch for listening on 127.0.0.1 only, which is its default on macOS and Windows.

The address 127.0.0.1 does not suffice: without the switch Ray replaces it by an address that other machines can
reach."""
EXTRA_IDLE_WORKERS = 2
"""How many idle worker processes Ray keeps in addition to one for each CPU, for the drivers of experiments."""


def import_ray() -> Any:
    """Return the module ray, imported without a slow dependency that it does not use, see ``cluster/embedded/lazy``."""
    if "ray" not in sys.modules:
        with _lazy_path(), without_collection():
            import ray
    import ray

    return ray


def lazy_folder() -> str | None:
    """Return the folder of the lazy module, for ``sys.path``; None if the package that it replaces is not installed."""
    # Not importlib.util.find_spec, which returns the lazy module once that is imported.
    spec = importlib.machinery.PathFinder.find_spec("rfc3987_syntax")
    return str(PACKAGE / "cluster" / "embedded" / "lazy") if spec else None


def version() -> str:
    """Return nbtune's version, without importing the package `nbtune`, which is above this one."""
    return str(sys.modules["nbtune"].__version__)


def process_variables() -> dict[str, str]:
    """Return the environment variables for a Ray that nbtune starts: what its processes import, and the path.

    The result includes what another process of nbtune has set in this process's environment.
    """
    package = PACKAGE.parent
    installed = [*site.getsitepackages(), site.getusersitepackages()]
    # Not if it is importable anyway: modules on this path take precedence over the standard library's.
    own = None if str(package) in installed else str(package)
    before = os.environ.get("PYTHONPATH", "")
    path = [entry for entry in (lazy_folder(), *before.split(os.pathsep), own) if entry]
    given = os.environ.get(environment.EXTRA_PACKAGES_VARIABLE, "").split(",")
    slow = [name for name in environment.SLOW_PACKAGES if name in sys.modules or name in given]
    return {
        environment.EXTRA_PACKAGES_VARIABLE: ",".join(slow),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
    }


@contextlib.contextmanager
def loopback() -> Iterator[None]:
    """Let Ray use 127.0.0.1 as this machine's address inside, for a Ray that starts or one that listens there only."""
    from nbtune.cluster.link._ray import loopback_only

    with environment_variables(LOOPBACK), loopback_only():  # the variables are for the processes that Ray starts
        yield


@contextlib.contextmanager
def environment_variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables inside, and restore them afterwards.

    Args:
        values: their values, by their names.
    """
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _lazy_path() -> Iterator[None]:
    folder = lazy_folder() if "jsonschema" not in sys.modules else None
    if folder is None:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
