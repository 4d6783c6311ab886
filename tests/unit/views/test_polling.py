"""Polling while a view is visible."""

import itertools
import threading
import time

import pytest

from nbtune.views.base import polling
from nbtune.views.base.polling import PollWhileVisible


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(polling, "VISIBLE_TIMEOUT", 0.3)
    monkeypatch.setattr(polling, "_HANG_TIMEOUT", 0.2)


def test_it_polls_while_a_view_is_visible_and_then_stops():
    done = []
    work = PollWhileVisible(lambda: done.append(time.monotonic()), 0.02)
    assert not work.alive
    work.view_is_visible()
    assert work.alive
    until(lambda: len(done) > 3)
    until(lambda: not work.alive)
    count = len(done)
    time.sleep(0.1)
    assert len(done) == count
    work.view_is_visible()
    until(lambda: len(done) > count)


def test_it_polls_at_most_once_per_interval():
    done = []
    work = PollWhileVisible(lambda: done.append(time.monotonic()), 0.1)
    for _ in range(30):
        work.view_is_visible()
        time.sleep(0.01)
    until(lambda: not work.alive)
    assert len(done) > 2
    assert all(later - earlier >= 0.1 for earlier, later in itertools.pairwise(done))


def test_calls_run_on_the_same_thread_even_without_a_visible_view():
    names, threads = [], set()

    def note(name):
        names.append(name)
        threads.add(threading.current_thread().name)

    work = PollWhileVisible(lambda: note("look"), 5)
    work.run(lambda: note("first"))
    work.run(lambda: note("second"))
    until(lambda: "second" in names)
    assert [name for name in names if name != "look"] == ["first", "second"]
    assert threads == {"nbtune-poll"}
    work.view_is_visible()
    until(lambda: "look" in names)
    work.run(lambda: note("third"))  # does not wait for the next time
    until(lambda: "third" in names, seconds=4)


def test_poll_now_polls_once():
    done = []
    work = PollWhileVisible(lambda: done.append(1), 60)
    work.poll_now()
    until(lambda: len(done) == 1)
    work.poll_now()
    until(lambda: len(done) == 2, seconds=10)


def test_a_hanging_thread_is_replaced():
    hangs, done = threading.Event(), []

    def do():
        if not done:
            done.append("hangs")
            hangs.wait(30)
        else:
            done.append("goes on")

    work = PollWhileVisible(do, 0.02)
    work.view_is_visible()
    until(lambda: done)

    def looks_on():
        work.view_is_visible()
        return "goes on" in done

    until(looks_on)
    order = threading.Event()
    work.run(order.set)
    assert order.wait(10)
    hangs.set()
