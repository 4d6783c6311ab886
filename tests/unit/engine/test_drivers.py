"""nbtune.engine.client.drivers: no broken neighbour breaks a listing; and drivers whose kernel ends as it starts them."""

import asyncio
import threading

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError

from nbtune.engine.client import drivers
from nbtune.engine.client.drivers import BrokenDriver, ask, driver_names, end_driver, find
from nbtune.engine.client.launch import Remote
from nbtune.engine.driver import incoming
from nbtune.engine.driver.driver import Driver
from nbtune.engine.driver.incoming import Incoming
from nbtune.engine.driver.info import DriverInfo
from nbtune.engine.protocol.driver_of import DriverOf
from nbtune.engine.protocol.events import ExperimentUpdated
from nbtune.engine.protocol.source import SourceLostError
from nbtune.engine.storage.storage import Storage
from nbtune.engine.tune.hosts import Hosts

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
        self.info = self.call = self

    def remote(self, *arguments):
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
    found = ask([*driver_names("nbtune"), "k-ended"], "nbtune").values()
    kinds = ["problem" if isinstance(one, BrokenDriver) else one and "good" for one in found]
    assert kinds == ["problem", "problem", None, *["problem"] * 5, None, "good", None]
    assert all(one.reason and "\n" not in one.reason for one in found if isinstance(one, BrokenDriver))
    assert max(made.waited) <= 10, "all together, and not each"
    drivers = find("nbtune", lambda where, since: [])
    assert [info for _, info in drivers.drivers] == [GOOD]
    assert len(drivers.broken) == 7
    assert find("nbtune", lambda where, since: [], lambda info: info.name == "other").drivers == []


def test_a_driver_that_does_not_exit_is_waited_for_with_a_limit(cluster, monkeypatch):
    made = cluster({"one": GetTimeoutError()})
    times = iter(range(0, 1000, 4))
    monkeypatch.setattr(drivers.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(drivers.time, "sleep", lambda seconds: None)
    with pytest.raises(SourceLostError, match="still writing its log"):
        end_driver(Remote(DriverOf(made.get_actor("one", "nbtune"), "id"), lambda number: []))
    assert 0 < made.exits < 10
    assert max(made.waited) <= 5


# -- a kernel that ends while it starts a driver ------------------------------------------------------


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(incoming, "_POLL_INTERVAL", 0.01)
    monkeypatch.setattr(incoming, "is_launcher_gone", lambda: False)


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
    _, reasons, done = abandoned_with(monkeypatch, is_launcher_gone=lambda: True)
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
    monkeypatch.setattr(incoming, "is_launcher_gone", lambda: True)
    assert not done.wait(0.5)
    assert reasons == []


def test_a_launch_that_was_cut_off_is_a_failed_experiment(monkeypatch, tmp_path):
    """The kernel has ended after `start`, but before all large values were sent."""
    import pyarrow.fs as pafs

    from nbtune.engine.storage.lease import acquire
    from nbtune.engine.storage.log import EventLog, read_log
    from nbtune.engine.storage.owner import Sign, this_process

    exits = []
    driver = Driver(DriverOf(None, "one"), Hosts(), lambda: None, lambda: exits.append(1))
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
