"""An embedded Ray that starts before the kernel needs it: ``%config NbTune.start = "load"``.

Another process starts it, `nbtune.cluster.embedded.holder`, and the kernel connects to it with the first experiment.
So the cells that run meanwhile do not wait, and the kernel is not connected: if its user connects it to another
cluster, with `nbtune.connect` or with `ray.init`, that works as usual, and the Ray that is not needed ends.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from contextlib import suppress
from typing import Any

from nbtune.cluster.link import ahead
from nbtune.cluster.link.address import Address, parse
from nbtune.cluster.link.imports import PACKAGE, process_variables
from nbtune.engine.client.variables import variables_at_import
from nbtune.errors import ClusterError

__all__ = ["begin", "check", "import_ahead", "join", "status", "stop"]

_holder: subprocess.Popen[str] | None = None
_address: str | None = None  # of its Ray, as far as it is known
_process: str | None = None  # the driver's process that was started there, if any
_packages: list[str] = []  # what its processes of trials have been told to import
_joined = False  # whether this kernel has connected to it
_ended: list[subprocess.Popen[str]] = []
"""Holders that were told to end. They are polled, or they would stay as zombies."""


def begin() -> None:
    """Begin to start a Ray in the background, unless there is one already."""
    global _holder
    if _holder is not None:
        return
    _packages[:] = ahead.slow_packages()  # its fork server imports them
    program = (
        f"import sys; sys.path.append({str(PACKAGE.parent)!r}); from nbtune.cluster.embedded.holder import main; main()"
    )
    _holder = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-c", program],
        stdin=subprocess.PIPE,  # takes names of packages; closed at the end, which ends Ray
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **process_variables()},
        text=True,
        start_new_session=True,  # an interrupt of the kernel is sent to all processes of its session
    )


def import_ahead() -> None:
    """Let the Ray's processes of trials import what the kernel has imported since, if it is not connected to it yet."""
    if _holder is None or _joined:
        return
    packages = ahead.slow_packages()
    if packages != _packages:
        _packages[:] = packages
        assert _holder.stdin is not None
        with suppress(OSError):  # it has ended
            print(json.dumps([packages, variables_at_import()]), file=_holder.stdin, flush=True)


def join(ray: Any, requested: Address | None) -> bool:
    """Connect this kernel to the Ray that was started in the background, as soon as it runs.

    Args:
        ray: the module.
        requested: the address that the user has given, if any.

    Returns:
        Whether there is one, and it has started.
    """
    global _joined
    if _holder is None:
        return False
    address = _read_address(wait=True)
    if address is None:
        stop()
        return False
    from nbtune.cluster.link.attach import attach_embedded

    try:
        attach_embedded(ray, parse(address), requested)
    except ClusterError:  # it has ended since
        stop()
        return False
    _joined = True
    if _process is not None:
        ahead.adopt(_process)
    return True


def check(ray: Any) -> None:
    """End the Ray if the kernel is connected to another one, or has been disconnected from it.

    Args:
        ray: the module; None if it is not imported.
    """
    if _holder is None:
        return
    if ray is None or not ray.is_initialized():
        if _joined:
            stop()
    elif str(ray.get_runtime_context().gcs_address) != _read_address(wait=False):
        stop()


def stop() -> None:
    """Let the Ray end, if there is one. It does within seconds, for which nothing waits."""
    global _holder, _address, _process, _joined
    _ended[:] = [process for process in _ended if process.poll() is None]
    if _holder is None:
        return
    for pipe in (_holder.stdin, _holder.stdout):
        assert pipe is not None
        with suppress(OSError):
            pipe.close()
    _ended.append(_holder)
    _holder, _address, _process, _joined = None, None, None, False


def status() -> str | None:
    """Return a description of the Ray if the kernel is not connected to it; None if there is none."""
    if _holder is None or _joined or _holder.poll() is not None:
        return None
    state = "starts" if _read_address(wait=False) is None else "runs"
    return f'embedded Ray: it {state} in the background, as NbTune.start = "load" says; the first %%tune connects to it'


def _read_address(*, wait: bool) -> str | None:
    """Return the address of the Ray; None if it could not start, or, without waiting, if it has not started."""
    global _address, _process
    assert _holder is not None
    assert _holder.stdout is not None
    if _address is None and (wait or select.select([_holder.stdout], [], [], 0)[0]):
        line = _holder.stdout.readline()
        _address, _process = json.loads(line) if line else (None, None)
    return _address
