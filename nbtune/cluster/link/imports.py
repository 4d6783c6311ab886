"""How Ray is imported, and what its processes are given when nbtune starts them."""

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

__all__ = [
    "LOOPBACK",
    "PACKAGE",
    "SOFT_LIMIT",
    "import_ray",
    "lazy_folder",
    "loopback",
    "process_variables",
    "variables",
    "version",
]

PACKAGE = Path(__file__).parents[2]
"""The folder of nbtune itself."""
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's own switch for a Ray that lives on 127.0.0.1 alone, its default on macOS. An address of 127.0.0.1
alone does not do it: where the switch is on, Ray replaces it by the one that other machines can reach, and
then listens on all of them."""
SOFT_LIMIT = 2
"""How many idle processes Ray keeps beyond one for each CPU: those that were started ahead are the
trials', and one is for a driver."""


def import_ray() -> Any:
    """Import Ray without the part that has nothing to do with it (see `nbtune.cluster.embedded.lazy`)."""
    if "ray" not in sys.modules:
        with _lazy_path():
            import ray
    import ray

    return ray


def lazy_folder() -> str | None:
    """Return the folder that makes the slow import lazy, or None where that package is not installed."""
    # Not importlib.util.find_spec: that one finds the lazy module itself, once it is imported.
    found = importlib.machinery.PathFinder.find_spec("rfc3987_syntax")
    return str(PACKAGE / "cluster" / "embedded" / "lazy") if found else None


def version() -> str:
    """Return nbtune's version, without importing the package: its public names lie above this one."""
    return str(sys.modules["nbtune"].__version__)


def process_variables() -> dict[str, str]:
    """Return the environment variables for a Ray that nbtune starts: what its processes import, and from where."""
    package = PACKAGE.parent
    installed = [*site.getsitepackages(), site.getusersitepackages()]
    # Not where it is importable anyway: what comes first on this path hides the standard library's modules.
    own = None if str(package) in installed else str(package)
    before = os.environ.get("PYTHONPATH", "")
    path = [entry for entry in (lazy_folder(), *before.split(os.pathsep), own) if entry]
    slow = [name for name in environment.SLOW_PACKAGES if name in sys.modules]
    return {
        environment.EXTRA_PACKAGES_VARIABLE: ",".join(slow),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
    }


@contextlib.contextmanager
def loopback() -> Iterator[None]:
    """Have Ray take this machine for 127.0.0.1 while it starts here, or connects to one that does."""
    from nbtune.cluster.link._ray import loopback_only

    with variables(LOOPBACK), loopback_only():  # the variables are for the processes that Ray starts
        yield


@contextlib.contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for what is started inside."""
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
