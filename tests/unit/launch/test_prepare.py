"""nbtune.launch.prepare: every mistake is reported before anything starts."""

import textwrap
import threading

import pytest

from nbtune.engine.trial.payload import describe_captured
from nbtune.errors import SpecError
from nbtune.launch.prepare import prepare_cell, prepare_function
from nbtune.launch.start import recorded_options


def test_a_function_that_cannot_be_pickled_is_reported():
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


def test_a_shell_line_is_reported_with_the_other_mistakes():
    with pytest.raises(SpecError) as caught:
        prepare_cell("!ls\nlr: uniform(2, 1)\nreport(accuracy=lr + nowhere)", {"metric": "acuracy", "mode": "max"}, {})
    text = str(caught.value)
    for part in ("a shell command (!ls)", "lr: ", "'nowhere' is not defined", "did you mean 'accuracy'"):
        assert part in text, part


def test_a_large_grid_is_reported_with_the_other_mistakes():
    space = "a: grid_search(range(1000))\nb: grid_search(range(1000))\nreport(accuracy=a + b)"
    with pytest.raises(SpecError) as caught:
        prepare_cell(space, {"metric": "acuracy", "mode": "max"}, {})
    assert "1,000,000 trials" in str(caught.value)
    assert "did you mean 'accuracy'" in str(caught.value)


def test_a_variable_that_cannot_be_pickled_is_named_if_a_function_uses_it():
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


def test_the_variables_that_a_function_captures_are_described():
    variables = Notebook("""
        import numpy as np
        big = np.zeros(1_000_000)
        lock = __import__("threading").Lock()
        def train(config): return {"acc": config["a"] * big.sum()}
    """)
    prepared = prepare_function(variables["train"], {"a": 1}, {}, variables)
    text = describe_captured(prepared.packed.captured)
    assert "big  ndarray, 8.0 MB, through the object store" in text
    assert "lock" not in text


def test_arguments_of_a_function_that_do_not_match_the_space_are_reported():
    def train(lr, hidden):
        return {"acc": lr * hidden}

    with pytest.raises(SpecError, match=r"train\(\) requires hidden, but the space has lr"):
        prepare_function(train, {"lr": 0.1}, {})
    with pytest.raises(
        SpecError, match=r"train\(\) does not take extra; give it one argument, config, or one for each"
    ):
        prepare_function(train, {"lr": 0.1, "hidden": 1, "extra": 2}, {})
    assert prepare_function(train, {"lr": 0.1, "hidden": 1}, {}).program.by_name


@pytest.mark.parametrize(
    "stop", ["accuracy >= 0.9 or los < 1", "los=1", {"los": 1}, "plateau(los, 5) and iterations > 3 and time_s < 1"]
)
def test_a_stop_condition_on_a_metric_that_is_never_reported(stop):
    def train(lr):
        return {"accuracy": lr, "loss": 1}

    cell = "lr: uniform(0, 1)\nreport(accuracy=lr, loss=1)"
    with pytest.raises(SpecError, match=r"stop=….*never reports 'los' \(did you mean 'loss'\?\); it reports accuracy"):
        prepare_cell(cell, {"stop": stop}, {})
    with pytest.raises(SpecError, match="the function never reports 'los'"):
        prepare_function(train, {"lr": 1}, {"stop": stop})
    prepare_cell(f"values = {{'los': 1}}\n{cell}\nreport(**values)", {"stop": stop}, {})


def test_a_valid_stop_condition_is_recorded_as_it_was_written():
    prepared = prepare_cell("lr: uniform(0, 1)\nreport(acc=lr)", {"stop": "acc>=0.9 or iterations > 3"}, {})
    assert recorded_options(prepared.spec)["stop"] == "acc>=0.9 or iterations > 3"
