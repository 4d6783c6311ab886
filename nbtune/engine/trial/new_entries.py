"""New entries of the notebook's folder appear in the working directory of a trial that runs."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from types import TracebackType

from nbtune.engine.trial.workspace import Workspace

__all__ = ["NewEntries"]

_INTERVAL = 0.5  # seconds


class NewEntries:
    """Links the entries that are created in the notebook's folder while the ``with`` block runs.

    A trial may wait for a file, such as one that tells it to stop. Links to entries that are deleted lead nowhere by
    themselves. What the trial itself has deleted does not come back.

    Args:
        workspace: the trial's working directory.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known = workspace.names().intersection(os.listdir(workspace.folder))
        self._changed: int | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nbtune-new-entries", daemon=True)

    def __enter__(self) -> NewEntries:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()

    def _time(self) -> int | None:
        with suppress(OSError):
            return os.stat(self._workspace.notebook).st_mtime_ns
        return None

    def _run(self) -> None:
        while not self._end.wait(_INTERVAL):
            changed = self._time()
            if changed != self._changed:
                self._changed = changed
                names = self._workspace.names()
                with suppress(OSError):  # the disk may be full
                    self._workspace.link(names - self._known)
                self._known = names
