"""The line in a terminal."""

import io

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import TrialPaused
from nbtune.results.store import Store
from nbtune.testing import example, replay
from nbtune.views.terminal import ProgressLine, progress_line


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
    assert progress_line(store, 200).startswith("two lines [2J pending [....................] 0 of 0")
    assert len(progress_line(store, 30)) == 30


def test_the_line_is_overwritten_until_the_end():
    out = Terminal()
    with ProgressLine(replay(example(trials=3, reports=2))._store, out):
        pass
    assert out.getvalue().startswith("\r\x1b[Kexample finished")
    assert out.getvalue().endswith("\n")
    assert out.getvalue().count("\n") == 1


def test_nothing_is_written_without_a_terminal():
    out = io.StringIO()
    with ProgressLine(replay(example(trials=3, reports=2))._store, out):
        pass
    assert not out.getvalue()
