"""The handle of an experiment: its trials after a resumption, listeners, errors of nbtune, concurrent resumptions."""

import logging
import threading
import time
import types

import pytest

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.commands import PauseTrial
from nbtune.engine.protocol.events import (
    AttemptFailed,
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialPaused,
    TrialReported,
    TrialStarted,
)
from nbtune.engine.protocol.source import SourceLostError
from nbtune.errors import ExperimentError
from nbtune.results.experiment import Experiment
from nbtune.results.listeners import Listeners
from nbtune.results.reader import Reader
from nbtune.results.store import Store
from nbtune.testing import Replay


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def run(status, *more, value=1.0):
    """The events of one trial that has reported once, and of the experiment's end."""
    return [
        ExperimentUpdated(time=1.0, metadata={"name": "exp", "status": "running", "metric": "loss", "mode": "min"}),
        TrialAdded(0, 1.0, ray_id="a", config={"lr": 0.1}, folder="trial_0"),
        TrialStarted(0, 1.0),
        TrialReported(0, 2.0, 1, 1.0, metrics={"loss": value}),
        *more,
        *([ExperimentUpdated(time=3.0, metadata={"status": status})] if status else []),
    ]


class Going(Replay):
    """A recording that waits for more events at its end, as a driver does."""

    def read(self, since, timeout):
        if since >= self._chunks[-1].end:
            self._closed.wait(0.01)
            return []
        return super().read(since, timeout)


def source(events):
    return Going(decode(encode(0, events)))


def resumable(tmp_path, go_on):
    return Experiment(source(run("stopped")), metadata={"path": str(tmp_path)}, fixed=("path",), resume=go_on)


# -- trials after a resumption ---------------------------------------------------------------------


def test_a_trial_has_the_present_state_after_a_resumption(tmp_path):
    ended = TrialEnded(0, 4.0, 2, status="finished", reason="done")
    more = [TrialReported(0, 3.0, 2, 2.0, metrics={"loss": 0.25}), ended]
    experiment = resumable(tmp_path, lambda where, **how: (source(run("finished", *more)), lambda: None)).wait()
    trial = experiment.trials[0]
    best = experiment.best
    assert (trial.status, trial.metrics) == ("running", {"loss": 1.0})
    experiment.resume().wait()
    assert (trial.status, trial.metrics) == ("finished", {"loss": 0.25})
    assert (best.status, best.metrics) == ("finished", {"loss": 0.25})


def test_a_trial_without_events_after_a_resumption_is_pending_and_cannot_be_cloned(tmp_path):
    told = ExperimentUpdated(time=5.0, metadata={"status": "running", "space": {"lr": {}}})
    new = source([told])
    experiment = resumable(tmp_path, lambda where, **how: (new, lambda: None)).wait()
    trial = experiment.trials[0]
    experiment.resume()
    until(lambda: experiment.status == "running")
    assert (trial.status, trial.config, trial.metrics, trial.checkpoint, trial.error) == ("pending", {}, {}, None, None)
    with pytest.raises(ExperimentError, match="trial 0 of exp.* is not known yet: the experiment was resumed"):
        trial.clone(lr=0.2)
    assert new.commands == [], "without the trial's parameters, all would be sampled"
    experiment.stop()


def test_a_trial_returns_copies_of_the_state():
    experiment = Experiment(source(run("finished"))).wait()
    trial = experiment.trials[0]
    trial.config["lr"], trial.metrics["loss"] = 7, 7
    assert (trial.config, trial.metrics) == ({"lr": 0.1}, {"loss": 1.0})


# -- who listens -----------------------------------------------------------------------------------


def test_a_listener_that_raises_stays_and_its_error_is_logged_once(caplog):
    listeners, heard = Listeners(), []

    def broken():
        heard.append("broken")
        raise RuntimeError("cannot draw")

    def second():
        raise KeyError("another one")

    end = listeners.add(broken)
    listeners.add(second)
    listeners.add(lambda: heard.append("after"))
    for _ in range(3):
        listeners.notify()
    assert heard == ["broken", "after"] * 3
    assert len(caplog.records) == 2, "once for each listener"
    assert {record.name for record in caplog.records} == {"nbtune"}
    assert "RuntimeError: cannot draw" in caplog.text
    assert "in broken" in caplog.text
    end()
    end()
    listeners.notify()
    assert heard[-1] == "after"
    assert heard.count("broken") == 3


def test_an_error_of_a_view_ends_neither_the_view_nor_the_reader(caplog):
    events = run(None)
    going = source(events[:3])
    experiment = Experiment(going)
    heard = []

    def view():
        heard.append(len(experiment.history))
        if len(heard) == 1:
            raise RuntimeError("cannot draw")

    experiment.listen(view)
    until(lambda: len(heard) > 2)
    going._chunks += decode(encode(3, [*events[3:], ExperimentUpdated(time=3.0, metadata={"status": "finished"})]))
    experiment.wait(10)
    until(lambda: heard[-1] == 1)
    assert experiment.status == "finished"


