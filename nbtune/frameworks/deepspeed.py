"""DeepSpeed in the workers of PyTorch: what it compiles on each node, once, before it trains.

Importing this module prepares the process of a worker; `nbtune.frameworks.torch` has each worker import it.

Without GPUs DeepSpeed compiles an operation for communication, which takes about a minute and tells nothing. It needs
ninja and a C++ compiler; where a node has none, DeepSpeed communicates through `torch.distributed` only, and says so.
PyTorch's builds of extensions wait, without a word, as long as the file `lock` of another build exists, also that of a
build that was killed. That is so for the extensions of all libraries, and so is what is done about it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
from torch.utils import file_baton

__all__ = ["is_left", "missing_tools"]

_COMMUNICATION = "deepspeed.comm.torch"
_SETTLE = 10.0  # seconds without a change after which the lock of a build on this machine may be a left one
_SETTLE_SHARED = 900.0  # the same in a folder that other machines may use, whose processes are not visible here
_CHECK_INTERVAL = 5.0  # seconds between two checks, each of which reads the open files of all processes
_NETWORK = ("nfs", "cifs", "smb", "lustre", "ceph", "gpfs", "beegfs", "fuse", "9p", "afs", "glusterfs")


def missing_tools() -> list[str]:
    """Return the programs that compiling an extension of PyTorch needs, and that this process does not find."""
    compiler = os.environ.get("CXX", "c++")
    return [program for program in ("ninja", compiler) if shutil.which(program) is None]


def is_left(lock: Path) -> bool:
    """Return whether the lock of a build was left by one that was killed: no process has it open.

    Args:
        lock: the file. A process that builds has it open until it is ready.
    """
    try:
        age = time.time() - max(path.stat().st_mtime for path in (lock, *lock.parent.iterdir()))
    except OSError:  # it was released meanwhile
        return False
    return age > (_SETTLE_SHARED if _is_shared(lock) else _SETTLE) and not _is_open(lock)


def _is_open(file: Path) -> bool:
    """Return whether a process of this machine has a file open, as far as this user may know it."""
    wanted = os.path.realpath(file)
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if any(opened.path == wanted for opened in process.open_files()):
                return True
    return False


def _is_shared(file: Path) -> bool:
    """Return whether other machines may see a file, too."""
    path = os.path.realpath(file)
    mounts = [one for one in psutil.disk_partitions(all=True) if path.startswith(one.mountpoint.rstrip("/") + "/")]
    kind = max(mounts, key=lambda one: len(one.mountpoint)).fstype if mounts else ""
    return kind.lower().startswith(_NETWORK)


def _wait(self: Any) -> None:
    """Wait until another build has released its lock, or until it is certain that none will."""
    lock, next_check, told = Path(self.lock_file_path), time.monotonic() + _CHECK_INTERVAL, False
    while lock.exists():
        time.sleep(self.wait_seconds)
        if time.monotonic() < next_check:
            continue
        next_check = time.monotonic() + _CHECK_INTERVAL
        if not told:
            told = True
            print(f"waits for another process that builds {lock.parent.name}: its lock is {lock}", flush=True)
        if is_left(lock):
            print(f"a build that was killed has left {lock}: it is deleted", flush=True)
            lock.unlink(missing_ok=True)


class _Finder(MetaPathFinder):
    """Finds DeepSpeed's module of communication, and prepares it as soon as it is imported."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return how the module is loaded; None for any other module."""
        if name != _COMMUNICATION:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Loads a module, and then replaces how its operation is built."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return what the module's own loader creates."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module."""
        self._loader.exec_module(module)
        build = getattr(module, "build_shm_op", None)
        if build is None:  # another version
            return

        def build_shm_op() -> Any:
            from deepspeed.accelerator import get_accelerator

            if get_accelerator().device_name() != "cpu":
                return build()
            if missing := missing_tools():
                print(
                    f"DeepSpeed communicates through torch.distributed only: its own operation for CPUs would have to"
                    f" be compiled, and this node has no {' and no '.join(missing)}",
                    flush=True,
                )
                return None
            print("DeepSpeed compiles its operation for CPUs (about a minute) unless this node has it", flush=True)
            return build()

        vars(module)["build_shm_op"] = build_shm_op


def _prepare() -> None:
    # ninja is often installed as a Python package, beside this interpreter.
    programs, path = sysconfig.get_path("scripts"), os.environ.get("PATH", "")
    if programs not in path.split(os.pathsep):
        os.environ["PATH"] = f"{path}{os.pathsep}{programs}" if path else programs
    file_baton.FileBaton.wait = _wait
    if _COMMUNICATION not in sys.modules:
        sys.meta_path.insert(0, _Finder())


_prepare()
