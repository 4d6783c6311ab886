"""What all tests share: a clean environment, and clusters that end with the tests."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbtune.cluster.link.imports import lazy_folder

for variable in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "NBTUNE_PRELOAD"):
    os.environ.pop(variable, None)  # before anything imports Ray

# Whatever a test starts, `ray start` and Jupyter among it, is spared an import of two seconds.
_path = [lazy_folder(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, _path)))

# No test may find a cluster of the developer's, nor leave one that he finds.
os.environ["NBTUNE_HOME"] = tempfile.mkdtemp(prefix="nbt-home-")
atexit.register(shutil.rmtree, os.environ["NBTUNE_HOME"], ignore_errors=True)

LONGEST = (
    "tests/ray/test_train.py",
    "tests/browser/test_lab.py",
    "tests/notebooks/test_notebooks.py",
    "tests/ray/test_plan.py",
    "tests/ray",
    "tests/kernel",
    "tests/browser",
    "tests/wheel",
    "tests/unit",
)
"""What `make test` begins with: a long file that comes last would leave one of its processes alone."""
TOGETHER = {
    "test_lab_cluster.py": "test_lab.py",
    "test_space_lab.py": "test_lab.py",
    "test_survival.py": "test_lab.py",
}
"""Files that are run by the same process: those of one JupyterLab."""


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests by how long their files take, and keep a file's tests in one process."""

    def file(item: pytest.Item) -> str:
        path = item.path.relative_to(config.rootpath)
        return path.with_name(TOGETHER.get(path.name, path.name)).as_posix()

    items.sort(key=lambda item: next(n for n, start in enumerate([*LONGEST, ""]) if file(item).startswith(start)))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(file(item)))


@pytest.fixture(scope="session")
def ray_folder() -> Iterator[Path]:
    """A folder of the tests' own for Ray's sessions. Sockets in it must have short paths."""
    folder = Path(tempfile.mkdtemp(prefix="nbt-"))
    before = os.environ.get("RAY_TMPDIR")
    os.environ["RAY_TMPDIR"] = str(folder)
    yield folder
    if before is None:
        os.environ.pop("RAY_TMPDIR", None)
    shutil.rmtree(folder, ignore_errors=True)
