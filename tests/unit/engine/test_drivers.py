"""nbtune.engine.client.drivers: no broken neighbour breaks a listing; and drivers whose kernel ends as it starts them."""

import asyncio
import os
import threading

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError

from nbtune.engine.client import drivers
from nbtune.engine.client.drivers import BrokenDriver, driver_names, end_driver, find, find_all
from nbtune.engine.client.launch import driver_name, folder_of
from nbtune.engine.driver import incoming
from nbtune.engine.driver.driver import Driver
from nbtune.engine.driver.incoming import Incoming
from nbtune.engine.driver.info import DriverInfo
from nbtune.engine.protocol.events import ExperimentUpdated
from nbtune.engine.protocol.source import SourceLostError
from nbtune.engine.storage.storage import Storage

GOOD = DriverInfo("good", Storage("/good"))


class Cluster:
    """Actors by name, each with the answer of its `info`, or an exception."""

    def __init__(self, actors):
        self.actors, self.waited, self.exits = actors, [], 0

    def list_named_actors(self, all_namespaces):
        return [{"name": name, "namespace": "nbtune"} for name in [*self.actors, "_helper"]]

    def get_actor(self, name, namespace):
        if name not in self.actors:
            raise ValueError(name)
        return Actor(self, self.actors[name])

    def get(self, reference, timeout):
        self.waited.append(timeout)
        if isinstance(reference, Exception):
            raise reference
        return reference


class Actor:
    def __init__(self, cluster, answer):
        if isinstance(answer, AttributeError):
            raise answer  # an actor of another program has no such method
        self.cluster, self.answer = cluster, answer
        self.info = self.exit = self

    def remote(self):
        self.cluster.exits += 1
        return self.answer


@pytest.fixture
def cluster(monkeypatch):
    def make(actors):
        made = Cluster(actors)
        monkeypatch.setattr(drivers.ray, "get", made.get)
        monkeypatch.setattr(drivers.ray, "get_actor", made.get_actor)
        monkeypatch.setattr(drivers.ray.util, "list_named_actors", made.list_named_actors)
        return made

    return make


def test_broken_neighbours_are_named_and_the_others_found(cluster):
    class Former:  # what another version may answer
        pass

    half = DriverInfo.__new__(DriverInfo)
    made = cluster(
        {
            "a-hangs": GetTimeoutError(),
            "b-unreachable": ActorUnavailableError("x", b"1" * 16),
            "c-died": ActorDiedError(),
            "d-other-program": AttributeError("no attribute 'info'"),
            "e-not-unpicklable": ModuleNotFoundError("No module named 'former'"),
            "f-former": Former(),
            "g-half": half,
            "h-dictionary": {"name": "x"},
            "i-not-started": None,
            "j-good": GOOD,
        }
    )
    found = find_all([*driver_names("nbtune"), "k-ended"], "nbtune", lambda where, since: [])
    kinds = ["problem" if isinstance(one, BrokenDriver) else one and "good" for one in found]
    assert kinds == ["problem", "problem", None, *["problem"] * 5, None, "good", None]
    assert all(one.reason and "\n" not in one.reason for one in found if isinstance(one, BrokenDriver))
    assert max(made.waited) <= 10, "all together, and not each"
    assert find("j-good", "nbtune", lambda where, since: [])[1] is GOOD
    assert find("a-hangs", "nbtune", lambda where, since: []) is None


def test_a_driver_that_does_not_exit_is_waited_for_with_a_limit(cluster, monkeypatch):
    made = cluster({"one": GetTimeoutError()})
    times = iter(range(0, 1000, 4))
    monkeypatch.setattr(drivers.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(drivers.time, "sleep", lambda seconds: None)
    with pytest.raises(SourceLostError, match="still writing its log"):
        end_driver("one", "nbtune")
    assert 0 < made.exits < 10
    assert max(made.waited) <= 5


def test_names_of_drivers():
    name = driver_name("digits_2026-01-02_03-04-05-006", "0123456789abcdef")
    assert folder_of(name) == "digits_2026-01-02_03-04-05-006"
    assert folder_of(driver_name("a~b", "0")) == "a~b"
    assert folder_of("of another program") == "of another program"
    assert driver_name("one", "1" * 32) != driver_name("one", "2" * 32), "a copy has another name"


# -- a kernel that ends while it starts a driver ------------------------------------------------------


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(incoming, "_POLL_INTERVAL", 0.01)
    monkeypatch.setattr(incoming, "_is_launcher_gone", lambda: False)


def abandoned_with(monkeypatch, **attributes):
    for name, value in attributes.items():
        monkeypatch.setattr(incoming, name, value)
    reasons, done = [], threading.Event()
    started = Incoming(lambda reason: (reasons.append(reason), done.set()))
    started.watch()
    return started, reasons, done


def test_a_driver_without_a_start_ends(fast, monkeypatch):
    _, reasons, done = abandoned_with(monkeypatch, _TIMEOUT=0.05)
    assert done.wait(10)
    assert reasons == ["its kernel has sent nothing for 0.05 s"]


def test_a_driver_ends_at_once_with_the_job_that_has_made_it(fast, monkeypatch):
    _, reasons, done = abandoned_with(monkeypatch, _is_launcher_gone=lambda: True)
    assert done.wait(10)
    assert reasons == ["its kernel has ended"]


def test_a_driver_that_has_everything_needs_its_kernel_no_more(fast, monkeypatch):
    monkeypatch.setattr("ray.put", lambda value: value)
    started, reasons, done = abandoned_with(monkeypatch, _POLL_INTERVAL=0.2)

    async def arrive():
        started.put(1, "b")
        started.put(0, "a")
        return await started.wait_for_all(2)

    assert asyncio.run(arrive()) == ["a", "b"]
    monkeypatch.setattr(incoming, "_is_launcher_gone", lambda: True)
    assert not done.wait(0.5)
    assert reasons == []


def test_a_launch_that_was_cut_off_is_a_failed_experiment(monkeypatch, tmp_path):
    """The kernel has ended after `start`, but before all large values were sent."""
    import pyarrow.fs as pafs

    from nbtune.engine.storage.lease import acquire
    from nbtune.engine.storage.log import EventLog, read_log
    from nbtune.engine.storage.owner import Sign, this_process

    monkeypatch.setattr(os, "environ", dict(os.environ))
    driver, exits = Driver(), []
    monkeypatch.setattr(driver, "_exit", lambda: exits.append(1))
    driver._on_abandoned("its kernel has ended")
    assert exits == [1], "before `start`: nothing to write"
    place = pafs.LocalFileSystem(), str(tmp_path)
    driver._lease = acquire(*place, this_process(1), is_new=True)
    driver._log = EventLog(*place, 1)
    driver._on_abandoned("its kernel has ended")
    (event,) = [event for chunk in read_log(*place) for event in chunk.events_of(ExperimentUpdated)]
    assert event.metadata["status"] == "failed"
    assert event.metadata["error"].startswith("its kernel has ended before it had sent all variables")
    assert Sign.read(*place).owner.released
    assert exits == [1, 1]
