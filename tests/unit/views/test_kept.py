"""nbtune.views.still.kept: the picture in the notebook's file is updated from time to time, at the end, after a resume."""

import re

import pytest

from nbtune.testing import example, replay
from nbtune.views.base.channel import BaseWidget
from nbtune.views.still import kept
from nbtune.views.still.kept import keep_picture


class Stage:
    """An experiment whose course a test decides."""

    def __init__(self):
        self.over, self.listeners, self.pictures, self.dashboard = False, [], 0, self
        self.sent, self.updated = [], []

    def listen(self, listener):
        self.listeners.append(listener)

    def _repr_mimebundle_(self):
        self.pictures += 1
        return {"text/plain": f"picture {self.pictures}"}

    def send_picture(self, picture):
        self.sent.append(picture["text/plain"])

    def notify(self, over=False):
        self.over = over
        for listener in self.listeners:
            listener()


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(kept.time, "monotonic", lambda: now[0])
    return now


def test_the_interval_doubles_and_the_end_and_a_resumption_are_shown_at_once(clock):
    stage = Stage()
    keep_picture(stage, lambda picture: stage.updated.append((clock[0], picture["text/plain"])))
    while clock[0] < 500:
        clock[0] += 1
        stage.notify()
    times = [at for at, _ in stage.updated]
    assert [round(b - a) for a, b in zip([100, *times], times, strict=False)] == [6, 11, 21, 41, 81, 121]
    stage.updated.clear()
    stage.notify(over=True)
    stage.notify()  # it was resumed
    clock[0] += 1
    stage.notify()
    stage.notify(over=True)
    assert [at for at, _ in stage.updated] == [500, 500, 501]
    assert stage.sent[-3:] == [text for _, text in stage.updated], "all pages get the same picture"


def test_one_that_is_over_already_is_shown_at_once(clock):
    stage = Stage()
    stage.over = True
    keep_picture(stage, lambda picture: stage.updated.append(picture["text/plain"]))
    assert stage.updated == stage.sent == ["picture 1"]


def test_a_page_that_was_loaded_gets_the_picture_of_an_experiment_that_has_one(monkeypatch):
    sent = []
    monkeypatch.setattr(BaseWidget, "send", lambda self, content, buffers=None: sent.append(content))
    dashboard = replay(example(trials=2, reports=2)).dashboard
    dashboard._header._received(None, {"type": "ready"}, [])
    assert not [message for message in sent if message["type"] == "picture"]
    dashboard.has_picture = True
    dashboard._header._received(None, {"type": "ready"}, [])
    (picture,) = [message["data"] for message in sent if message["type"] == "picture"]
    assert "example: finished, 2 of 2 trials" in picture["image/svg+xml"]


def test_the_picture_names_its_experiment_and_the_time_of_a_state_that_is_not_the_last():
    experiment = replay(example(trials=2, reports=2))
    assert "<metadata>" not in experiment._repr_mimebundle_()["image/svg+xml"], "it is not in storage"
    experiment._store.set_metadata(path="/home/user/ray_results/a<b_2026-11-29_05-00-00-000")
    svg = experiment._repr_mimebundle_()["image/svg+xml"]
    assert svg.count("<metadata>a&lt;b_2026-11-29_05-00-00-000</metadata>") == 1
    assert "/home" not in svg
    assert not re.search(r"running at \d{4}", svg)
    experiment._store.set_metadata(status="running")
    assert re.search(r">running at \d{4}-\d\d-\d\d \d\d:\d\d<", experiment._repr_mimebundle_()["image/svg+xml"])
