"""Locks of builds that were killed, which PyTorch's extensions wait for, and the tools that a build needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nbtune.frameworks import deepspeed

HOLDER = """
import sys
from torch.utils.file_baton import FileBaton
baton = FileBaton(sys.argv[1])
print(baton.try_acquire(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns PyTorch's lock as a process of a worker has it; this process gets its own back."""
    from torch.utils.file_baton import FileBaton

    monkeypatch.setattr(deepspeed, "_CHECK_INTERVAL", 0.0)
    monkeypatch.setattr(FileBaton, "wait", deepspeed._wait)
    return FileBaton


def grow_old(lock: Path) -> None:
    """Let a folder look as if nothing had changed there for an hour."""
    for path in lock.parent.iterdir():
        time = path.stat().st_mtime - 3600
        os.utime(path, (time, time))


def test_a_lock_is_left_once_the_process_that_builds_is_killed(
    build: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        grow_old(lock)
        assert not deepspeed.is_left(lock), "a process builds"
        process.kill()
    assert deepspeed.is_left(lock)
    assert not build(str(lock)).try_acquire()
    build(str(lock)).wait()
    assert not lock.exists()
    said = capsys.readouterr().out
    assert f"waits for another process that builds {tmp_path.name}: its lock is {lock}" in said
    assert f"a build that was killed has left {lock}: it is deleted" in said


def test_a_new_lock_and_one_of_a_shared_folder_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process may be about to open it, or may run on another machine."""
    lock = tmp_path / "lock"
    lock.touch()
    assert not deepspeed.is_left(lock)
    grow_old(lock)
    assert deepspeed.is_left(lock)
    (tmp_path / "shm.o").touch()
    assert not deepspeed.is_left(lock), "something is built"
    (tmp_path / "shm.o").unlink()
    minutes_old = lock.stat().st_mtime + 3300
    os.utime(lock, (minutes_old, minutes_old))
    assert deepspeed.is_left(lock)
    monkeypatch.setattr(deepspeed, "_is_shared", lambda file: True)
    assert not deepspeed.is_left(lock)


def test_the_tools_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert deepspeed.missing_tools() == ["ninja", "c++"]
    monkeypatch.setenv("CXX", "clang++")
    for name in ("ninja", "clang++"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert deepspeed.missing_tools() == []
