"""The driver's event loop: what it waits for, and that no request is blocked by another one."""

import asyncio
import inspect
import threading
import time
from concurrent.futures import Future

import pyarrow.fs as pafs
import pytest

from nbtune.engine.client import launch as launch_module
from nbtune.engine.client.launch import Remote
from nbtune.engine.driver import driver as driver_module
from nbtune.engine.driver.driver import Driver
from nbtune.engine.driver.incoming import store
from nbtune.engine.protocol.chunk import decode
from nbtune.engine.protocol.commands import SetMaxConcurrent, StopExperiment
from nbtune.engine.protocol.driver_of import DriverOf
from nbtune.engine.protocol.events import TrialReported
from nbtune.engine.protocol.source import RefusedError, SourceLostError, StartError
from nbtune.engine.storage import log as log_module
from nbtune.engine.storage.log import EventLog
from nbtune.engine.tune.hosts import Hosts

SOON = 5.0  # seconds that suffice on the slowest machine for what does not wait for anything


@pytest.fixture
def driver():
    return Driver(DriverOf(None, "one"), Hosts(), lambda: None, lambda: None)


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "_SEGMENT_EVENTS", 10)
    return EventLog(pafs.LocalFileSystem(), str(tmp_path))


def add(log, count):
    for _ in range(count):
        log.append(TrialReported(len(log), iteration=len(log), metrics={"x": len(log)}))


def numbers(answer, since=0):
    return [number for data in answer for chunk in decode(data) for number in chunk.since(since).trial.tolist()]


# -- reading ---------------------------------------------------------------------------------------


@pytest.fixture
def slow_storage(monkeypatch):
    """A storage whose files can be read after the event `go`; the event `asked` is set when one is requested."""
    asked, go = threading.Event(), threading.Event()
    real = log_module.read_file

    def read(storage, path):
        asked.set()
        assert go.wait(30)
        return real(storage, path)

    monkeypatch.setattr(log_module, "read_file", read)
    yield asked, go
    go.set()


def test_a_stop_is_acknowledged_while_a_late_reader_waits_for_storage(driver, log, slow_storage):
    asked, go = slow_storage
    add(log, 35)
    log.flush()
    driver._log = log

    async def late_reader_and_stop():
        reading = asyncio.ensure_future(driver.events(0, 1.0, "late"))
        while not asked.is_set():
            await asyncio.sleep(0.005)
        began = time.monotonic()
        await driver.execute(StopExperiment())
        live = await driver.events(30, 1.0, "live")  # a reader that is up to date does not wait either
        took = time.monotonic() - began
        assert not reading.done()
        add(log, 7)  # later events belong to the next answer
        go.set()
        return took, live, await reading

    threading.Timer(SOON, go.set).start()  # so that the test fails with a blocked loop, and does not hang
    took, live, answer = asyncio.run(late_reader_and_stop())
    assert took < 0.5
    assert driver._stop_requested
    assert numbers(live, 30) == list(range(30, 35))
    assert numbers(answer) == list(range(35))


def test_events_in_memory_are_read_from_memory(log, slow_storage):
    add(log, 35)
    assert numbers(log.read_from_memory(12), 12) == list(range(12, 35)), "sealed, but not written yet"
    log.flush()
    assert log.read_from_memory(12) is None
    assert numbers(log.read_from_memory(31), 31) == [31, 32, 33, 34]
    assert log.read_from_memory(35) == []


def test_concatenated_answers_are_the_whole_log(driver, log):
    driver._log = log

    async def read_all():
        found = []
        while len(found) < 200:
            if len(log) < 200:
                add(log, 9)
            if len(log) % 4 == 0:
                log.flush()
            found += numbers(await driver.events(len(found), 0.1), len(found))
        return found

    found = asyncio.run(read_all())
    assert found == list(range(len(found)))


# -- waiting ---------------------------------------------------------------------------------------


def test_the_driver_waits_for_events_without_polling():
    assert "asyncio.sleep" not in inspect.getsource(driver_module)


class Control:
    def __init__(self):
        self.submitted = []

    def submit(self, command):
        done = Future()
        self.submitted.append((command, done))
        return done


async def begun(driver):
    driver._loop = asyncio.get_running_loop()


def on_a_thread(do):
    thread = threading.Thread(target=do)
    thread.start()
    return thread


