"""Work of nbtune between the cells of a notebook: imports while the kernel is idle, and a Ray that starts early.

After the imports the page gets plotly.js, which takes it over a second to read.

Imports on a second thread would not be safe: a cell that imports the same packages meanwhile gets partially initialized
modules. So they are made on the kernel's own thread, one after the other, and only while no cell runs. A cell that is
executed meanwhile waits for one of them at most.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Any

from nbtune.engine.protocol.importing import without_collection

__all__ = ["Idle"]

_QUIET = 0.3  # seconds after a cell, in which the next one of "Run All Cells" starts
_BETWEEN = 0.02  # seconds between two imports, in which a waiting cell starts
_IMPORTS = (
    # Ray's and its dependencies one by one, as importing ray.tune takes over a second.
    *("numpy", "pyarrow", "pandas", "ray", "pyarrow.fs", "ray.data", "ray.tune"),
    *("nbtune.engine.search.make", "nbtune.engine.trial.payload", "nbtune.engine.client.launch"),
    *("nbtune.cluster.connect", "nbtune.launch.start", "nbtune.launch.code", "nbtune.launch.rerun"),
    *("nbtune.results.experiment", "nbtune.views.live.dashboard", "nbtune.views.still.kept"),
)
"""What an experiment needs in the kernel, in the order in which it is imported."""


class Idle:
    """Starts Ray and imports its modules after a cell, if the user has chosen that.

    Args:
        shell: the IPython shell.
    """

    def __init__(self, shell: Any) -> None:
        self._due = False  # whether to start Ray after this cell
        self._running = False  # whether a cell is running
        self._last_end = 0.0
        self._names: deque[str] = deque()
        shell.events.register("pre_run_cell", self._before_cell)
        shell.events.register("post_run_cell", self._after_cell)

    def start_ray(self) -> None:
        """Start Ray in the background after the running cell, with the packages that this cell imports."""
        self._due = True

    def stop_ray(self) -> None:
        """Undo `start_ray`, unless the kernel has connected to that Ray."""
        self._due = False
        self._names.clear()
        early = sys.modules.get("nbtune.cluster.embedded.early")
        if early is not None and early.status() is not None:
            early.stop()

    def _before_cell(self, info: Any = None) -> None:
        self._running = True

    def _after_cell(self, result: Any = None) -> None:
        self._running, self._last_end = False, time.monotonic()
        if self._due:
            self._due = False
            from nbtune.cluster.connect import start_ahead

            if start_ahead():
                self._names.extend(_IMPORTS)
        if (early := sys.modules.get("nbtune.cluster.embedded.early")) is not None:
            early.check(sys.modules.get("ray"))
            early.import_ahead()
        if self._names:
            self._later(_QUIET)

    def _later(self, seconds: float) -> None:
        import asyncio

        with suppress(RuntimeError):  # outside of notebooks there is no running event loop
            asyncio.get_running_loop().call_later(seconds, self._import_one)

    def _import_one(self) -> None:
        if self._running or not self._names or time.monotonic() - self._last_end < _QUIET:
            return  # the end of the cell that runs, or that has run since, calls again
        name = self._names.popleft()
        with suppress(Exception), without_collection():  # the experiment will report what is wrong
            if name == "ray":
                from nbtune.cluster.link.imports import import_ray

                import_ray()
            else:
                importlib.import_module(name)
            if not self._names:
                from nbtune.views.live.widgets import PlotlyAhead

                PlotlyAhead()
        self._later(_BETWEEN)
