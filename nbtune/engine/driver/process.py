"""The actor in whose process drivers run, one experiment after another.

Starting a process and its imports takes seconds. So a process that has run an experiment stays for the next one of the
same kernel, together with the processes of its trials. It reserves no CPU, and exits when it is not used for a while,
or when its kernel has ended. This module is imported by a new process before anything else, and so imports nothing that
takes long.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nbtune.engine.protocol import environment
from nbtune.engine.protocol.source import SourceLostError
from nbtune.engine.tune.hosts import Hosts

if TYPE_CHECKING:
    from nbtune.engine.driver.driver import Driver
    from nbtune.engine.driver.info import DriverInfo

__all__ = ["DriverProcess"]

_IDLE_TIMEOUT = 600.0  # seconds without an experiment after which the process exits
_EXCESS_TIMEOUT = 60.0  # seconds after which processes of trials end beyond those that are started ahead
_RESET_TIMEOUT = 5.0  # seconds that a kernel waits for a process whose experiment is over
_FIRST_USE_DELAY = 1.0  # seconds without an experiment after which what its packages import later is imported, too
_POLL_INTERVAL = 2.0  # seconds between two looks at that
_START_TIMEOUT = 30.0  # seconds that a command waits for the start of its experiment
_START_METHODS = frozenset({"put_large", "start", "resume"})


class DriverProcess:
    """Runs one experiment at a time. Drivers whose experiment is over stay until their readers have left.

    It is an async actor, whose event loop is never blocked; see `Driver`.

    Args:
        nodes: ids of the nodes on which processes for trials are started ahead, one for each process.
    """

    def __init__(self, nodes: Sequence[str] = ()) -> None:
        os.environ.update(environment.DRIVER_VARIABLES)
        self._hosts = Hosts()
        # Their imports take place at the same time as those here, on the other cores.
        self._hosts.keep(nodes[: max(1, (os.cpu_count() or 1) - 1)])
        from nbtune.engine.driver import driver  # noqa: F401 - takes long, and is needed by the first experiment
        from nbtune.engine.trial import tidy
        from nbtune.engine.tune import tuner  # noqa: F401

        logging.getLogger("ray.tune").setLevel(logging.WARNING)  # else the notebook shows where Tune has written files
        self._drivers: dict[str, Driver] = {}  # by experiment
        self._ended: set[str] = set()  # experiments whose drivers are forgotten
        self._begun = asyncio.Event()  # the next experiment has begun
        self._running: str | None = None  # the experiment that is not over
        self._ready = asyncio.Event()  # it can run an experiment, or ends
        self._is_ending = False
        self._idle_since = time.monotonic()
        tidy.remember()
        self._hosts.keep(nodes)
        threading.Thread(target=self._watch, name="nbtune-process", daemon=True).start()

    # -- called by kernels ------------------------------------------------------------------------

    async def claim(self) -> bool:
        """Return whether this process can run another experiment. If so, it waits for it."""
        running = self._drivers.get(self._running or "")
        if running is not None and running.is_over():  # it is about to be ready
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), _RESET_TIMEOUT)
        from nbtune.engine.trial import tidy

        if tidy.packages_changed():  # its processes may have imported another version
            self._is_ending = True
        if self._running is not None or self._is_ending:
            return False
        self._idle_since = time.monotonic()
        return True

    async def import_ahead(self, packages: Sequence[str], variables: Mapping[str, str]) -> None:
        """Let the processes of trials import packages before the next experiment begins.

        Args:
            packages: names of packages that the kernel has imported.
            variables: environment variables that the trials will probably have.
        """
        # Also while it still tidies up after an experiment: the kernel does not say it again.
        await asyncio.to_thread(self._hosts.import_ahead, packages, variables)
        if later := environment.first_use_modules(packages):
            await asyncio.sleep(_FIRST_USE_DELAY)
            if self._running is None:  # else its trials, which may not need it, would wait for it
                await asyncio.to_thread(self._hosts.import_ahead, later, variables)

    async def pid(self) -> int:
        """Return the id of this process."""
        return os.getpid()

    async def info(self) -> DriverInfo | None:
        """Return which experiment it runs, or which one is over and still has readers; None if there is none."""
        latest = self._running or next(reversed(self._drivers), None)
        return None if latest is None else await self._drivers[latest].info()

    async def call(self, experiment: str, method: str, *arguments: Any) -> Any:
        """Call a method of a driver; return its result.

        Args:
            experiment: the id of its experiment.
            method: the method's name. Some begin the experiment.
            arguments: its arguments.

        Raises:
            SourceLostError: the driver has ended.
        """
        if method in _START_METHODS and experiment not in self._drivers:
            self._begin(experiment)
        else:
            await self._wait_for(experiment)
        return await getattr(self._drivers[experiment], method)(*arguments)

    async def _wait_for(self, experiment: str) -> None:
        """Wait for the start of an experiment: Ray may execute a command before it, whose arguments arrive later.

        Raises:
            SourceLostError: it was here, or does not come.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_TIMEOUT):
                while experiment not in self._drivers and experiment not in self._ended:
                    await self._begun.wait()
        if experiment not in self._drivers:
            raise SourceLostError("its driver has ended")

    async def end(self) -> None:
        """Exit when no experiment is running and no driver has readers: this process is not needed any more."""
        self._is_ending = True

    # -- experiments ------------------------------------------------------------------------------

    def _begin(self, experiment: str) -> None:
        import ray

        from nbtune.engine.driver.driver import Driver
        from nbtune.engine.protocol.driver_of import DriverOf

        if self._running is not None:
            raise RuntimeError("this process runs another experiment")
        self._running, self._loop = experiment, asyncio.get_running_loop()
        self._ready.clear()
        own = DriverOf(ray.get_runtime_context().current_actor, experiment)
        driver = self._drivers[experiment] = Driver(own, self._hosts, self._on_over, self._exit)
        driver.watch()
        self._begun.set()
        self._begun = asyncio.Event()

    def _on_over(self) -> None:
        """Prepare for the next experiment, on the thread of the one that is over."""
        from nbtune.engine.driver.reset import reset

        was_replaced = self._drivers[self._running or ""].was_replaced()  # it was frozen, or cut off
        if not self._is_ending and not was_replaced and reset():
            self._hosts.settle()
        else:
            self._is_ending = True
        self._running, self._idle_since = None, time.monotonic()
        self._loop.call_soon_threadsafe(self._ready.set)

    def _watch(self) -> None:
        """Forget drivers without readers, and exit when this process is not needed any more."""
        from nbtune.engine.driver.incoming import is_launcher_gone

        while True:
            time.sleep(_POLL_INTERVAL)
            for experiment, driver in list(self._drivers.items()):
                if experiment != self._running and not driver.has_readers():
                    self._ended.add(experiment)
                    self._drivers.pop(experiment, None)
            if self._running is None and time.monotonic() - self._idle_since > _EXCESS_TIMEOUT:
                self._hosts.trim()
            if self._running is not None or self._drivers:
                continue
            if self._is_ending or time.monotonic() - self._idle_since > _IDLE_TIMEOUT or is_launcher_gone():
                # A kernel that claims this process from now on is refused.
                self._is_ending = True
                self._exit()
                return

    def _exit(self) -> None:
        import ray

        ray.kill(ray.get_runtime_context().current_actor)
