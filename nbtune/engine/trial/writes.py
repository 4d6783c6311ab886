"""Copies a file of the notebook's folder into a trial's working directory just before the trial writes to it.

Python tells audit hooks about each file that is opened for writing, created, renamed or removed, whichever of its
modules does it. Code that is not written in Python (`torch.save`, HDF5) and child processes are not noticed.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from nbtune.engine.trial.workspace import Workspace

__all__ = ["watch_writes"]

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
_CHANGES_FILE = frozenset({"os.truncate", "os.chmod", "os.chown", "os.utime", "sqlite3.connect"})
_CHANGES_FOLDER = frozenset({"os.mkdir", "os.rmdir", "shutil.rmtree"})
_CHANGES_ENTRY = frozenset({"os.remove", "os.rename", "os.link", "os.symlink"})
_EVENTS = _CHANGES_FILE | _CHANGES_FOLDER | _CHANGES_ENTRY | {"open"}

_workspace: Workspace | None = None
_installed = False
_lock = threading.RLock()
_inside = threading.local()  # whether this thread is replacing a link, which opens files as well


def watch_writes(workspace: Workspace | None) -> None:
    """Replace links in a working directory by copies before this process writes to them.

    Args:
        workspace: that of the present trial, or None at its end. A hook cannot be removed from a process.
    """
    global _workspace, _installed
    _workspace = workspace
    if workspace is not None and not _installed:
        _installed = True
        os.register_at_fork(after_in_child=_renew_lock)
        sys.addaudithook(_before)


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()  # another thread of the parent may have held it


def _before(event: str, arguments: tuple[Any, ...]) -> None:
    """Handle an event of Python's before what it is about happens."""
    workspace = _workspace
    if workspace is None or event not in _EVENTS or getattr(_inside, "busy", False):
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITES):
        return
    _inside.busy = True
    try:
        paths = arguments[:2] if event in _CHANGES_ENTRY else arguments[:1]
        for path in filter(None, map(_absolute, paths)):
            with _lock:
                _prepare(workspace, event, path, arguments)
    finally:
        _inside.busy = False


def _prepare(workspace: Workspace, event: str, path: str, arguments: tuple[Any, ...]) -> None:
    workspace.own_parents(path)
    if event == "open":
        flags = arguments[2]
        if flags & os.O_CREAT:
            workspace.reach_above(path)
        workspace.own(path, emptied=bool(flags & os.O_TRUNC and flags & os.O_CREAT))
    elif event in _CHANGES_FILE or (event in _CHANGES_FOLDER and os.path.isdir(path)):
        workspace.own(path)


def _absolute(path: Any) -> str | None:
    """Return a path of an event as an absolute one, or None for a descriptor, or what is no path."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return None
    text = os.fsdecode(path)
    if "\0" in text:
        return None
    return os.path.normpath(os.path.join(os.getcwd(), text))
