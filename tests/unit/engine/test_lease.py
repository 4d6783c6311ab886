"""nbtune.engine.storage.lease: one driver owns a folder, on every kind of storage, and one that was replaced knows it."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import fsspec
import psutil
import pyarrow.fs as pafs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbtune.engine.client import ownership
from nbtune.engine.client.identity import identity, same_place
from nbtune.engine.protocol.events import ExperimentUpdated
from nbtune.engine.protocol.source import ElsewhereError
from nbtune.engine.storage import lease as lease_module
from nbtune.engine.storage.lease import INTERVAL, LEASE, LeaseLostError, acquire
from nbtune.engine.storage.log import EventLog, read_log
from nbtune.engine.storage.log_writer import LogWriter
from nbtune.engine.storage.owner import Owner, Sign, claims, this_process
from nbtune.engine.storage.storage import Storage


class Clock:
    def __init__(self, monkeypatch):
        self.time = 1000.0
        monkeypatch.setattr(lease_module, "now", lambda: self.time)
        monkeypatch.setattr(ownership, "now", lambda: self.time)
        monkeypatch.setattr(ownership.time, "sleep", self.sleep)
        self.on_sleep = lambda: None

    def sleep(self, seconds):
        self.time += seconds
        self.on_sleep()


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def store():
    """A filesystem like an object store: it has neither an exclusive creation nor an atomic rename."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    return pafs.PyFileSystem(pafs.FSSpecHandler(memory))


@pytest.fixture(params=["disk", "store"])
def place(request, tmp_path, monkeypatch):
    """A filesystem and an experiment's folder on it."""
    monkeypatch.setattr(lease_module, "_SETTLE", 0.05)
    if request.param == "disk":
        return pafs.LocalFileSystem(), str(tmp_path)
    return request.getfixturevalue("store"), "/experiments/one"


def files(place):
    """Return the contents of all files."""
    storage, path = place
    infos = storage.get_file_info(pafs.FileSelector(path, recursive=True))
    return {info.path: storage.open_input_file(info.path).read() for info in infos if info.is_file}


# -- one owner -------------------------------------------------------------------------------------


def test_an_epoch_has_one_owner(place):
    first = acquire(*place, this_process(1), is_new=True)
    assert Sign.read(*place).owner == first.owner
    with pytest.raises(LeaseLostError, match="running elsewhere, on "):
        acquire(*place, this_process(1))
    second = acquire(*place, this_process(2, cluster="10.0.0.1:6379"))
    assert Sign.read(*place).owner.id == second.owner.id
    with pytest.raises(LeaseLostError, match=r"10\.0\.0\.1:6379, since "):
        acquire(*place, this_process(1))


def test_of_drivers_that_claim_an_epoch_at_once_at_most_one_wins(place):
    start = threading.Barrier(6)

    def claim(_):
        start.wait()
        try:
            return acquire(*place, this_process(2))
        except (LeaseLostError, OSError):
            return None

    with ThreadPoolExecutor(6) as pool:
        won = [lease for lease in pool.map(claim, range(6)) if lease]
    assert len(won) <= 1
    if isinstance(place[0], pafs.LocalFileSystem):
        assert len(won) == 1


def test_a_slow_claim_does_not_win_beside_another(store, monkeypatch):
    """It has looked for others before they came, and becomes visible after they have looked."""
    place = store, "/experiments/one"
    monkeypatch.setattr(lease_module, "_SETTLE", 0.02)
    real, won = lease_module.write_atomically, []

    def slow(*args):
        monkeypatch.setattr(lease_module, "write_atomically", real)
        won.append(acquire(*place, this_process(2)))
        real(*args)

    monkeypatch.setattr(lease_module, "write_atomically", slow)
    with pytest.raises(LeaseLostError):
        acquire(*place, this_process(2))
    assert won[0].renew(sign=True) is None, "the one that has won keeps it"


# -- fencing ---------------------------------------------------------------------------------------


def test_a_driver_that_was_replaced_writes_nothing_more(place):
    lease = acquire(*place, this_process(1), is_new=True)
    log = EventLog(*place, lease.owner.epoch)
    writer = LogWriter(log, "storage", lambda: None, lambda: None, lease.confirm)
    log.append(ExperimentUpdated(time=1.0, metadata={"status": "running"}))
    assert writer.flush()
    acquire(*place, this_process(2))
    before, ended = files(place), []
    lease._on_lost = lambda: ended.append(1)
    for _ in range(2):
        with pytest.raises(LeaseLostError, match="another driver has taken it over"):
            lease.renew(sign=True)
    assert ended == [1]
    final = []
    writer.finish({"status": "finished"}, lambda: final.append(1))
    writer.run(threading.Event())
    lease.release()
    assert files(place) == before
    assert final == [1]
    (last,) = list(log.chunks()[-1].events())[-1:]
    assert last.metadata["status"] == "running elsewhere"
    assert "this driver has ended its trials: another driver has taken it over" in last.metadata["error"]


