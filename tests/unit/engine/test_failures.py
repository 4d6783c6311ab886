"""nbtune.engine.protocol.failures: what a person reads of an error in a trial."""

import asyncio
import linecache
import pickle
import types

import pytest

from nbtune.engine.protocol.failures import TrialError, describe, format_error, register_sources
from nbtune.spec.cell.parse import parse_cell

SOURCES = {"<cell 5>": ("Cell In[5]", "")}


def error_of(source):
    """Return what a cell raises, as a trial reports it."""
    cell, _ = parse_cell(source, {}, filename="<cell 5>")
    sources = {"<cell 5>": ("Cell In[5]", cell.source)}
    register_sources(sources)
    try:
        result = types.FunctionType(cell.code, {"__name__": "__main__"})()
        if cell.is_async:
            asyncio.run(result)
    except Exception as error:
        return format_error(error, sources)
    finally:
        linecache.cache.pop("<cell 5>")
    raise AssertionError("the cell does not raise")


def test_the_cells_lines_are_shown_as_the_notebook_calls_them():
    error = error_of("def f(x):\n    return 1 / x\n\nf(0)")
    assert error.summary == "ZeroDivisionError: division by zero"
    assert "Cell In[5], line 5, in <module>\n    f(0)" in error.text
    assert "Cell In[5], line 3, in f\n    return 1 / x" in error.text
    assert error.text.endswith("ZeroDivisionError: division by zero")
    assert str(error) == error.text


@pytest.mark.parametrize("source", ["1 / 0", "import asyncio\nawait asyncio.sleep(0)\n1 / 0"])
def test_the_traceback_begins_at_the_cell(source):
    assert error_of(source).text.splitlines()[1].strip().startswith("Cell In[5], line")


def test_frames_below_the_cell_are_kept():
    assert "decoder.py" in error_of("import json\njson.loads('{')").text


def test_causes_are_shown():
    text = error_of("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('no') from e").text
    assert "ZeroDivisionError" in text
    assert "direct cause" in text


@pytest.mark.parametrize(
    ("source", "summary"),
    [
        ("raise ValueError('first\\nsecond')", "ValueError: first"),
        ("raise ValueError", "ValueError"),
        ("exec('x = = 1')", "SyntaxError: invalid syntax"),
        ("e = ValueError('no')\ne.add_note('a note')\nraise e", "ValueError: no"),
        ("raise ValueError('x' * 999)", "ValueError: " + "x" * 285 + "..."),
    ],
)
def test_the_summary_is_one_short_line(source, summary):
    assert error_of(source).summary == summary


def test_an_error_without_a_cell_has_its_own_frames():
    with pytest.raises(ValueError) as caught:
        int("no")
    assert "test_failures.py" in format_error(caught.value, SOURCES).text


def test_a_trial_error_survives_pickling():
    error = pickle.loads(pickle.dumps(TrialError("summary", "text")))
    assert (error.summary, error.text) == ("summary", "text")


class Wrapped(Exception):
    def __init__(self, cause):
        super().__init__("wrapped")
        self.cause = cause


def test_a_trial_error_is_found_inside_rays_own():
    inner = TrialError("ValueError: no", "the text")
    outer = RuntimeError("outer")
    outer.__cause__ = Wrapped(inner)
    for error in (inner, Wrapped(inner), outer):
        assert describe(error) == {"error": "ValueError: no", "traceback": "the text"}


def named(name, text):
    return type(name, (Exception,), {})(text)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (named("ActorDiedError", "long"), "the trial's process died"),
        (named("RayActorError", "long"), "the trial's process died"),
        (named("OutOfMemoryError", "long"), "the trial's process was killed: the node was out of memory"),
        (ValueError("one\ntwo"), "ValueError: one"),
        (RuntimeError("Traceback (most recent call last):\n  File x\nKeyError: 'a'"), "KeyError: 'a'"),
        ("Traceback (most recent call last):\n  File x\nKeyError: 'a'\n", "KeyError: 'a'"),
        ("only text", "only text"),
        (None, "unknown error"),
        (ValueError(), "ValueError: unknown error"),
    ],
)
def test_what_tune_says(error, line):
    assert describe(error)["error"] == line


def test_the_whole_text_is_kept():
    assert describe(ValueError("one\ntwo"))["traceback"] == "one\ntwo"
