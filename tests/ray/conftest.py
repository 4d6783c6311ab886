"""A real Ray for the tests of this folder: embedded, with two logical CPUs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ray)


@pytest.fixture(scope="session")
def cluster(ray_folder: Path) -> Iterator[Any]:
    import ray
    import torch  # noqa: F401 - so that its processes have it from the start, and need not import it one by one

    import nbtune

    yield nbtune.connect(cpus=2)
    ray.shutdown()


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait for a condition, and fail with its name if it does not come."""

    def wait(condition: Callable[[], Any], what: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"after {seconds} s still not: {what}"
            time.sleep(0.02)

    return wait


@pytest.fixture
def run(cluster: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`nbtune.tune` with a storage of the test's own. What a test leaves running is ended after it."""
    import nbtune

    started = []

    def start(*args: Any, **kwargs: Any) -> Any:
        started.append(nbtune.tune(*args, **{"storage": str(tmp_path), "wait": False, **kwargs}))
        return started[-1]

    yield start
    for experiment in started:
        if not experiment.over:
            experiment.stop()
            experiment.wait(60)