async def waits(task):
    """Run a task until it waits, and check that it is not done."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()


def test_a_command_before_tune_runs_waits_for_tune(driver):
    control = Control()

    def steerable():
        driver._control = control
        driver._set(driver._accepts_commands)

    async def give():
        await begun(driver)
        command = asyncio.ensure_future(driver.execute(SetMaxConcurrent(2)))
        await waits(command)
        on_a_thread(steerable)
        async with asyncio.timeout(SOON):
            while not control.submitted:
                await asyncio.sleep(0.005)
            submitted, done = control.submitted[0]
            assert submitted == SetMaxConcurrent(2)
            await waits(command)
            on_a_thread(lambda: done.set_result(None))
            await command
            return done.done()

    assert asyncio.run(give())


@pytest.mark.parametrize("steerable", [False, True])
def test_a_command_is_refused_if_the_experiment_ends_first(driver, steerable):
    def end():
        driver._over = True
        driver._set(driver._accepts_commands)
        driver._set(driver._ended)

    async def give():
        await begun(driver)
        if steerable:
            driver._control = Control()
            driver._accepts_commands.set()
        command = asyncio.ensure_future(driver.execute(SetMaxConcurrent(2)))
        await waits(command)
        await asyncio.to_thread(end)
        async with asyncio.timeout(SOON):
            await command

    with pytest.raises(RefusedError, match="ended before" if steerable else "is over"):
        asyncio.run(give())


def test_a_reader_leaves_at_once_unless_the_final_log_is_not_written_yet(driver):
    async def leave():
        await begun(driver)
        driver._readers = {"one": 1.0, "two": 1.0}
        await driver.leave("one")
        assert list(driver._readers) == ["two"]
        driver._over = True
        leaving = asyncio.ensure_future(driver.leave("two"))
        await waits(leaving)
        on_a_thread(lambda: driver._set(driver._log_final))
        async with asyncio.timeout(SOON):
            await leaving
        assert driver._readers == {}

    asyncio.run(leave())


def test_the_start_waits_for_all_large_values_in_any_order(driver, monkeypatch):
    import ray

    monkeypatch.setattr(ray, "put", lambda value: value)
    monkeypatch.setattr("nbtune.engine.storage.snapshot.write_launch", lambda *args: None)
    monkeypatch.setattr(driver, "_begin", lambda *args: (None, ""))
    begun = []
    monkeypatch.setattr(driver, "_start_thread", lambda function, *args: begun.append(function))
    launch = type("Launch", (), {"large_count": 2, "metadata": {}, "key": None})()

    async def start():
        starting = asyncio.ensure_future(driver.start(launch, "reader"))
        await waits(starting)
        await driver.put_large(1, "b")
        await waits(starting)
        assert begun == []
        await driver.put_large(0, "a")
        async with asyncio.timeout(SOON):
            await starting

    asyncio.run(start())
    assert driver._large == ["a", "b"]
    assert begun == [store, driver._run]


# -- starting, as the kernel sees it ---------------------------------------------------------------


@pytest.fixture
def starting(monkeypatch):
    """A driver that has not started, on a simulated cluster."""
    from ray.exceptions import GetTimeoutError

    state = {"there": True, "asked": [], "answer": GetTimeoutError("not yet"), "ray": True}

    def get(references, timeout=None):
        assert timeout is not None, "it may take for ever"
        state["asked"].append(timeout)
        if isinstance(state["answer"], Exception):
            raise state["answer"]
        return state["answer"]

    monkeypatch.setattr(launch_module.ray, "get", get)
    monkeypatch.setattr(launch_module.ray, "is_initialized", lambda: state["ray"])
    monkeypatch.setattr(launch_module, "_is_cluster_alive", lambda: state["there"])
    return state, Remote(DriverOf(None, "one"), lambda number: [], lambda reader: ["started"])


def test_each_read_waits_for_the_start_only_until_its_timeout(starting):
    state, remote = starting
    assert remote.read(0, 0.25) == []
    assert remote.read(0, 0.25) == []
    assert state["asked"] == [0.25, 0.25]


def test_a_cluster_that_is_lost_before_the_driver_starts_is_an_error(starting):
    state, remote = starting
    state["there"] = False
    with pytest.raises(SourceLostError, match="its cluster is gone"):
        remote.read(0, 0.25)
    state["ray"] = False
    with pytest.raises(SourceLostError, match="the cluster was shut down"):
        remote.read(0, 0.25)


def test_a_driver_that_cannot_start_is_an_error(starting):
    from ray.exceptions import ActorDiedError

    state, remote = starting
    state["answer"] = ActorDiedError()
    with pytest.raises(StartError, match="the driver's process could not start"):
        remote.read(0, 0.25)


def test_a_driver_that_has_started_is_not_asked_again(starting):
    state, remote = starting
    state["answer"] = [1]
    assert remote._is_started(0.25)
    state["answer"] = AssertionError("asked again")
    assert remote._is_started(0.25)


def test_a_driver_that_has_not_started_has_no_info(driver):
    """Other kernels may find it by its name before `start`, when the cluster panel looks for its experiment."""
    assert asyncio.run(driver.info()) is None
