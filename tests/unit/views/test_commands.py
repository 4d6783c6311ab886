"""The commands of the dashboard's buttons and forms, and their answers."""

import threading
import time

import pytest

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.commands import (
    AddTrial,
    ExtendSearch,
    PauseTrial,
    ResumeTrial,
    SetMaxConcurrent,
    StopExperiment,
    StopTrial,
)
from nbtune.engine.protocol.events import AttemptFailed, ExperimentUpdated, TrialEnded, TrialPaused
from nbtune.engine.protocol.source import RefusedError
from nbtune.results.experiment import Experiment
from nbtune.results.store import Store
from nbtune.spec.plan.plan import Plan
from nbtune.testing import Replay, example
from nbtune.views.base.channel import BaseWidget
from nbtune.views.live.commands import _read_value
from nbtune.views.live.state import header_state


def relu(x):
    return x


class OpenReplay(Replay):
    """A recording that does not end, gets more events, and refuses commands on request."""

    refusal = None
    closed = False

    def read(self, since, timeout):
        if since >= self._chunks[-1].end and not self.closed:
            time.sleep(0.02)
            return []
        return super().read(since, timeout)

    def append(self, *events):
        self._chunks += decode(encode(self._chunks[-1].end, list(events)))

    def send(self, command):
        super().send(command)
        if self.refusal:
            raise RefusedError(self.refusal)


class Answers(list):
    """All messages to the browser, as (widget, message)."""

    def of(self, kind, count=1):
        until = time.monotonic() + 10
        while len(found := [message for _, message in list(self) if message["type"] == kind]) < count:
            assert time.monotonic() < until, f"no {kind!r} among {[message['type'] for _, message in self]}"
            time.sleep(0.005)
        return found


@pytest.fixture
def sent(monkeypatch):
    answers = Answers()
    monkeypatch.setattr(
        BaseWidget, "send", lambda self, content, buffers=None: answers.append((type(self).__name__, content))
    )
    return answers


def start(*more, drop=1, going=False, **resume):
    """Return an experiment that has not ended, with more events if given; `going` if its trials have not ended either."""
    events = list(example(trials=4, reports=4, failing=1))[: -drop or None]
    if going:
        events = [event for event in events if not isinstance(event, (TrialEnded, AttemptFailed))]
    events += more
    source = OpenReplay(decode(encode(0, events)))
    experiment = Experiment(source, **resume)
    until = time.monotonic() + 10
    while experiment._store.cursor < len(events) and not experiment.over:
        assert time.monotonic() < until
        time.sleep(0.005)
    return experiment, source


def ask(experiment, widget, **message):
    part = getattr(experiment.dashboard, f"_{widget}")
    part._received(part, message, [])


def planned(**given):
    return Plan(trials=4, concurrent=1, limited_by="CPU", waves=4, **given)


def ended(status, **metadata):
    return ExperimentUpdated(time=1e9, metadata={"status": status, **metadata})


def test_every_button_sends_its_command_and_is_answered(sent):
    experiment, source = start(going=True)
    for message in (
        {"type": "max_concurrent", "max_concurrent": 3},
        {"type": "max_concurrent", "max_concurrent": None},
        {"type": "extend", "samples": 5},
        {"type": "stop"},
    ):
        ask(experiment, "header", **message)
    sent.of("stopping")
    for order in ("pause", "resume", "stop"):
        ask(experiment, "trials", type=order, trial=2)
    assert sent.of("stopping", 2)[-1] == {"type": "stopping", "trial": 2}
    assert source.commands == [
        SetMaxConcurrent(3),
        SetMaxConcurrent(None),
        ExtendSearch(5),
        StopExperiment(),
        PauseTrial(2),
        ResumeTrial(2),
        StopTrial(2),
    ]
    assert [message["command"] for message in sent.of("done", 3)] == ["max_concurrent", "max_concurrent", "extend"]
    assert sent.of("pausing") == [{"type": "pausing", "trial": 2}]
    assert sent.of("resuming") == [{"type": "resuming", "trial": 2}]


def test_every_answer_has_the_id_of_its_request(sent):
    experiment, _ = start()
    ask(experiment, "header", type="max_concurrent", max_concurrent=3, id="p-1")
    ask(experiment, "trials", type="pause", trial=2, id="p-2")
    ask(experiment, "trials", type="stop", trial=99, id="p-3")
    ask(experiment, "trials", type="add", config={"lr": 0.01}, trial=None, checkpoint=False, id="p-4")
    assert sent.of("done")[0]["id"] == "p-1"
    assert sent.of("pausing")[0]["id"] == "p-2"
    assert sent.of("refused")[0]["id"] == "p-3"
    assert sent.of("added")[0]["id"] == "p-4"


