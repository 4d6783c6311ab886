"""The driver: the one actor of an experiment, which runs Tune and keeps the event log."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nbtune.engine.protocol import environment
from nbtune.engine.protocol.commands import Command, StopExperiment
from nbtune.engine.protocol.events import ExperimentUpdated, WorkerInfo
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.source import RefusedError
from nbtune.engine.storage.launch_spec import Launch, Resume
from nbtune.engine.storage.log import EventLog
from nbtune.engine.storage.log_writer import LogWriter
from nbtune.engine.storage.storage import Storage

__all__ = ["Driver"]

_SILENT = 30.0  # seconds after which a reader that has not asked is taken for gone


class Driver:
    """Runs one experiment. An async actor: who waits holds no thread; who reads files has one.

    Its loop only ever waits for events that are set on it. Tune's thread sets them by `_soon`.
    """

    def __init__(self) -> None:
        os.environ.update(environment.DRIVER_VARIABLES)
        self._log: EventLog | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()  # there is something new to read
        self._came = asyncio.Event()  # another big value has come
        self._steerable = asyncio.Event()  # commands can be executed, or the experiment is over
        self._ended = asyncio.Event()  # the experiment is over
        self._settled = asyncio.Event()  # its log is in storage, or cannot be brought there
        self._control: Any = None
        self._stop_requested = False
        self._over = False
        self._large: list[Any] = []  # references to the big values
        self._held: dict[int, Any] = {}  # the same as they come, by position
        self._done = threading.Event()
        self._log_writer: Any = None
        self._staging: Callable[[], str | None] = lambda: None
        self._readers: dict[str, float] = {}  # who reads -> when it has last asked
        self._about: dict[str, Any] = {}
        self._recorder: Any = None

    # -- beginning --------------------------------------------------------------------------------

    async def hold(self, position: int, value: Any) -> None:
        """Take one big value into the object store. The driver owns it: the kernel may go."""
        import ray

        self._held[position] = ray.put(value)
        self._came.set()

    async def start(self, launch: Launch, reader: str) -> int:
        """Begin; return this process's id.

        Args:
            launch: what to run. Its big values are on their way to `hold`.
            reader: who is going to read.

        Raises:
            OSError: the storage cannot be written.
        """
        from nbtune.engine.storage.snapshot import write_launch

        filesystem, path = self._begin(launch, reader, launch.metadata)
        write_launch(filesystem, path, launch)
        while len(self._held) < launch.large_count:  # a call that is small overtakes them
            self._came.clear()
            await self._came.wait()
        self._large = [self._held[position] for position in range(launch.large_count)]
        self._thread(self._write_large, filesystem, path)
        self._thread(self._run, launch, None)
        return os.getpid()

    async def resume(self, resume: Resume, reader: str) -> int:
        """Go on with an experiment from its folder; return this process's id.

        Args:
            resume: with which, and how.
            reader: who is going to read.

        Raises:
            OSError: the storage cannot be read or written, or it does not have what was launched.
        """
        import ray

        from nbtune.engine.storage.snapshot import read_large, read_launch

        os.environ.update(resume.environment)
        filesystem, path = resume.storage.join(resume.folder).open()
        stored = read_launch(filesystem, path)
        self._large = [ray.put(value) for value in read_large(filesystem, path, stored.large_count)]
        launch = replace(stored, storage=resume.storage, slots=resume.slots, environment=resume.environment)
        self._begin(launch, reader, {"error": None, "traceback": None, "over": None, **resume.metadata})
        self._thread(self._run, launch, resume)
        return os.getpid()

    def _begin(self, launch: Launch, reader: str, metadata: Metadata) -> tuple[Any, str]:
        """Begin to write the log; return the storage's filesystem, and the experiment's folder there."""
        if launch.slots is not None:
            # Tune reserves a placement group for each pending trial; a few more than run are enough.
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(launch.slots + 1)
        os.environ.update(launch.environment)
        where = launch.storage.join(launch.folder)
        filesystem, path = where.open()
        log = self._log = EventLog(filesystem, path)
        self._log_writer = LogWriter(log, launch.storage.redacted, self._request_stop, lambda: self._repair(where))
        self._readers[reader] = time.monotonic()
        self._about = {"name": metadata.get("name"), "path": metadata.get("path"), "where": where}
        self._record({"status": "pending", **metadata})
        log.flush()
        self._loop = asyncio.get_running_loop()
        log.on_append = self._wake
        self._thread(self._log_writer.run, self._done)
        return filesystem, path

    def _thread(self, function: Any, *args: Any) -> None:
        threading.Thread(target=function, args=args, name="nbtune-tune", daemon=True).start()

    def _write_large(self, filesystem: Any, path: str) -> None:
        """Write the big values into storage, so that the experiment can be resumed without its notebook."""
        import ray

        from nbtune.engine.storage.snapshot import write_large

        try:
            write_large(filesystem, path, [ray.get(value) for value in self._large])
        except OSError as error:
            self._record({"warning": f"it cannot be resumed after a crash: {error}"})

    # -- reading ----------------------------------------------------------------------------------

    async def events(self, since: int, timeout: float = 10.0, reader: str = "") -> list[bytes]:
        """Return the events from number `since` on as encoded chunks; wait for one if there is none.

        Args:
            since: the number of the first event that the reader has not seen.
            timeout: seconds to wait; after that the answer is empty.
            reader: who asks: the driver stays until it leaves.
        """
        assert self._log is not None, "start comes first"
        if reader:
            self._readers[reader] = time.monotonic() + timeout
        if len(self._log) <= since:
            self._changed.clear()
            if len(self._log) <= since:  # one may have come between the two
                try:
                    await asyncio.wait_for(self._changed.wait(), timeout)
                except TimeoutError:
                    return []
        # Inside a reader's round everything is in memory. One that comes late reads files, from an object store for
        # seconds, and nobody else may wait for that: a stop least of all.
        chunks = self._log.read_from_memory(since)
        return await asyncio.to_thread(self._log.read, since) if chunks is None else chunks

    async def pid(self) -> int:
        """Return the number of this process."""
        return os.getpid()

    async def about(self) -> dict[str, Any]:
        """Return what it is: name, path, where it is kept, and whether it is over."""
        return {**self._about, "over": self._over}

    async def end(self) -> None:
        """End this process: somebody wants to go on with the experiment that is over."""
        self._readers.clear()

    async def leave(self, reader: str) -> None:
        """Let go of a reader; where the experiment is over, once its log is in storage or cannot be brought there."""
        if self._over:
            await self._settled.wait()
        self._readers.pop(reader, None)

    # -- commands ---------------------------------------------------------------------------------

    async def execute(self, command: Command) -> None:
        """Execute a command.

        Returns once Tune's thread has executed it. The end of the experiment is only requested: it takes effect
        with Tune's next step, or as soon as Tune runs.

        Args:
            command: what to do.

        Raises:
            RefusedError: it cannot be executed for the trial or the algorithm, or the experiment is over.
        """
        if isinstance(command, StopExperiment):
            self._request_stop()
            return
        await self._steerable.wait()
        if self._over:
            raise RefusedError("the experiment is over")
        done = asyncio.wrap_future(self._control.submit(command))
        ended = asyncio.ensure_future(self._ended.wait())
        await asyncio.wait([done, ended], return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not done.done():
            raise RefusedError("the experiment ended before the command was executed")
        await done

    def _request_stop(self) -> None:
        self._stop_requested = True
        if self._control is not None:
            self._control.submit(StopExperiment())

    # -- what trials tell beside Tune -------------------------------------------------------------

    async def workers(self, trial_id: str, iteration: int, workers: list[WorkerInfo]) -> None:
        """Take note of a trial's workers; see `nbtune.engine.tune.recorder.Recorder.on_workers`."""
        self._recorder.on_workers(trial_id, iteration, workers)

    # -- running ----------------------------------------------------------------------------------

    def _soon(self, event: asyncio.Event) -> None:
        """Set an event of the loop's, from any thread."""
        assert self._loop is not None, "start comes first"
        self._loop.call_soon_threadsafe(event.set)

    def _wake(self) -> None:
        if not self._changed.is_set():
            self._soon(self._changed)

    def _record(self, metadata: Metadata) -> None:
        assert self._log is not None
        self._log.append(ExperimentUpdated(time=time.time(), metadata=metadata))

    def _run(self, launch: Launch, resume: Resume | None) -> None:
        """Run Tune to its end, on a thread of its own; then end this process."""
        end: Metadata = {"status": "failed"}
        try:
            end = {"status": self._fit(launch, resume)}
        except BaseException as error:  # whatever it is, the experiment has failed and must say so
            from nbtune.engine.protocol.failures import describe

            failure = describe(error)
            end = {"status": "failed", "error": failure["error"], "traceback": failure["traceback"]}
        self._over = True
        self._soon(self._steerable)
        self._soon(self._ended)
        self._done.set()
        self._log_writer.flush_until_given_up()
        if self._log_writer.failure is not None:
            end = {"status": "failed", "error": self._log_writer.failure}
        self._record(end)
        complete = self._log_writer.flush_and_repair()
        self._soon(self._settled)
        if not complete:
            self._log_writer.retry_after_end()
        self._stay()

    def _repair(self, where: Storage) -> None:
        from nbtune.engine.storage.repair import repair

        if (staging := self._staging()) is not None:
            repair(staging, *where.open())

    def _fit(self, launch: Launch, resume: Resume | None) -> str:
        from nbtune.engine.tune.tuner import make_run

        assert self._log is not None
        run = make_run(launch, self._large, self._log, resume)
        self._control, self._recorder = run.control, run.recorder
        self._soon(self._steerable)
        self._staging = lambda: run.recorder.staging
        run.recorder.on_failure = lambda unsaved, final: self._log_writer.on_trial_failure(unsaved, final=final)
        if self._stop_requested:
            self._control.submit(StopExperiment())
        self._record({"status": "running"})
        try:
            run.tuner.fit()
        except Exception:
            if not run.control.interrupted:
                raise
        return "stopped" if run.control.interrupted else run.recorder.final_status()

    def _stay(self) -> None:
        """End this process once nobody reads any more."""
        import ray

        while any(time.monotonic() < asked + _SILENT for asked in list(self._readers.values())):
            time.sleep(0.1)
        ray.kill(ray.get_runtime_context().current_actor)
