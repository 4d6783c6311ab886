"""The driver of an experiment, which runs Tune and writes the event log."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbtune.engine.driver.incoming import Incoming, read_stored, replace_code, runs_at, store
from nbtune.engine.driver.info import DriverInfo
from nbtune.engine.driver.messages import TrialMessages
from nbtune.engine.protocol import environment
from nbtune.engine.protocol.commands import Command, StopExperiment
from nbtune.engine.protocol.driver_of import DriverOf
from nbtune.engine.protocol.events import ExperimentUpdated
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.source import OverError
from nbtune.engine.storage.deletions import Deletions
from nbtune.engine.storage.launch_spec import Launch, Resume
from nbtune.engine.storage.lease import Lease, acquire
from nbtune.engine.storage.log import EventLog
from nbtune.engine.storage.log_writer import LogWriter
from nbtune.engine.storage.owner import this_process
from nbtune.engine.tune.hosts import Hosts

if TYPE_CHECKING:
    from nbtune.engine.tune.control import Control
    from nbtune.engine.tune.recorder import Recorder

__all__ = ["Driver"]

_READER_TIMEOUT = 30.0  # seconds without a request after which a reader is considered gone


class Driver(TrialMessages):
    """Runs one experiment, in a `nbtune.engine.driver.process.DriverProcess`.

    Its methods are called in the event loop of that actor, which is never blocked: a request that waits uses no
    thread, and one that reads files uses a thread of its own. Tune runs on a thread of its own, which sets events of
    the loop by `_set`.

    Args:
        own: this driver, as trials call it.
        hosts: the processes for its trials.
        on_over: called when the experiment is over, and its log is in storage or cannot be written there.
        abandon: ends the process, if the kernel ends before it has sent everything.
    """

    def __init__(self, own: DriverOf, hosts: Hosts, on_over: Callable[[], None], abandon: Callable[[], None]) -> None:
        self._own, self._hosts, self._on_over, self._abandon = own, hosts, on_over, abandon
        self._log: EventLog | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()  # there are new events
        self._accepts_commands = asyncio.Event()  # commands can be executed, or the experiment is over
        self._ended = asyncio.Event()  # the experiment is over
        self._log_final = asyncio.Event()  # its log is in storage, or cannot be written there for now
        self._control: Control | None = None
        self._stop_requested = False
        self._over = False
        self._large: list[Any] = []  # Ray's references to the large values
        self._finished = threading.Event()
        self._log_writer: LogWriter | None = None
        self._deletions: Deletions | None = None
        self._repair: Callable[[Any, str], None] = lambda filesystem, path: None
        self._readers: dict[str, float] = {}  # id of a reader -> time of its last request
        self._info: DriverInfo | None = None
        self._recorder: Recorder | None = None
        self._lease: Lease | None = None
        self._incoming = Incoming(self._on_abandoned)

    def watch(self) -> None:
        """End this process if the kernel ends before it has sent everything."""
        self._incoming.watch()

    # -- start --------------------------------------------------------------------------------

    async def put_large(self, position: int, value: Any) -> None:
        """Put a large value into the object store. The driver owns it there, so that the kernel may end.

        Args:
            position: its position among the large values.
            value: the value.
        """
        self._incoming.put(position, value)

    async def start(self, launch: Launch, reader: str) -> int:
        """Start a new experiment; return the id of this process.

        Args:
            launch: what to run. Its large values arrive by `put_large`.
            reader: the id of the first reader.

        Raises:
            OSError: the storage cannot be written.
        """
        from nbtune.engine.storage.snapshot import write_launch

        self._incoming.note_call()
        self._loop = asyncio.get_running_loop()
        filesystem, path = self._begin(launch, reader, launch.metadata)
        write_launch(filesystem, path, launch)
        self._large = await self._incoming.wait_for_all(launch.large_count)
        self._start_thread(store, filesystem, path, self._large, launch.key, self._record)
        self._start_thread(self._run, launch, None)
        return os.getpid()

    async def resume(self, resume: Resume, reader: str) -> int:
        """Resume an experiment from its folder; return the id of this process.

        Args:
            resume: which experiment, and how.
            reader: the id of the first reader.

        Raises:
            OSError: the storage cannot be read or written, or it does not have what was launched.
            UntrustedError: its code is not trusted.
            LeaseLostError: another driver has resumed it.
        """
        self._incoming.note_call()
        self._loop = asyncio.get_running_loop()
        self._large = await self._incoming.wait_for_all(0 if resume.code is None else resume.code.large_count)
        return await asyncio.to_thread(self._resume, resume, reader)

    def _resume(self, resume: Resume, reader: str) -> int:
        environment.set_variables(resume.environment)
        stored, launch, self._large = read_stored(resume, self._large)
        metadata: Metadata = {"error": None, "traceback": None, "ended": None, **resume.metadata}
        filesystem, path = self._begin(launch, reader, metadata, resume.epoch)
        if resume.code is not None:
            replace_code(filesystem, path, stored, launch, self._large)
            self._record(resume.code.metadata)
        self._start_thread(self._run, launch, resume)
        return os.getpid()

    def _begin(self, launch: Launch, reader: str, metadata: Metadata, replaced: int | None = None) -> tuple[Any, str]:
        """Become the owner of the folder, and start to write the log.

        Args:
            launch: what to run.
            reader: the id of the first reader.
            metadata: what the first event records.
            replaced: the epoch of the driver that this one replaces; None for a new experiment.

        Returns:
            The filesystem of the storage, and the experiment's folder on it.
        """
        if launch.slots is not None:
            # Tune reserves a placement group for each pending trial. One more than can run is enough.
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(launch.slots + 1)
        environment.set_variables(launch.environment)
        where = launch.storage.join(launch.folder)
        filesystem, path = where.open()
        lease = self._lease = acquire(
            filesystem, path, this_process((replaced or 0) + 1, **runs_at()), is_new=replaced is None
        )
        log = self._log = EventLog(filesystem, path, lease.owner.epoch)
        self._deletions = Deletions(log)
        self._log_writer = LogWriter(
            log,
            launch.storage.redacted,
            self._request_stop,
            lambda: self._repair(filesystem, path),
            lease.confirm,
            self._deletions,
        )
        self._readers[reader] = time.monotonic()
        self._info = DriverInfo(metadata.get("name", ""), where, self._own.experiment, lease.owner.id)
        self._record({"status": "pending", **metadata})
        log.flush()
        log.on_append = self._on_append
        lease.start(lambda: log.writes, self._request_stop)
        self._start_thread(self._log_writer.run, self._finished)
        return filesystem, path

    def _start_thread(self, function: Any, *args: Any) -> None:
        threading.Thread(target=function, args=args, name="nbtune-tune", daemon=True).start()

    def _on_abandoned(self, reason: str) -> None:
        """Exit this process: the kernel that has made this actor has not sent everything, and will not."""
        if self._log is not None and self._lease is not None:
            error = f"{reason} before it had sent all variables of the experiment: start it again"
            self._record({"status": "failed", "error": error})
            with suppress(Exception):  # a custom filesystem may raise anything
                self._log.flush()
            self._lease.release()
        self._abandon()

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

    async def info(self) -> DriverInfo | None:
        """Return which experiment it runs, and whether that is over; None before `start`."""
        return None if self._info is None else replace(self._info, over=self._over)

    async def dismiss(self) -> None:
        """Do not wait for readers: the experiment is over, and is about to be resumed."""
        self._readers.clear()

    def is_over(self) -> bool:
        """Return whether the experiment is over. Its log may not be in storage yet."""
        return self._over

    def was_replaced(self) -> bool:
        """Return whether another driver owns the experiment."""
        return self._lease is not None and self._lease.lost is not None

    def has_readers(self) -> bool:
        """Return whether a reader has neither left nor gone."""
        return any(time.monotonic() < last_request + _READER_TIMEOUT for last_request in list(self._readers.values()))

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
        """Run Tune to its end, on a thread of its own."""
        assert self._log_writer is not None
        assert self._lease is not None
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
        self._log_writer.finish(end, lambda: self._set(self._log_final))
        self._lease.release()
        self._on_over()

    def _fit(self, launch: Launch, resume: Resume | None) -> str:
        """Run Tune; return the experiment's final status."""
        from nbtune.engine._ray.tune import set_checkpoint_deletion
        from nbtune.engine.tune.tuner import make_run

        assert self._log is not None
        assert self._log_writer is not None
        assert self._deletions is not None
        set_checkpoint_deletion(self._deletions.add)
        run = make_run(launch, self._large, self._log, resume, self._hosts, self._own)
        self._deletions.needed, run.control.confirm = run.needed_checkpoints, self._log_writer.confirm
        self._control, self._recorder, self._failures = run.control, run.recorder, run.failures
        self._set(self._accepts_commands)
        self._repair = run.repair
        writer = self._log_writer
        run.recorder.on_failure = lambda unsaved, final: writer.on_trial_failure(unsaved, final=final)
        run.recorder.before_snapshot = writer.flush
        if self._stop_requested:
            run.control.submit(StopExperiment())
        self._record({"status": "running"})
        try:
            run.fit()
        except Exception:
            if not run.control.interrupted and run.failures.first is None:
                raise
        run.failures.raise_first()
        return "stopped" if run.control.interrupted else run.recorder.final_status()
