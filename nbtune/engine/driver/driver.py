"""The driver: the actor of an experiment, which runs Tune and writes the event log."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nbtune.engine.protocol import environment
from nbtune.engine.protocol.commands import Command, StopExperiment
from nbtune.engine.protocol.events import ExperimentUpdated, WorkerInfo
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.source import OverError
from nbtune.engine.storage.launch_spec import Launch, Resume
from nbtune.engine.storage.log import EventLog
from nbtune.engine.storage.log_writer import LogWriter
from nbtune.engine.storage.storage import Storage

if TYPE_CHECKING:
    from nbtune.engine.tune.control import Control
    from nbtune.engine.tune.recorder import Recorder

__all__ = ["Driver", "DriverInfo"]

_READER_TIMEOUT = 30.0  # seconds without a request after which a reader is considered gone


@dataclass(frozen=True)
class DriverInfo:
    """What a driver runs.

    Attributes:
        name: the name of the experiment.
        where: its folder.
        over: whether it is over.
    """

    name: str
    where: Storage
    over: bool = False


class Driver:
    """Runs one experiment.

    It is an async actor: a request that waits uses no thread, and one that reads files uses a thread of its own. Its
    event loop is never blocked. Tune runs on a thread of its own, which sets events of the loop by `_set`.
    """

    def __init__(self) -> None:
        os.environ.update(environment.DRIVER_VARIABLES)
        self._log: EventLog | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()  # there are new events
        self._large_arrived = asyncio.Event()  # another large value has arrived
        self._accepts_commands = asyncio.Event()  # commands can be executed, or the experiment is over
        self._ended = asyncio.Event()  # the experiment is over
        self._log_final = asyncio.Event()  # its log is in storage, or cannot be written there for now
        self._control: Control | None = None
        self._stop_requested = False
        self._over = False
        self._large: list[Any] = []  # Ray's references to the large values
        self._large_by_position: dict[int, Any] = {}  # the same by position, as they arrive
        self._finished = threading.Event()
        self._log_writer: LogWriter | None = None
        self._staging: Callable[[], str | None] = lambda: None
        self._readers: dict[str, float] = {}  # id of a reader -> time of its last request
        self._info: DriverInfo | None = None
        self._recorder: Recorder | None = None

    # -- start --------------------------------------------------------------------------------

    async def put_large(self, position: int, value: Any) -> None:
        """Put a large value into the object store. The driver owns it there, so that the kernel may end.

        Args:
            position: its position among the large values.
            value: the value.
        """
        import ray

        self._large_by_position[position] = ray.put(value)
        self._large_arrived.set()

    async def start(self, launch: Launch, reader: str) -> int:
        """Start a new experiment; return the id of this process.

        Args:
            launch: what to run. Its large values arrive by `put_large`.
            reader: the id of the first reader.

        Raises:
            OSError: the storage cannot be written.
        """
        from nbtune.engine.storage.snapshot import write_launch

        filesystem, path = self._begin(launch, reader, launch.metadata)
        write_launch(filesystem, path, launch)
        while len(self._large_by_position) < launch.large_count:  # this call may arrive before those with large values
            self._large_arrived.clear()
            await self._large_arrived.wait()
        self._large = [self._large_by_position[position] for position in range(launch.large_count)]
        self._start_thread(self._write_large, filesystem, path)
        self._start_thread(self._run, launch, None)
        return os.getpid()

    async def resume(self, resume: Resume, reader: str) -> int:
        """Resume an experiment from its folder; return the id of this process.

        Args:
            resume: which experiment, and how.
            reader: the id of the first reader.

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
        self._begin(launch, reader, {"error": None, "traceback": None, "ended": None, **resume.metadata})
        self._start_thread(self._run, launch, resume)
        return os.getpid()

    def _begin(self, launch: Launch, reader: str, metadata: Metadata) -> tuple[Any, str]:
        """Start to write the log; return the filesystem of the storage, and the experiment's folder on it."""
        if launch.slots is not None:
            # Tune reserves a placement group for each pending trial. One more than can run is enough.
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(launch.slots + 1)
        os.environ.update(launch.environment)
        where = launch.storage.join(launch.folder)
        filesystem, path = where.open()
        log = self._log = EventLog(filesystem, path)
        self._log_writer = LogWriter(log, launch.storage.redacted, self._request_stop, lambda: self._repair(where))
        self._readers[reader] = time.monotonic()
        self._info = DriverInfo(metadata.get("name", ""), where)
        self._record({"status": "pending", **metadata})
        log.flush()
        self._loop = asyncio.get_running_loop()
        log.on_append = self._on_append
        self._start_thread(self._log_writer.run, self._finished)
        return filesystem, path

    def _start_thread(self, function: Any, *args: Any) -> None:
        threading.Thread(target=function, args=args, name="nbtune-tune", daemon=True).start()

    def _write_large(self, filesystem: Any, path: str) -> None:
        """Write the large values into storage, so that the experiment can be resumed without its notebook."""
        import ray

        from nbtune.engine.storage.snapshot import write_large

        try:
            write_large(filesystem, path, [ray.get(value) for value in self._large])
        except OSError as error:
            self._record({"warning": f"it cannot be resumed after a crash: {error}"})

    # -- readers ----------------------------------------------------------------------------------

    async def events(self, since: int, timeout: float = 10.0, reader: str = "") -> list[bytes]:
        """Return the events from number `since` on as encoded chunks. Wait for one if there is none yet.

        Args:
            since: the number of the first event.
            timeout: seconds to wait. After that the list is empty.
            reader: the id of the reader. The driver does not exit before it leaves.
        """
        assert self._log is not None, "start comes first"
        if reader:
            self._readers[reader] = time.monotonic() + timeout
        if len(self._log) <= since:
            self._changed.clear()
            if len(self._log) <= since:  # an event may have been added in between
                try:
                    await asyncio.wait_for(self._changed.wait(), timeout)
                except TimeoutError:
                    return []
        # A regular reader finds all events in memory. A late one needs files, and an object store may take seconds.
        # Other requests, in particular a stop, must not wait for that.
        chunks = self._log.read_from_memory(since)
        return await asyncio.to_thread(self._log.read, since) if chunks is None else chunks

    async def pid(self) -> int:
        """Return the id of this process."""
        return os.getpid()

    async def info(self) -> DriverInfo | None:
        """Return which experiment it runs, and whether that is over; None before `start`."""
        return None if self._info is None else replace(self._info, over=self._over)

    async def exit(self) -> None:
        """Exit without waiting for readers: the experiment is over, and is about to be resumed."""
        self._readers.clear()

    async def leave(self, reader: str) -> None:
        """Remove a reader. If the experiment is over, first wait until its log is in storage or cannot be written
        there.

        Args:
            reader: the id of the reader.
        """
        if self._over:
            await self._log_final.wait()
        self._readers.pop(reader, None)

    # -- commands ---------------------------------------------------------------------------------

    async def execute(self, command: Command) -> None:
        """Execute a command.

        Returns once Tune's thread has executed it. The end of the experiment is only requested: it takes effect
        with Tune's next step, or as soon as Tune runs.

        Args:
            command: what to do.

        Raises:
            RefusedError: it cannot be executed for the trial or the algorithm.
            OverError: the experiment is over.
        """
        if isinstance(command, StopExperiment):
            self._request_stop()
            return
        await self._accepts_commands.wait()
        if self._over:
            raise OverError("the experiment is over")
        assert self._control is not None
        done = asyncio.wrap_future(self._control.submit(command))
        ended = asyncio.ensure_future(self._ended.wait())
        waiting: list[asyncio.Future[Any]] = [done, ended]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not done.done():
            raise OverError("the experiment ended before the command was executed")
        await done

    def _request_stop(self) -> None:
        self._stop_requested = True
        if self._control is not None:
            self._control.submit(StopExperiment())

    # -- messages of trials -------------------------------------------------------------

    async def workers(self, trial_id: str, iteration: int, workers: list[WorkerInfo]) -> None:
        """Record that the workers of a trial have started.

        Args:
            trial_id: Tune's id.
            iteration: the number of reports before.
            workers: all workers that the trial has now.
        """
        assert self._recorder is not None, "trials exist after the recorder"
        self._recorder.on_workers(trial_id, iteration, workers)

    # -- running ----------------------------------------------------------------------------------

    def _set(self, event: asyncio.Event) -> None:
        """Set an event of the loop from any thread."""
        assert self._loop is not None, "start comes first"
        self._loop.call_soon_threadsafe(event.set)

    def _on_append(self) -> None:
        if not self._changed.is_set():
            self._set(self._changed)

    def _record(self, metadata: Metadata) -> None:
        assert self._log is not None
        self._log.append(ExperimentUpdated(time=time.time(), metadata=metadata))

    def _run(self, launch: Launch, resume: Resume | None) -> None:
        """Run Tune to its end, on a thread of its own; then exit this process."""
        assert self._log_writer is not None
        end: Metadata = {"status": "failed"}
        try:
            end = {"status": self._fit(launch, resume)}
        except BaseException as error:  # the experiment has failed, whatever the reason, and must report it
            from nbtune.engine.protocol.failures import describe

            failure = describe(error)
            end = {"status": "failed", "error": failure["error"], "traceback": failure["traceback"]}
        self._over = True
        self._set(self._accepts_commands)
        self._set(self._ended)
        self._finished.set()
        self._log_writer.flush_until_given_up()
        if self._log_writer.failure is not None:
            end = {"status": "failed", "error": self._log_writer.failure}
        self._record(end)
        complete = self._log_writer.flush_and_repair()
        self._set(self._log_final)
        if not complete:
            self._log_writer.retry_after_end()
        self._exit_after_readers()

    def _repair(self, where: Storage) -> None:
        from nbtune.engine.storage.repair import repair

        if (staging := self._staging()) is not None:
            repair(staging, *where.open())

    def _fit(self, launch: Launch, resume: Resume | None) -> str:
        """Run Tune; return the experiment's final status."""
        from nbtune.engine.tune.tuner import make_run

        assert self._log is not None
        assert self._log_writer is not None
        run = make_run(launch, self._large, self._log, resume)
        self._control, self._recorder = run.control, run.recorder
        self._set(self._accepts_commands)
        self._staging = lambda: run.recorder.staging
        writer = self._log_writer
        run.recorder.on_failure = lambda unsaved, final: writer.on_trial_failure(unsaved, final=final)
        if self._stop_requested:
            run.control.submit(StopExperiment())
        self._record({"status": "running"})
        try:
            run.tuner.fit()
        except Exception:
            if not run.control.interrupted:
                raise
        return "stopped" if run.control.interrupted else run.recorder.final_status()

    def _exit_after_readers(self) -> None:
        """Exit this process when all readers have left or are gone."""
        import ray

        while any(time.monotonic() < last_request + _READER_TIMEOUT for last_request in list(self._readers.values())):
            time.sleep(0.1)
        ray.kill(ray.get_runtime_context().current_actor)