# -- errors of nbtune's own ------------------------------------------------------------------------


class Gone(Replay):
    def read(self, since, timeout):
        raise SourceLostError("its node has died")


def test_an_error_of_nbtune_is_reported_as_such_with_its_traceback(monkeypatch, caplog):
    def apply(self, chunk):
        raise ZeroDivisionError("a mistake in the store")

    monkeypatch.setattr(Store, "apply", apply)
    going = source(run("finished"))
    experiment = Experiment(going, metadata={"name": "exp"}).wait(10)
    assert experiment.status == "unread"
    assert "ZeroDivisionError: a mistake in the store" in experiment.error
    assert "a bug of nbtune, not of the experiment" in experiment.error
    assert "driver is gone" not in experiment.error
    assert 'raise ZeroDivisionError("a mistake in the store")' in experiment.traceback
    assert "ZeroDivisionError: a mistake in the store" in caplog.text
    assert [record.name for record in caplog.records if record.levelno >= logging.ERROR] == ["nbtune"]
    assert going._closed.is_set(), "the driver need not wait for this reader"


def test_a_lost_driver_is_reported_as_lost():
    experiment = Experiment(Gone([])).wait(10)
    assert (experiment.status, experiment.error) == ("lost", "the driver is gone: its node has died")
    assert experiment.traceback is None


def test_an_unread_experiment_can_be_read_again(tmp_path, monkeypatch):
    broken = [True]
    real = Store.apply

    def apply(self, chunk):
        if broken[0]:
            raise ZeroDivisionError
        real(self, chunk)

    monkeypatch.setattr(Store, "apply", apply)
    experiment = resumable(tmp_path, lambda where, **how: (source(run("finished")), lambda: None)).wait(10)
    assert experiment.status == "unread"
    broken[0] = False
    experiment.resume().wait(10)
    assert (experiment.status, experiment.error, experiment.traceback) == ("finished", None, None)


def test_the_end_is_reported_even_if_the_source_cannot_be_closed(caplog):
    class Stuck(Going):
        def close(self):
            raise OSError("no way")

    ends = []
    reader = Reader(Store(), Listeners())
    reader.start(Stuck(decode(encode(0, run("finished")))), lambda: ends.append(1))
    assert reader.over.wait(10)
    until(lambda: ends == [1])
    assert "OSError: no way" in caplog.text


# -- arriving --------------------------------------------------------------------------------------


def test_there_are_no_events_while_the_driver_starts():
    class Slow(Going):
        begun = False

        def read(self, since, timeout):
            return super().read(since, timeout) if self.begun else []

    slow = Slow(decode(encode(0, run("finished"))))
    experiment = Experiment(slow)
    experiment.wait_for_events(0.2)
    assert not experiment._reader.has_events.is_set()
    slow.begun = True
    experiment.wait_for_events(10)
    assert experiment.name == "exp"
    experiment.wait(10)


# -- two resumptions at once -----------------------------------------------------------------------


def test_exactly_one_of_two_concurrent_resumptions_succeeds(tmp_path):
    begun, go = threading.Event(), threading.Event()
    calls, refused, ends = [], [], []

    def go_on(where, **how):
        calls.append((how["failed"], how.get("code", "stored")))
        begun.set()
        assert go.wait(10)
        return source(run(None)), lambda: ends.append(1)

    experiment = resumable(tmp_path, go_on).wait(10)
    first = threading.Thread(target=experiment.resume)
    first.start()
    assert begun.wait(10)

    def second():
        try:
            experiment.resume(failed=True)
        except ExperimentError as error:
            refused.append(str(error))

    button = threading.Thread(target=second)
    button.start()
    button.join(2)
    go.set()
    first.join(10)
    button.join(10)
    assert calls == [(False, "stored")]
    assert refused == ["exp is being resumed at this moment: try this again once it runs"]
    until(lambda: experiment.status == "running")
    assert experiment.resume() is experiment, "it runs: there is nothing to resume"
    with pytest.raises(
        ExperimentError, match="was resumed a moment ago"
    ):  # a call that has checked the status before the other one
        experiment._restart(failed=False)
    assert calls == [(False, "stored")]


def test_a_failed_resumption_does_not_prevent_the_next(tmp_path):
    answers = [ExperimentError("nothing is left to do"), (source(run("finished")), lambda: None)]

    def go_on(where, **how):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    experiment = resumable(tmp_path, go_on).wait(10)
    with pytest.raises(ExperimentError, match="nothing is left"):
        experiment.resume()
    assert experiment.resume().wait(10).status == "finished"


