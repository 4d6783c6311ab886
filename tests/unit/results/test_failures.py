"""nbtune.results.failures: failed trials by cause."""

import json
import linecache
import subprocess
import sys
import time

import pytest

from nbtune.engine.protocol.events import AttemptFailed, TrialAdded, TrialEnded
from nbtune.engine.protocol.failures import format_error
from nbtune.results.failures import CAUSES, COLUMNS, failure_frame, failure_line, group_failures
from nbtune.results.state import TrialState
from nbtune.testing import example, replay

CELL = """
import json
class Own(Exception):
    pass
def inner(x):
    return 1 / x
def chained(x):
    try:
        inner(x)
    except ZeroDivisionError as error:
        raise Own(f"no {x}") from error
def handled():
    try:
        inner(0)
    except ZeroDivisionError:
        json.loads("{")
def library():
    json.loads("{")
def recursive(x):
    return recursive(x + 1)
def group():
    raise ExceptionGroup("several", [ValueError(1), TypeError(2)])
def late():
    import concurrent.futures
    raise concurrent.futures.TimeoutError("too late")
def big():
    raise MemoryError
"""
SOURCES = {"<cell-5>": ("Cell In[5]", CELL)}


def failed_by(call, number=0):
    """Return the state of a trial that has failed by a call of the cell's code."""
    linecache.cache["<cell-5>"] = (len(CELL), None, CELL.splitlines(keepends=True), "<cell-5>")
    namespace = {"__name__": "cell"}
    exec(compile(CELL, "<cell-5>", "exec"), namespace)
    try:
        eval(compile(call, "<cell-5>", "eval"), namespace)
    except BaseException as error:
        failure = format_error(error, SOURCES)
        return state(number, failure.summary, failure.text)
    raise AssertionError


def state(number, error, traceback="", status="failed"):
    return TrialState(number, status=status, error=error, traceback=traceback)


def line_of(text):
    return next(number for number, line in enumerate(CELL.splitlines(), 1) if line.strip() == text)


@pytest.mark.parametrize(
    ("call", "cause", "exception", "text"),
    [
        ("inner(0)", "exception", "ZeroDivisionError", "return 1 / x"),
        ("chained(0)", "exception", "cell.Own", 'raise Own(f"no {x}") from error'),
        ("handled()", "exception", "json.decoder.JSONDecodeError", 'json.loads("{")'),
        ("library()", "exception", "json.decoder.JSONDecodeError", 'json.loads("{")'),
        ("recursive(1)", "exception", "RecursionError", "return recursive(x + 1)"),
        ("group()", "exception", "ExceptionGroup", 'raise ExceptionGroup("several", [ValueError(1), TypeError(2)])'),
        ("late()", "time-out", "TimeoutError", 'raise concurrent.futures.TimeoutError("too late")'),
        ("big()", "out of memory", "MemoryError", "raise MemoryError"),
    ],
)
def test_the_line_of_the_users_code(call, cause, exception, text):
    (group,) = group_failures([failed_by(call)])
    assert (group.cause, group.exception, group.file, group.text) == (cause, exception, "Cell In[5]", text)
    number = 0 if call != "library()" else 1
    lines = [at for at, line in enumerate(CELL.splitlines(), 1) if line.strip() == text]
    assert group.line == lines[number if len(lines) > 1 else 0]
    assert group.traceback
    assert group.advice


def test_the_same_exception_at_the_same_line_is_one_cause():
    states = [failed_by(f"chained({0})", number) for number in range(3)]
    states += [failed_by("inner(0)", number) for number in range(3, 8)]
    states += [failed_by("library()", 8), failed_by("handled()", 9)]
    groups = group_failures(states)
    assert [group.trials for group in groups] == [(3, 4, 5, 6, 7), (0, 1, 2), (8,), (9,)]
    assert failure_line(groups) == (
        f"10 trials failed: 5 × ZeroDivisionError at line {line_of('return 1 / x')}, 3 × cell.Own at line"
        f" {groups[1].line}, 1 × json.decoder.JSONDecodeError at line {groups[2].line}, 1 other cause"
    )


PROCESS = "the trial's process"