def test_resuming_is_a_pending_answer(sent, tmp_path):
    def go_on(where, **how):
        return OpenReplay(decode(encode(0, list(example(trials=4, reports=4, failing=1))[:-1]))), lambda: None

    ended = ExperimentUpdated(metadata={"status": "stopped", "path": str(tmp_path)})
    experiment, _ = start(ended, resume=go_on)
    experiment.wait(10)
    ask(experiment, "header", type="resume", failed=False, id="p-1")
    assert sent.of("resuming") == [{"type": "resuming", "pending": True, "id": "p-1"}]
    assert sent.of("done") == [{"type": "done", "command": "resume", "id": "p-1"}]


def test_a_detail_that_fails_is_answered_with_a_refusal(sent, monkeypatch):
    experiment, _ = start()
    ask(experiment, "trials", type="detail", trial=99, rank=None, id="p-1")
    assert sent.of("refused") == [
        {"type": "refused", "command": "detail", "trial": 99, "message": "there is no trial 99", "id": "p-1"}
    ]
    ask(experiment, "trials", type="detail", trial=1, rank=None, id="p-2")
    assert sent.of("detail")[0]["id"] == "p-2"

    def broken(self, *args):
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr("nbtune.results.trial.Trial.logs", broken)
    ask(experiment, "trials", type="detail", trial=1, rank=None, id="p-3")
    assert sent.of("refused", 2)[1]["message"] == "ZeroDivisionError: a mistake"
    assert experiment.dashboard.errors == ["detail: ZeroDivisionError: a mistake"]


def test_a_refusal_has_the_command_the_trial_and_the_reason(sent):
    experiment, source = start(going=True)
    source.refusal = "no trial has saved a checkpoint so far"
    ask(experiment, "trials", type="pause", trial=1)
    ask(experiment, "trials", type="stop", trial=99)
    ask(experiment, "header", type="extend", samples=0)
    found = [(one["command"], one["trial"], one["message"]) for one in sent.of("refused", 3)]
    assert found == [
        ("pause", 1, "example: no trial has saved a checkpoint so far"),
        ("stop", 99, "there is no trial 99"),
        ("extend", None, "samples: expected an integer >= 1, got 0"),
    ]
    ask(experiment, "header", type="resume", failed=False)  # it runs already
    assert sent.of("done", 1)[-1]["command"] == "resume"


def test_an_ended_experiment_without_storage_refuses_commands(sent):
    experiment, _ = start(drop=0)
    experiment.wait(10)
    ask(experiment, "header", type="stop")  # nothing to do
    ask(experiment, "trials", type="resume", trial=0)
    ask(experiment, "header", type="extend", samples=1)
    assert [one["message"] for one in sent.of("refused", 2)] == [
        "example is finished: it does not run",
        "example cannot be resumed: it has no storage of its own",
    ]


def test_a_slow_command_does_not_block_messages(sent):
    experiment, source = start(going=True)
    free, began = threading.Event(), threading.Event()

    def slow(command):
        source.commands.append(command)
        began.set()
        free.wait(10)

    source.send = slow
    ask(experiment, "header", type="extend", samples=1)
    ask(experiment, "trials", type="pause", trial=0)
    assert began.wait(10)
    assert source.commands == [ExtendSearch(1)]  # one after another
    free.set()
    sent.of("pausing")
    assert source.commands == [ExtendSearch(1), PauseTrial(0)]


def test_an_unexpected_exception_is_answered_and_kept(sent):
    experiment, source = start(going=True)
    source.send = lambda command: 1 / 0
    ask(experiment, "trials", type="pause", trial=0)
    (refused,) = sent.of("refused")
    assert refused["message"] == "ZeroDivisionError: division by zero"
    assert experiment.dashboard.errors == ["command pause: ZeroDivisionError: division by zero"]


