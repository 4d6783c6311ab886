"""Shared by all tests: a clean environment, clusters that end with the tests, the order of the tests."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from nbtune.cluster.link.imports import lazy_folder

for variable in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "NBTUNE_PRELOAD"):
    os.environ.pop(variable, None)  # before anything imports Ray

# Saves every subprocess of a test (`ray start` and Jupyter, for example) an import of two seconds.
_path = [lazy_folder(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, _path)))

# Machines are shared and slow in some hours; a test may set no deadline.
settings.register_profile("nbtune", deadline=None)
settings.load_profile("nbtune")

# Tests must neither find a local cluster of the developer nor leave one behind.
os.environ["NBTUNE_HOME"] = tempfile.mkdtemp(prefix="nbt-home-")
atexit.register(shutil.rmtree, os.environ["NBTUNE_HOME"], ignore_errors=True)

SLOWEST_FIRST = (
    "tests/ray/test_train.py",
    "tests/browser/test_lab.py",
    "tests/browser/test_tutorials.py",
    "tests/ray/test_plan.py",
    "tests/ray",
    "tests/kernel",
    "tests/browser",
    "tests/wheel",
    "tests/unit",
)
"""The order in which `make test` starts files. A slow file at the end would leave the other process idle."""
SAME_PROCESS = {
    "test_lab_cluster.py": "test_lab.py",
    "test_space_lab.py": "test_lab.py",
    "test_survival.py": "test_lab.py",
}
"""Files that run in the process of another file, since they share its JupyterLab."""


def _file(path: str) -> str:
    """Return the file whose process runs the tests of a file, both relative to the project's folder."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{SAME_PROCESS.get(name, name)}"


class FileScheduling(LoadScopeScheduling):
    """Runs the tests of a file in one process, since they share clusters and kernels.

    xdist's own groups have no effect with pytest 9.2, where xdist 3.8 cannot change the ids of tests.
    """

    def _split_scope(self, nodeid: str) -> str:
        return _file(nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling:
    return FileScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests by `SLOWEST_FIRST`."""
    if addresses := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(
            f"give these tests ids without addresses, which differ in each process: {addresses[:5]}"
        )

    def place(item: pytest.Item) -> int:
        file = _file(item.path.relative_to(config.rootpath).as_posix())
        return next(n for n, start in enumerate([*SLOWEST_FIRST, ""]) if file.startswith(start))

    items.sort(key=place)


@pytest.fixture(scope="session")
def ray_folder() -> Iterator[Path]:
    """A temporary folder for Ray's sessions. Its path has to be short, since it contains sockets."""
    folder = Path(tempfile.mkdtemp(prefix="nbt-"))
    previous = os.environ.get("RAY_TMPDIR")
    os.environ["RAY_TMPDIR"] = str(folder)
    yield folder
    if previous is None:
        os.environ.pop("RAY_TMPDIR", None)
    shutil.rmtree(folder, ignore_errors=True)
