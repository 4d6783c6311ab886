"""The driver: the one actor of an experiment, which runs Tune and keeps the event log."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nbtune.engine import environment
from nbtune.engine.events import Event
from nbtune.engine.keeper import Keeper
from nbtune.engine.log import EventLog
from nbtune.engine.storage import Storage
from nbtune.spec.options import Spec
from nbtune.spec.space import Space

__all__ = ["Driver", "Launch"]


@dataclass(frozen=True)
class Launch:
    """What a driver needs to run an experiment.

    Attributes:
        spec: the options.
        space: the space, as the search algorithm is to see it.
        data: `nbtune.engine.payload.Packed.data`.
        large: object references to `Packed.large`, owned by the driver.
        folder: the name of the experiment's folder in storage.
        storage: where this folder is.
        slots: how many trials can run at once on the cluster as it is, or None if it can grow.
        facts: what the first event tells: source, space and options for people, versions.
        environment: what the kernel's says of object stores, and is secret.
    """

    spec: Spec
    space: Space
    data: bytes
    large: list[Any]
    folder: str
    storage: Storage
    slots: int | None
    facts: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict, repr=False)


class Driver:
    """Runs one experiment. An async actor: reads wait without holding a thread."""

    def __init__(self) -> None:
        os.environ.update(environment.DRIVER)
        self._log: EventLog | None = None
        self._changed = asyncio.Event()
        self._control: Any = None
        self._numbers: dict[str, int] = {}
        self._stop_early = False
        self._done = threading.Event()
        self._in_storage: bool | None = None  # None: not known yet
        self._left = False
        self._keeper: Any = None
        self._staging: Callable[[], str | None] = lambda: None

    async def start(self, launch: Launch) -> int:
        """Begin; return this process's id.

        Args:
            launch: what to run.

        Raises:
            OSError: the storage cannot be written.
        """
        if launch.slots is not None:
            # Tune reserves a placement group for each pending trial; a few more than run are enough.
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(launch.slots + 1)
        os.environ.update(launch.environment)
        where = launch.storage.join(launch.folder)
        self._log = EventLog(*where.open())
        self._keeper = Keeper(self._log, launch.storage.shown, self._end_early, lambda: self._mend(where))
        self._state("pending", **launch.facts)
        self._log.flush()
        loop = asyncio.get_running_loop()
        self._log.on_append = lambda: self._wake(loop)
        threading.Thread(target=self._keeper.run, args=(self._done,), daemon=True).start()
        threading.Thread(target=self._run, args=(launch,), name="nbtune-tune", daemon=True).start()
        return os.getpid()

    async def events(self, since: int, timeout: float = 10.0) -> list[bytes]:
        """Return the events from number `since` on as encoded chunks; wait for one if there is none.

        Args:
            since: the number of the first event that the reader has not seen.
            timeout: seconds to wait; after that the answer is empty.
        """
        assert self._log is not None, "start comes first"
        if len(self._log) <= since:
            self._changed.clear()
            if len(self._log) <= since:  # one may have come between the two
                try:
                    await asyncio.wait_for(self._changed.wait(), timeout)
                except TimeoutError:
                    return []
        return self._log.read(since)

    async def finish(self) -> bool:
        """Tell whether the whole log is in storage, once that is known; to be called when the experiment is over."""
        while self._in_storage is None:
            await asyncio.sleep(0.01)
        return self._in_storage

    async def leave(self) -> None:
        """End this process once the log is in storage, or cannot be brought there."""
        import ray

        while not self._left:
            await asyncio.sleep(0.1)
        ray.actor.exit_actor()

    async def stop(self) -> None:
        """End the experiment."""
        self._stop_early = True
        if self._control is not None:
            self._control.stop()

    async def stop_trial(self, number: int) -> None:
        """End one trial."""
        for trial_id, known in self._numbers.items():
            if known == number and self._control is not None:
                self._control.stop_trial(trial_id)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._changed.is_set():
            loop.call_soon_threadsafe(self._changed.set)

    def _state(self, status: str, **facts: Any) -> None:
        assert self._log is not None
        self._log.append(Event("experiment", time=time.time(), data={"status": status, **facts}))

    def _run(self, launch: Launch) -> None:
        """Run Tune to its end, on a thread of its own."""
        assert self._log is not None
        try:
            verdict: tuple[str, dict[str, Any]] = (self._fit(launch, self._log), {})
        except BaseException as error:  # whatever it is, the experiment has failed and must say so
            from nbtune.engine.failures import describe

            verdict = ("failed", describe(error))
        self._done.set()
        self._keeper.settle()
        if self._keeper.fault is not None:
            verdict = ("failed", {"error": self._keeper.fault})
        self._state(verdict[0], **verdict[1])
        self._in_storage = self._keeper.complete()
        if not self._in_storage:
            self._keeper.outlast()
        self._left = True

    def _end_early(self) -> None:
        if self._control is not None:
            self._control.stop()

    def _mend(self, where: Storage) -> None:
        from nbtune.engine.mend import mend

        if (staging := self._staging()) is not None:
            mend(staging, *where.open())

    def _fit(self, launch: Launch, log: EventLog) -> str:
        from nbtune.engine.tuner import make_tuner

        tuner, self._control, recorder = make_tuner(launch, log)
        self._numbers = recorder.numbers
        self._staging = lambda: recorder.staging
        recorder.on_failure = lambda failure, final: self._keeper.trial_failed(failure, final=final)
        if self._stop_early or self._keeper.fault is not None:
            self._control.stop()
        self._state("running")
        tuner.fit()
        if self._stop_early:
            return "stopped"
        return recorder.verdict()
