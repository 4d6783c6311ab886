"""Connecting and leaving, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("leave", ["import ray; ray.shutdown()", "import time; time.sleep(0.3)", ""])
def test_leaving_while_processes_are_started_ahead(leave: str, ray_folder: Path, tmp_path: Path) -> None:
    ended = python(f"import nbtune; print(nbtune.connect(cpus=1)); {leave}", tmp_path)
    assert ended.stdout == "embedded Ray: 1 node, 1 CPUs, 0 GPUs\n", ended.stderr
    assert ended.returncode == 0, ended.stderr


def test_connecting_twice_and_otherwise(ray_folder: Path, tmp_path: Path) -> None:
    ended = python(
        "import nbtune\n"
        "first = nbtune.connect(cpus=1)\n"
        "print(nbtune.connect() == first, nbtune.connect(first.address) == first)\n"
        "try:\n"
        "    nbtune.connect(cpus=2)\n"
        "except nbtune.ClusterError as error:\n"
        "    print(error)\n",
        tmp_path,
    )
    assert ended.stdout.startswith("True True\nconnect(cpus=2): this kernel is connected to embedded Ray"), ended.stderr


def test_an_address_that_nobody_answers_is_said(ray_folder: Path, tmp_path: Path) -> None:
    ended = python(
        "import nbtune\ntry:\n    nbtune.connect('127.0.0.1:1')\nexcept nbtune.ClusterError as error:\n    print(error)",
        tmp_path,
    )
    assert "127.0.0.1:1 cannot be reached" in ended.stdout, ended.stderr
    ended = python(
        "import nbtune\ntry:\n    nbtune.connect('nowhere')\nexcept nbtune.ClusterError as e:\n    print(e)", tmp_path
    )
    assert "'nowhere' is no address; write HOST:PORT" in ended.stdout, ended.stderr
