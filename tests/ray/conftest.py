"""Fixtures of the tests that need a real Ray: an embedded one with two logical CPUs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ray.stores import SECRET

pytest.register_assert_rewrite("tests.ray.steering")


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


@pytest.fixture(scope="session")
def store(ray_folder: Path) -> Iterator[str]:
    """Starts an S3-compatible server on the loopback interface, and returns its HOST:PORT."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if match := re.search(r"http://(127\.0\.0\.1:\d+)", line):
                break
        with subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL):  # drains the pipe
            yield match[1]
            process.terminate()
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def keys(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the variables of an object store in the kernel's environment; the cluster was started without them."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nbtune-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
