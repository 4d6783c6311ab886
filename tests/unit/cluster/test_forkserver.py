"""What the raylet runs for a new worker process: when a copy of the fork server will do, and what happens otherwise."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from nbtune.cluster.forkserver import launcher

WORKER = "import sys, os\nprint(sys.argv[1:], os.environ.get('OWN'))\n"


@pytest.mark.parametrize(
    ("context", "forked"),
    [
        ({}, True),
        ({"env_vars": {"OWN": "x", "AWS_REGION": "y", "RAY_CHDIR_TO_TRIAL_DIR": "0"}}, True),
        ({"py_executable": sys.executable}, True),
        ({"py_executable": "/another/python"}, False),
        ({"py_executable": f"{sys.executable} -m wrapper"}, False),
        ({"command_prefix": ["numactl", "&&"]}, False),
        ({"override_worker_entrypoint": "/container/default_worker.py"}, False),
        ({"env_vars": {"OMP_NUM_THREADS": "4"}}, False),
        ({"env_vars": {"OPENBLAS_NUM_THREADS": "1"}}, False),
        ({"env_vars": {"LD_PRELOAD": "libx.so"}}, False),
        ({"env_vars": {"PYTHONPATH": "/elsewhere"}}, False),
        ({"env_vars": {"RAY_task_retry_delay_ms": "1"}}, False),
    ],
)
def test_a_copy_has_only_the_environment_that_it_can_have(context: dict[str, Any], forked: bool) -> None:
    assert launcher.can_fork(context) is forked


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    """A program in the place of Ray's worker."""
    file = tmp_path / "default_worker.py"
    file.write_text(WORKER)
    return file


def launched(worker: Path, folder: Path, **context: Any) -> str:
    """Return what a worker process prints."""
    arguments = [f"--serialized-runtime-env-context={json.dumps(context)}", "--language=PYTHON"] if context else []
    command = [sys.executable, launcher.__file__, str(worker), "--node-id=1", *arguments]
    variables = {**os.environ, launcher.FOLDER_VARIABLE: str(folder)}
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.fixture(autouse=True)
def raylet(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(launcher.RAYLET_PID, "77")
    return "77"


def test_where_no_server_can_be_the_process_starts_as_rays_own(worker: Path, tmp_path: Path) -> None:
    assert launched(worker, tmp_path / "nowhere") == "['--node-id=1'] None"
    assert launched(worker, tmp_path / "nowhere", env_vars={"OWN": "a b"}) == "['--node-id=1'] a b"


def test_a_server_that_does_not_serve_is_not_started_again(worker: Path, tmp_path: Path, raylet: str) -> None:
    (tmp_path / f"{raylet}.off").touch()
    assert launched(worker, tmp_path) == "['--node-id=1'] None"
    assert not (tmp_path / raylet).exists()


def test_a_server_that_ends_while_it_is_asked_is_none(worker: Path, tmp_path: Path, raylet: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / raylet))
        server.listen()
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        assert launched(worker, tmp_path) == "['--node-id=1'] None"
