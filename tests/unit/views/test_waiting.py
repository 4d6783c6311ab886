"""What is shown while a call waits: a line in a notebook or a terminal; timeouts and interrupts."""

import io
import sys
import threading

import pytest

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import TrialPaused
from nbtune.results import experiment as results
from nbtune.results.experiment import Experiment
from nbtune.results.store import Store
from nbtune.testing import example, replay
from nbtune.views import waiting
from nbtune.views.waiting import progress_line
from tests.unit.results.test_experiment import Going, until


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_line_shows_the_progress():
    text = progress_line(replay(example(trials=4, reports=5, failing=1))._store, 200)
    assert text.startswith("example finished [####################] 4 of 4, ")
    assert "1 failed" in text
    assert "best accuracy 0." in text


def test_paused_trials_are_in_the_line():
    events = [*list(example(trials=3, reports=3))[:-1], TrialPaused(0, 1e9, reason="user")]
    store = Store()
    for chunk in decode(encode(0, events)):
        store.apply(chunk)
    assert "1 paused" in progress_line(store, 200)


def test_it_fits_and_stays_one_line():
    store = Store({"name": "two\nlines\x1b[2J"})
    assert progress_line(store, 200).startswith("two lines\ufffd[2J pending [....................] 0 of 0")
    assert len(progress_line(store, 30)) == 30


class FakeShell:
    """What the line uses of an IPython shell; with a kernel it is a notebook's."""

    def __init__(self, kernel=None):
        self.user_ns, self.outputs, self.display_pub = {}, {}, self
        if kernel is not None:
            self.kernel = kernel

    def publish(self, data, metadata, *, transient, update):
        assert update == (transient["display_id"] in self.outputs), "one output, which is replaced"
        self.outputs.setdefault(transient["display_id"], []).append(data["text/plain"])


def going(trials=3):
    events = list(example(trials=trials, reports=2))
    experiment = Experiment(Going(decode(encode(0, events[:-1]))))
    until(lambda: len(experiment.history))
    return experiment, lambda: experiment._source._chunks.extend(decode(encode(len(events) - 1, events[-1:])))


def test_in_a_terminal_the_line_is_overwritten_until_the_end(monkeypatch):
    experiment, end = going()
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(waiting, "shell", FakeShell)
    threading.Timer(0.1, end).start()
    assert experiment.wait(10) is experiment
    assert out.getvalue().startswith("\r\x1b[Kexample running [")
    assert "\r\x1b[Kexample finished [####################] 3 of 3" in out.getvalue()
    assert out.getvalue().endswith("\n")
    assert out.getvalue().count("\n") == 1


def test_in_a_notebook_the_line_is_one_output_that_is_replaced(monkeypatch):
    experiment, end = going()
    shell = FakeShell(kernel=object())
    monkeypatch.setattr(waiting, "shell", lambda: shell)
    threading.Timer(0.1, end).start()
    experiment.wait(10)
    (line,) = shell.outputs.values()
    assert line[0].startswith("example running [")
    assert line[-1].startswith("example finished [####################] 3 of 3")


@pytest.mark.parametrize("kernel", [None, object()])
def test_nothing_is_written_for_an_experiment_that_is_over_nor_in_a_program(monkeypatch, kernel):
    out, shell = Terminal(), FakeShell(kernel)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(waiting, "shell", lambda: shell)
    replay(example(trials=3, reports=2)).wait()
    monkeypatch.setattr(waiting, "shell", lambda: None)
    experiment, end = going()
    end()
    experiment.wait(10)
    assert not out.getvalue()
    assert not shell.outputs


def test_a_file_gets_no_line(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(waiting, "shell", FakeShell)
    experiment, end = going()
    end()
    experiment.wait(10)
    assert not out.getvalue()


def test_a_timeout_is_one_sentence_and_leaves_the_experiment_alone():
    experiment, end = going()
    with pytest.raises(TimeoutError, match=r"^example is still running after 0.05 s$") as raised:
        experiment.wait(0.05)
    assert raised.value._render_traceback_() == ["WaitTimeoutError: example is still running after 0.05 s"]
    assert experiment.status == "running"
    end()
    experiment.wait(10)


def test_an_interrupt_is_one_sentence_with_the_variables_name(monkeypatch):
    experiment, end = going()
    monkeypatch.setattr(results, "variable_of", lambda value: "mine")

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        experiment._wait(10, interrupt)
    assert raised.value._render_traceback_() == ["stopped waiting; example is still running; mine.stop() stops it"]
    assert experiment._source.commands == []
    end()
    experiment._wait(10)