def test_a_driver_that_was_frozen_looks_before_it_writes(place, clock):
    lease = acquire(*place, this_process(1), is_new=True)
    clock.time += INTERVAL
    lease.confirm()  # within the interval, nothing is read
    acquire(*place, this_process(2))
    lease.confirm()
    clock.time += LEASE

    def renew():
        with pytest.raises(LeaseLostError):
            lease.renew(sign=True)

    threading.Timer(0.1, renew).start()  # the thread that renews continues, too
    with pytest.raises(LeaseLostError):
        lease.confirm()


def test_a_storage_that_does_not_answer_delays_the_driver_once(place, clock, monkeypatch):
    monkeypatch.setattr(lease_module, "_CONFIRM_TIMEOUT", 0.01)
    lease = acquire(*place, this_process(1), is_new=True)
    clock.time += LEASE
    lease.confirm()
    waits = []
    monkeypatch.setattr(lease._changed, "wait_for", lambda *args: waits.append(1))
    lease.confirm()
    assert not waits


def test_the_log_is_a_sign_of_life(place):
    lease = acquire(*place, this_process(1), is_new=True)
    log = EventLog(*place, 1)
    first = Sign.read(*place)
    log.append(ExperimentUpdated(time=1.0, metadata={"status": "running"}))
    log.flush()
    second = Sign.read(*place)
    assert second != first
    assert second == Sign.read(*place)
    lease.renew(sign=False)
    assert second == Sign.read(*place)
    lease.renew(sign=True)
    assert second != Sign.read(*place)
    EventLog(*place, 2).flush()
    acquire(*place, this_process(2))
    before = Sign.read(*place)
    log.append(ExperimentUpdated(time=2.0, metadata={}))
    log.flush()  # an earlier driver's late write is no sign of the present one
    assert Sign.read(*place) == before


# -- who lives -------------------------------------------------------------------------------------


@pytest.fixture
def process():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as started:
        yield started
        started.kill()


def owned_by(process, place, epoch=1, **about):
    """Let a process be the owner of a folder."""
    lease = acquire(*place, this_process(epoch, **about), is_new=True)
    started = psutil.Process(process.pid).create_time()
    lease.owner = lease_module.replace(lease.owner, pid=process.pid, process_started=started)
    lease.write()
    return lease


def test_a_process_of_this_machine_is_known_to_be_dead(place, process):
    owned_by(process, place)
    os.kill(process.pid, signal.SIGSTOP)
    assert not Sign.read(*place).owner.is_dead(*place), "a frozen process is not dead"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert Sign.read(*place).owner.is_dead(*place)


def test_a_process_id_of_another_machine_says_nothing(place, process):
    lease = owned_by(process, place)
    process.kill()
    process.wait()
    lease.owner = lease_module.replace(lease.owner, machine="another")
    lease.write()
    assert not Sign.read(*place).owner.is_dead(*place)
    lease.release()
    assert Sign.read(*place).owner.is_dead(*place), "it has said that it has ended"


def test_a_copy_of_a_running_experiment_does_not_run(tmp_path):
    place = pafs.LocalFileSystem(), str(tmp_path / "original")
    acquire(*place, this_process(1), is_new=True)
    shutil.copytree(tmp_path / "original", tmp_path / "copy")
    assert not Sign.read(*place).owner.is_dead(*place)
    copy = place[0], str(tmp_path / "copy")
    assert Sign.read(*copy).owner.is_dead(*copy)


