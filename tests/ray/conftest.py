"""Fixtures of the tests that need a real Ray: an embedded one with two logical CPUs."""

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
    import torch  # noqa: F401 - the worker processes are forked with it, and need not import it each

    import nbtune

    yield nbtune.connect(cpus=2)
    ray.shutdown()


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """Returns a function that waits for a condition, and fails with its description after a timeout."""

    def wait(condition: Callable[[], Any], description: str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not true after {seconds} s: {description}"
            time.sleep(0.02)

    return wait


@pytest.fixture
def run(cluster: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`nbtune.tune` with a temporary storage. Experiments that still run after the test are stopped."""
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