@pytest.mark.parametrize(
    ("error", "cause", "title"),
    [
        (f"{PROCESS} was killed: the node was out of memory", "out of memory", "out of memory"),
        ("the process of worker 1 was killed: the node was out of memory", "out of memory", "out of memory"),
        (f"{PROCESS} has ended without a message: it was probably killed", "process died", "process killed"),
        (f"{PROCESS} has ended itself: os._exit(3)", "process died", "os._exit(3)"),
        (f"{PROCESS} has crashed: Segmentation fault (signal 11, SIGSEGV)", "process died", "crashed: Segmentation fault"),
        (f"{PROCESS} has ended, for a reason that is not known here", "process died", "process died"),
        (f"{PROCESS} died", "process died", "process died"),
        ("the process of worker 0 has ended with its node", "node lost", "node lost"),
        ("worker 1: ValueError: no", "exception", "ValueError"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "out of memory", "out of memory"),
        ("RuntimeError: CUDA error: out of memory", "out of memory", "out of memory"),
        ("ray.exceptions.GetTimeoutError: Get timed out", "time-out", "ray.exceptions.GetTimeoutError"),
        ("the workers could not be connected: TimeoutError: 30 s", "time-out", "the workers could not be connected: TimeoutError: 30 s"),
        ("ValueError: the request timed out", "time-out", "ValueError"),
        ("SystemExit: 1", "exception", "SystemExit"),
        ("something else", "exception", "something else"),
    ],
)  # fmt: skip
def test_causes(error, cause, title):
    (group,) = group_failures([state(4, error)])
    assert (group.cause, group.title) == (cause, title)
    assert group.cause in CAUSES
    assert failure_line([group]) == f"1 trial failed: 1 × {title}"


def test_workers_of_one_trial_and_numbers_in_messages_make_no_difference():
    same = [state(0, "worker 0: ValueError: x is 0.1"), state(1, "worker 1: ValueError: x is 1e-7")]
    assert [group.trials for group in group_failures(same)] == [(0, 1)]
    different = [state(0, "ValueError: no column a"), state(1, "ValueError: no column b")]
    assert len(group_failures(different)) == 2


def test_only_failed_trials_count():
    states = [state(0, "ValueError: retried", status="running"), state(1, None, status="finished")]
    assert group_failures(states) == []
    assert failure_line([]) == ""
    frame = failure_frame(states)
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 0
    assert str(frame["line"].dtype) == "Int64"


def test_files_of_the_user_are_named(tmp_path):
    (tmp_path / "helpers.py").write_text("import json\ndef parse(text):\n    return json.loads(text)\n")
    code = "import traceback, json, helpers\ntry:\n    helpers.parse('{')\nexcept Exception:\n    print(json.dumps(traceback.format_exc()))"
    text = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    states = [state(0, "json.decoder.JSONDecodeError: no", json.loads(text)), failed_by("inner(0)", 1)]
    groups = group_failures(states)
    assert groups[0].file == str(tmp_path / "helpers.py")
    line = line_of("return 1 / x")
    assert failure_line(groups) == (
        "2 trials failed: 1 × json.decoder.JSONDecodeError at helpers.py, line 3, 1 × ZeroDivisionError at Cell In[5],"
        f" line {line}"
    )


def test_the_table_of_an_experiment():
    events = list(example(trials=6, reports=2, failing=2))
    experiment = replay(events)
    frame = experiment.failures
    assert frame.loc[0, ["cause", "exception", "count"]].tolist() == ["exception", "ValueError", 2]
    assert frame.loc[0, "trials"] == [4, 5]
    assert "2 trials failed: 2 × ValueError" in repr(experiment)
    assert ".failures" in repr(experiment)


def test_a_trial_that_is_retried_with_success_is_no_failure():
    events = list(example(trials=2, reports=2, failing=0))
    number = next(at for at, event in enumerate(events) if isinstance(event, TrialAdded))
    failure = AttemptFailed(0, events[number].time, error="ValueError: once", traceback="", final=False)
    events.insert(number + 2, failure)
    assert any(isinstance(event, TrialEnded) for event in events)
    experiment = replay(events)
    assert experiment.failures.empty
    assert "failed" not in repr(experiment)


def test_ten_thousand_failures_are_grouped_quickly():
    one = failed_by("chained(0)")
    states = [state(number, f"{one.error} {number}", f"{one.traceback} {number}") for number in range(10_000)]
    began = time.process_time()
    (group,) = group_failures(states)
    assert len(group.trials) == 10_000
    assert time.process_time() - began < 5
    began = time.process_time()
    group_failures(states)
    assert time.process_time() - began < 0.5