@pytest.mark.parametrize("skew", [-1e9, 1e9, 1e300])
def test_a_driver_elsewhere_is_judged_by_the_clock_of_the_reader(place, clock, monkeypatch, skew):
    monkeypatch.setattr(lease_module.time, "time", lambda: skew)
    where = Storage(place[1], place[0])
    lease = acquire(*place, this_process(1, cluster="10.0.0.1:6379"), is_new=True)

    def sign_of_life():
        lease.owner = lease_module.replace(lease.owner, machine="another", since=skew)
        lease.write()

    def text():
        return ownership.elsewhere(where, "nbtune", 0.0)

    ownership._seen.clear()
    sign_of_life()
    assert "it may be running elsewhere: on " in text()
    clock.time += LEASE / 2
    assert "may be" in text()
    sign_of_life()
    assert "it is running elsewhere: on " in text()
    assert "cluster 10.0.0.1:6379, since " in text()
    clock.time += LEASE
    assert text() is None, "no sign of life for the lease time"
    clock.time += 10 * LEASE
    sign_of_life()  # this may be an old sign, too
    assert "may be" in text()
    clock.on_sleep = sign_of_life
    with pytest.raises(ElsewhereError, match=r"is running elsewhere: on .*Stop it there"):
        ownership.free_epoch(where, "nbtune", "one", wait=True)
    clock.on_sleep = lambda: None
    began = clock.time
    assert ownership.free_epoch(where, "nbtune", "one", wait=True) == 1
    assert clock.time - began >= LEASE - 1
    assert ownership.free_epoch(where, "nbtune", "one", wait=False) == 1


def test_no_owner_no_epoch(place):
    assert ownership.free_epoch(Storage(place[1], place[0]), "nbtune", "one", wait=True) == 0
    assert ownership.elsewhere(Storage(place[1], place[0]), "nbtune", 0.0) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
_FIELDS = st.sampled_from([field.name for field in dataclasses.fields(Owner)])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=40) | st.dictionaries(_FIELDS, _JSON).map(lambda data: json.dumps(data).encode()))
def test_a_damaged_or_hostile_owner_is_not_an_error(tmp_path, data):
    folder = tmp_path / "nbtune" / "owners"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "000007-abc.json").write_bytes(data)
    owner = Sign.read(pafs.LocalFileSystem(), str(tmp_path)).owner
    assert (owner.epoch, owner.id) == (7, "abc")
    assert str(owner).isprintable()
    assert len(str(owner)) < 600
    owner.is_dead(pafs.LocalFileSystem(), str(tmp_path))


def test_a_driver_that_has_died_while_it_became_the_owner(tmp_path):
    folder = tmp_path / "nbtune" / "owners"
    folder.mkdir(parents=True)
    (folder / "000003.lock").touch()
    (folder / "something else").touch()
    assert Sign.read(pafs.LocalFileSystem(), str(tmp_path)).owner.epoch == 3
    assert claims(pafs.LocalFileSystem(), str(folder)) == [(3, "")]


# -- identity --------------------------------------------------------------------------------------


@pytest.fixture
def original(tmp_path):
    log = EventLog(pafs.LocalFileSystem(), str(tmp_path / "one"))
    log.append(ExperimentUpdated(time=1.0, metadata={"id": "first", "path": str(tmp_path / "one")}))
    log.flush()
    return tmp_path / "one"


def resumed_as(path):
    chunks = read_log(pafs.LocalFileSystem(), str(path))
    (event,) = chunks[0].events()
    return identity(Storage(str(path)), event.metadata)


def test_a_copy_gets_an_id_of_its_own(original, tmp_path):
    shutil.copytree(original, tmp_path / "elsewhere" / "one")
    assert resumed_as(original) == {"id": "first"}
    copy = resumed_as(tmp_path / "elsewhere" / "one")
    assert copy["parent"] == "first"
    assert copy["id"] not in ("first", resumed_as(tmp_path / "elsewhere" / "one")["id"])


def test_a_moved_folder_keeps_its_id(original, tmp_path):
    assert resumed_as(original.rename(tmp_path / "two")) == {"id": "first"}


def test_a_folder_under_another_path_is_the_same(original, tmp_path):
    (tmp_path / "link").symlink_to(original)
    assert resumed_as(tmp_path / "link") == {"id": "first"}
    assert same_place(Storage(str(original)), Storage(str(tmp_path / "link")))
    assert not same_place(Storage(str(original)), Storage(str(tmp_path)))


def test_another_experiment_at_the_recorded_path_is_not_the_original(original, tmp_path):
    moved = original.rename(tmp_path / "two")
    log = EventLog(pafs.LocalFileSystem(), str(original))
    log.append(ExperimentUpdated(time=1.0, metadata={"id": "second"}))
    log.flush()
    assert resumed_as(moved) == {"id": "first"}


def test_an_original_that_cannot_be_examined_may_exist(tmp_path):
    where = Storage(str(tmp_path))
    assert identity(where, {"id": "first", "path": "nowhere://bucket/one"})["id"] != "first"
    assert identity(where, {"id": "first", "path": str(tmp_path)}, is_taken=True)["parent"] == "first"
    assert "parent" not in identity(where, {})