def test_points_have_the_types_of_their_parameters(sent):
    experiment, source = start()
    ask(experiment, "trials", type="add", config={"lr": 1, "hidden": 64}, trial=None, checkpoint=False)
    ask(experiment, "trials", type="add", config={"hidden": 128}, trial=1, checkpoint=False)
    ask(experiment, "trials", type="add", config={"lr": 0.5}, trial=1, checkpoint=True)
    assert [one["trial"] for one in sent.of("added", 3)] == [None, 1, 1]
    lr, hidden = (experiment.trials[1].config[name] for name in ("lr", "hidden"))
    assert source.commands == [
        AddTrial({"lr": 1.0, "hidden": 64}),
        AddTrial({"lr": lr, "hidden": 128}),
        AddTrial({"lr": 0.5, "hidden": hidden}, start_from=1),
    ]
    assert type(source.commands[0].config["lr"]) is float
    for config in ({"lr": "x"}, {"lr": True}, {"hidden": 65}, {"hidden": "64"}, {"what": 1}):
        ask(experiment, "trials", type="add", config=config, trial=None, checkpoint=False)
    assert [one["message"] for one in sent.of("refused", 5)] == [
        "lr: expected a number, got 'x'",
        "lr: expected a number, got True",
        "hidden: expected one of 32, 64, 128, got 65",
        "hidden: expected one of 32, 64, 128, got '64'",
        "example has no parameter 'what'; it has lr, hidden",
    ]
    assert len(source.commands) == 3


def test_a_cell_represents_a_value_of_its_choice():
    whole = {"kind": "randint", "text": "randint(1, 9)", "lower": 1, "upper": 9}
    assert _read_value("n", 3, whole, []) == 3
    with pytest.raises(Exception, match=r"n: expected an integer, got 1.5"):
        _read_value("n", 1.5, whole, [])
    mixed = {"kind": "choice", "text": "choice([1, True, None, 'NaN', nan])", "values": [1, True, None, "NaN", 2]}
    plain = {**mixed, "text": "choice([1, True, None, 'NaN', 2])"}
    assert repr([_read_value("c", cell, plain, []) for cell in (1, True, None, "NaN")]) == "[1, True, None, 'NaN']"
    # Of an object the log has only how it looked; a trial that has had it has the object.
    objects = {"kind": "choice", "text": "choice([relu, gelu])", "values": ["<function relu at 0x1>", "<function g>"]}
    assert _read_value("act", "relu", objects, [relu]) is relu
    with pytest.raises(
        Exception, match=r"act: no trial has had the value '<function g>' yet; use experiment.add in Python"
    ):
        _read_value("act", "<function g>", objects, [relu])
    assert _read_value("c", [1, 2], {"kind": "constant", "text": "5"}, []) == [1, 2]


def test_a_resumed_experiment_is_sent_again_when_its_events_come(sent):
    again = OpenReplay(decode(encode(0, [ExperimentUpdated(metadata={"status": "pending"})])))
    again._chunks = decode(encode(0, [ExperimentUpdated(metadata={"status": "pending"})]))
    again.read = lambda since, timeout: time.sleep(0.02) or []
    experiment, source = start(
        ended("stopped", path="/somewhere/example_1"),
        resume=lambda where, trust, **how: (
            again,
            source.commands.append(("resumed", {"path": where.place, **how})) or (lambda: None),
        ),
    )
    experiment.wait(10)
    head = experiment.dashboard._header
    assert (head.state["live"], head.state["resumable"]) == (False, "failed")  # all are over, one of them has failed
    ask(experiment, "header", type="resume", failed=True)
    sent.of("done")
    assert source.commands == [("resumed", {"path": "/somewhere/example_1", "failed": True, "code": "stored"})]
    sent.clear()
    time.sleep(0.2)
    assert head.state["over"] == 4  # what is known stays until there is something new
    assert not [one for one in sent if one[1]["type"] == "table"]
    del again.read
    again._chunks = decode(encode(0, list(example(trials=4, reports=4, failing=1))[:-1]))
    (table, *_) = sent.of("table")
    assert table["reset"]
    until = time.monotonic() + 10
    while not head.state["live"]:
        assert time.monotonic() < until
        time.sleep(0.01)
    again.closed = True


@pytest.mark.parametrize(
    ("status", "left", "again"),
    [
        ("stopped", 1, "resume"),
        ("lost", 1, "resume"),
        ("failed", 1, "resume"),
        ("stopped", 0, "failed"),
        ("failed", 0, "failed"),
        ("finished", 0, "failed"),
    ],
)
def test_what_an_ended_experiment_can_be_resumed_for(sent, status, left, again):
    experiment, _ = start(ended(status, path="/x/example_1", trials=4 + left))
    assert header_state(experiment._store)["resumable"] == again


def test_a_finished_experiment_or_one_without_storage_cannot_be_resumed():
    finished = Experiment(
        Replay(decode(encode(0, list(example(trials=2, reports=2, failing=0))))), metadata={"path": "/x/y"}
    )
    assert header_state(finished.wait(10)._store)["resumable"] == ""
    without, _ = start(ended("stopped", trials=9))
    assert header_state(without._store)["resumable"] == ""
    live, _ = start()
    assert header_state(live._store)["resumable"] == ""


