"""nbtune.engine.trial.last_words: why the process of a trial has ended."""

from __future__ import annotations

import subprocess
import sys

import pyarrow.fs as pafs
import pytest

from nbtune.engine.trial.last_words import note_path, why_ended

TRIAL = """
import ctypes, os, signal, sys
import pyarrow.fs as pafs
from nbtune.engine.trial import output
from nbtune.engine.trial.last_words import note_path, noting_the_end
cell = compile(sys.argv[2], "<cell 5>", "exec")
def trial():
    with output.capture(pafs.LocalFileSystem(), sys.argv[1] + "/stored"):
        with noting_the_end(note_path(sys.argv[1] + "/session/working_dirs/trial"), {"<cell 5>": ("Cell In[5]", "")}):
            exec(cell, {"os": os, "signal": signal, "ctypes": ctypes})
trial()
"""


def ended(tmp_path, call, before="print('step 7')"):
    """Run code that ends its process, and return its exit status and the failure."""
    text = f"{before}\ndef end(): {call}\nend()" if "\n" not in before else before
    program = [sys.executable, "-c", TRIAL, str(tmp_path), text]
    status = subprocess.run(program, capture_output=True, timeout=120).returncode
    note = note_path(str(tmp_path / "session" / "working_dirs" / "trial"))
    failure = why_ended("the trial's process", note, pafs.LocalFileSystem(), str(tmp_path / "stored"))
    assert not list(note.parent.iterdir()), "the notes are removed"
    return status, failure["error"], failure["traceback"]


def test_a_call_of_exit(tmp_path):
    status, error, text = ended(tmp_path, "os._exit(3)")
    assert status == 3
    assert error == "the trial's process has ended itself: os._exit(3)"
    lines = text.splitlines()
    assert lines[1] == "Traceback (most recent call last):"
    assert [line for line in lines if "Cell In[5], line" in line] == [
        "  Cell In[5], line 3, in <module>",
        "  Cell In[5], line 2, in end",
    ]
    assert text.endswith("Its last output:\nstep 7\n" + lines[-1])
    assert lines[-1].endswith("remove the call.")
    assert "step 7" in (tmp_path / "stored" / "output" / "000000000000.log").read_text()


@pytest.mark.parametrize(
    ("call", "number", "error"),
    [
        ("ctypes.string_at(0)", 11, "Segmentation fault (signal 11, SIGSEGV)"),
        ("os.abort()", 6, "Aborted (signal 6, SIGABRT)"),
        ("os.kill(os.getpid(), signal.SIGFPE)", 8, "Floating point exception (signal 8, SIGFPE)"),
    ],
)
def test_a_crash_in_compiled_code(tmp_path, call, number, error):
    status, summary, text = ended(tmp_path, call)
    assert status == -number
    assert summary.replace("Floating-point", "Floating point") == f"the trial's process has crashed: {error}"
    calls = text.index("Cell In[5], line 3, in <module>"), text.index("Cell In[5], line 2, in end")
    assert calls[0] < calls[1]
    assert "last_words.py" not in text
    assert "Its last output:\nstep 7\n" in text


@pytest.mark.parametrize("call", ["os.kill(os.getpid(), signal.SIGKILL)", "ctypes.CDLL(None)._exit(4)"])
def test_a_process_that_leaves_no_message(tmp_path, call):
    _, error, text = ended(tmp_path, call)
    assert error == "the trial's process has ended without a message: it was probably killed"
    assert "Its last output:\nstep 7\n" in text
    assert "Worker exit detail" not in text


def test_only_the_last_lines_are_shown(tmp_path):
    _, _, text = ended(tmp_path, "os._exit(1)", "for n in range(10000): print('line', n)")
    assert "Its last output:\nline 9995\nline 9996\nline 9997\nline 9998\nline 9999\n" in text


def test_a_forked_process_that_ends_is_none_of_the_trials(tmp_path):
    code = "pid = os.fork()\nif pid == 0:\n    os._exit(5)\nassert os.waitpid(pid, 0)[1] == 5 << 8\nos._exit(6)"
    status, error, _ = ended(tmp_path, "", code)
    assert (status, error) == (6, "the trial's process has ended itself: os._exit(6)")


def test_a_process_of_another_machine(tmp_path):
    failure = why_ended("it", tmp_path / "none", pafs.LocalFileSystem(), str(tmp_path))
    assert failure["error"] == "it has ended, for a reason that is not known here"


def test_a_process_that_goes_on_leaves_no_note(tmp_path):
    program = [sys.executable, "-c", TRIAL, str(tmp_path), "print(1)"]
    assert subprocess.run(program, capture_output=True, timeout=120).returncode == 0
    assert not list((tmp_path / "session" / "last_words").iterdir())
