"""Pre-flight: what is wrong is a message, whatever it is."""

import textwrap
import threading

import pytest

from nbtune.engine.trial.payload import describe_captured
from nbtune.errors import SpecError
from nbtune.launch.prepare import prepare_cell, prepare_function


def test_a_function_that_cannot_be_pickled_is_a_message():
    lock = threading.Lock()

    def train(config):
        with lock:
            return {"acc": config["a"]}

    with pytest.raises(SpecError, match="train cannot be sent to the trials: TypeError: cannot pickle"):
        prepare_function(train, {"a": 1}, {})


class Notebook(dict):
    """Functions whose globals are a notebook's variables."""

    def __init__(self, source: str) -> None:
        super().__init__(__name__="__main__")
        exec(textwrap.dedent(source), self)


def test_a_shell_line_does_not_hide_what_else_is_wrong():
    with pytest.raises(SpecError) as caught:
        prepare_cell("!ls\nlr: uniform(2, 1)\nreport(accuracy=lr + nowhere)", {"metric": "acuracy", "mode": "max"}, {})
    told = str(caught.value)
    for part in ("a shell command (!ls)", "lr: ", "'nowhere' is not defined", "did you mean 'accuracy'"):
        assert part in told, part


def test_too_large_a_grid_is_told_with_what_else_is_wrong():
    space = "a: grid_search(range(1000))\nb: grid_search(range(1000))\nreport(accuracy=a + b)"
    with pytest.raises(SpecError) as caught:
        prepare_cell(space, {"metric": "acuracy", "mode": "max"}, {})
    assert "1,000,000 trials" in str(caught.value)
    assert "did you mean 'accuracy'" in str(caught.value)


def test_variable_that_cannot_be_pickled_is_named_if_a_function_uses_it():
    variables = Notebook("""
        import threading
        lock = threading.Lock()
        def inner(): return lock
        def helper(): return inner()
        def train(config): return {"acc": config["a"], "lock": helper()}
    """)
    reason = "cannot be sent to the trials: cannot pickle '_thread.lock' object"
    with pytest.raises(
        SpecError, match=f"lock \\(_thread.lock\\), which inner uses, {reason}. Create lock inside inner"
    ):
        prepare_cell("a: uniform(0, 1)\nhelper()\nreport(acc=a)", {}, variables)
    with pytest.raises(SpecError, match=f"lock \\(_thread.lock\\), which inner uses, {reason}"):
        prepare_function(variables["train"], {"a": 1}, {}, variables)


def test_what_a_function_takes_along_is_told():
    variables = Notebook("""
        import numpy as np
        big = np.zeros(1_000_000)
        lock = __import__("threading").Lock()
        def train(config): return {"acc": config["a"] * big.sum()}
    """)
    prepared = prepare_function(variables["train"], {"a": 1}, {}, variables)
    told = describe_captured(prepared.packed.captured)
    assert "big  ndarray, 8.0 MB, through the object store" in told
    assert "lock" not in told