def test_the_hint_how_to_reconnect(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    experiment, _ = start()
    store = experiment._store
    assert header_state(store)["reconnect"] == ""
    store._metadata["path"] = f"{tmp_path}/ray_results/example_1"
    assert header_state(store)["reconnect"].endswith("In a new kernel: %tune resume example")
    store._metadata["detached"] = True
    assert header_state(store)["reconnect"].endswith("In a new kernel: %tune attach example")
    store._metadata["path"] = "s3://bucket/example_1"  # where its name does not lead
    assert header_state(store)["reconnect"].endswith("%tune attach s3://bucket/example_1")


def test_hints_and_concurrent_trials():
    experiment, _ = start()
    store = experiment._store
    store._metadata["warning"] = "checkpoints are not kept"
    assert header_state(store)["hint"] == "checkpoints are not kept"
    store._metadata["error"] = "the disk is full"
    assert header_state(store)["hint"] == "the disk is full; checkpoints are not kept"
    store._metadata["code"] = "it runs its stored code"
    assert header_state(store)["hint"] == "the disk is full; checkpoints are not kept; it runs its stored code"
    del store._metadata["error"], store._metadata["warning"], store._metadata["code"]
    other = header_state(store)["hint"]
    store._metadata["code"] = "it runs its stored code"
    assert header_state(store)["hint"] == "; ".join(filter(None, [other, "it runs its stored code"]))
    store._metadata.update(error="the disk is full", code="")
    store._metadata.update(concurrent=2, trials=20)
    assert (header_state(store)["max_concurrent"], header_state(store)["concurrent"]) == (None, 2)
    assert header_state(store)["workers"] == ""
    store._metadata.update(max_concurrent=3, plan=planned(slots=8))
    assert (header_state(store)["max_concurrent"], header_state(store)["concurrent"]) == (3, 3)
    assert header_state(store)["limited_by"] == "max_concurrent"
    store._metadata["max_concurrent"] = None
    assert (header_state(store)["concurrent"], header_state(store)["limited_by"]) == (8, "cluster")
    store._metadata["plan"] = planned(slots=8, bottleneck="GPU")
    assert header_state(store)["limited_by"] == "GPU"
    store._metadata["plan"] = planned(slots=1, bottleneck="GPU", autoscaling=True)
    store._counts["running"] += 3
    assert header_state(store)["concurrent"] == store.counts["running"]
    store._metadata["trials"] = 4
    store._metadata["plan"] = planned(slots=8, bottleneck="GPU")
    assert (header_state(store)["concurrent"], header_state(store)["limited_by"]) == (4, "")


def test_the_hint_distinguishes_waiting_from_starting():
    store = Store()
    assert header_state(store)["hint"].startswith("starting the trials' processes")
    store._metadata.update(plan=planned(in_use={"CPU": 2}, at_first=0), started=time.time())
    assert header_state(store)["hint"].startswith(
        "starting the trials' processes"
    )  # what is used may be on its way back
    store._metadata["started"] -= 10
    assert header_state(store)["hint"].startswith("waiting for the cluster to start the driver")
    store.cursor = 1
    assert header_state(store)["hint"].startswith("others use 2 CPU: the first trial waits")
    store._metadata["plan"] = planned(in_use={"CPU": 2}, at_first=1)
    assert header_state(store)["hint"].startswith("starting the trials' processes")


def test_paused_trials_are_counted_with_who_has_paused_them(sent):
    paused = [TrialPaused(trial, 1e9, reason=by) for trial, by in ((0, "user"), (1, "scheduler"))]
    experiment, source = start(*paused)
    state = header_state(experiment._store)
    assert state["counts"]["paused"] == 2
    assert state["hint"] == "2 paused, none running; resume one in the table, or stop the experiment"
    experiment.dashboard  # noqa: B018 - it tells the browser when it is made
    table = sent.of("table")[-1]
    assert [row[:2] for row in table["rows"][:2]] == [[0, "paused"], [1, "paused"]]
    assert table["by_scheduler"] == [1]
    source.append(ended("stopped"))
    source.closed = True
    experiment.wait(10)
    until = time.monotonic() + 10
    while sent.of("table")[-1]["rows"][:1] != [] and sent.of("table")[-1]["rows"][0][1] != "unfinished":
        assert time.monotonic() < until
        time.sleep(0.01)
    assert [row[:2] for row in sent.of("table")[-1]["rows"]] == [[0, "unfinished"], [1, "unfinished"]]
    assert header_state(experiment._store)["counts"].get("paused") is None
    assert header_state(experiment._store)["counts"]["unfinished"] == 2
