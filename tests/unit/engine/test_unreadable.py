"""nbtune.engine.trial.unreadable: the name of the variable that a trial's process cannot unpickle."""

import pickle
import sys

import pytest

import nbtune
from nbtune.engine.trial.payload import surroundings, unpack
from nbtune.engine.trial.unreadable import not_unpacked
from nbtune.launch.prepare import prepare_cell, prepare_function

OPTIONS = {"metric": "loss", "mode": "min"}
WEIRD = """
import sys
class Weird:
    def __init__(self, name="only_in_the_notebook"):
        self.name, self.lr = name, 1
    def __reduce__(self):
        return getattr, (sys.modules["__main__"], self.name)
lr, batch, text = 0.1, 32, "model"
"""


@pytest.fixture
def notebook(monkeypatch):
    names = {"__name__": "__main__", "nbtune": nbtune, "report": nbtune.report}
    monkeypatch.setattr(sys.modules["__main__"], "only_in_the_notebook", 1, raising=False)
    exec(WEIRD, names)
    return names


def error_of(prepared, monkeypatch):
    """The error of a trial that cannot unpickle a program."""
    monkeypatch.delattr(sys.modules["__main__"], "only_in_the_notebook")
    around = surroundings(prepared.packed.data)
    large = prepared.packed.large
    with pytest.raises(AttributeError) as raised:
        unpack(prepared.packed.data, large.__getitem__)
    error = not_unpacked(raised.value, prepared.packed.data, large.__getitem__, around.names, around.sources)
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), copied.summary) == (type(error), error.summary)
    return error.summary


@pytest.mark.parametrize(
    ("definitions", "cell", "subject"),
    [
        ("model = Weird()", "report(loss=batch * lr * x, m=model)", "model (Weird) "),
        ("model = {'lr': [1, {'batch': Weird()}]}", "report(loss=lr * batch * x, m=model)", "model (dict) "),
        ("def f():\n    return lr * model\nmodel = Weird()", "report(loss=f() * x)", "model (Weird)"),
        ("class A:\n    def f(self): return model\nmodel = Weird()", "report(loss=A().f() * x)", "model (Weird)"),
    ],
)
def test_the_variable_is_named(notebook, monkeypatch, definitions, cell, subject):
    exec(definitions, notebook)
    prepared = prepare_cell(f"x: uniform(0, 1)\n{cell}", OPTIONS, notebook)
    summary = error_of(prepared, monkeypatch)
    assert summary.startswith(subject)
    assert "cannot be read in the trials: AttributeError: module '__main__' has no attribute 'only_in" in summary
    assert "create it inside the cell or function" in summary


def test_the_function_that_uses_the_variable_is_named(notebook, monkeypatch):
    exec("def f():\n    return lr * model\nmodel = Weird()\ndef train(x):\n    return {'loss': f() * batch}", notebook)
    prepared = prepare_function(notebook["train"], {"x": nbtune.uniform(0, 1)}, OPTIONS)
    assert error_of(prepared, monkeypatch).startswith("model (Weird), which f uses, cannot be read in the trials: ")


def test_without_a_variable_only_the_error_is_told(notebook, monkeypatch):
    exec(
        "def make(k):\n    def train(x):\n        return {'loss': k}\n    return train\ntrain = make(Weird())", notebook
    )
    prepared = prepare_function(notebook["train"], {"x": nbtune.uniform(0, 1)}, OPTIONS)
    assert error_of(prepared, monkeypatch).startswith("a variable or the code of the experiment cannot be read in the")