# -- no best trial, and commands after the end -----------------------------------------------------


def only():
    """The first events of `run`, without the report."""
    return [event for event in run(None) if not isinstance(event, TrialReported)]


FAILED = AttemptFailed(0, 2.0, 1, error="ValueError: no", traceback="…", final=True)
ENDED = TrialEnded(0, 2.0, 1, status="finished", reason="done")


def end(status, **metadata):
    return ExperimentUpdated(time=3.0, metadata={"status": status, **metadata})


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (only(), "no report yet; wait with mine.wait()"),
        (run(None, value=float("nan")), "no finite value of loss yet; wait with mine.wait()"),
        (run(None)[:1], "no report yet; wait with mine.wait()"),
        ([*only(), ENDED, end("finished")], "exp is finished, and no trial has reported anything"),
        ([*run(None, value="x"), ENDED, end("finished")], "and no trial that did not fail has a finite value of loss"),
        ([*only(), end("stopped")], "was stopped, and no trial has reported anything. mine.resume() goes on"),
        (
            [*run(None), FAILED, end("failed")],
            "exp has failed, and all 1 trials failed. Trial 0 failed: ValueError: no; see mine.trials[0].error",
        ),
        ([*only(), end("failed", error="disk full")], "exp has failed, and no trial has reported anything: disk full"),
        ([*only(), TrialReported(0, 2.0, 1, 1.0, metrics={"acc": 1}), end("finished")], "reported loss; reported metrics: acc"),
        ([end("running", name="exp")], "exp has no metric to compare its trials by"),
    ],
)  # fmt: skip
def test_without_a_best_trial_the_error_says_why_and_what_to_do(events, message, monkeypatch):
    monkeypatch.setattr("nbtune.results.experiment.variable_of", lambda value: "mine")
    going = source(events)
    experiment = Experiment(going)
    until(lambda: experiment._store.cursor == len(events))
    with pytest.raises(ExperimentError) as raised:
        experiment.best.config  # noqa: B018
    assert message in str(raised.value)
    going._chunks += decode(encode(len(events), [end("stopped")]))


def test_the_name_is_that_of_the_notebooks_variable(monkeypatch):
    going = source(run(None)[:1])
    experiment = Experiment(going)
    shell = types.SimpleNamespace(user_ns={"_": experiment, "other": 1, "mine": experiment})
    monkeypatch.setattr("nbtune.shell.shell", lambda: shell)
    until(lambda: experiment._store.cursor)
    with pytest.raises(ExperimentError, match=r"^no report yet; wait with mine.wait\(\)$"):
        experiment.best  # noqa: B018
    del shell.user_ns["mine"]
    with pytest.raises(ExperimentError, match=r"^no report yet; wait with wait\(\)$"):
        experiment.best  # noqa: B018
    going._chunks += decode(encode(1, [end("stopped")]))


def test_commands_that_the_end_fulfils_are_no_errors_and_say_so(monkeypatch, capsys):
    monkeypatch.setattr("nbtune.shell.shell", lambda: object())
    experiment = Experiment(source(run("finished"))).wait()
    experiment.stop()
    experiment.trials[0].stop()
    experiment.trials[0].pause()
    experiment.max_concurrent = 2
    assert capsys.readouterr().out.splitlines() == [
        "exp is finished: there is nothing to stop",
        "exp is finished: there is nothing to stop",
        "exp is finished: there is nothing to pause",
        "exp is finished: there is nothing to limit",
    ]
    assert experiment._source.commands == []
    with pytest.raises(ExperimentError, match="exp is finished: it does not run"):
        experiment.trials[0].resume()


@pytest.mark.parametrize(("reason", "commands"), [("user", []), ("scheduler", [PauseTrial(0)])])
def test_a_trial_that_the_scheduler_has_paused_can_be_paused(reason, commands):
    """The scheduler would let it go on."""

    class Taking(Going):
        def send(self, command):
            sent.append(command)

    sent = []
    experiment = Experiment(Taking(decode(encode(0, run(None, TrialPaused(0, 2.0, 1, reason=reason))))))
    until(lambda: experiment.trials and experiment.trials[0].status == "paused")
    experiment.trials[0].pause()
    assert sent == commands


def test_a_command_that_arrives_with_the_end_is_no_error():
    class Leaving(Going):
        def send(self, command):
            self._chunks += decode(encode(self._chunks[-1].end, [end("finished")]))
            raise SourceLostError("the driver has left")

    experiment = Experiment(Leaving(decode(encode(0, run(None)))))
    until(lambda: experiment._store.cursor)
    experiment.stop()
    assert experiment.status == "finished"
