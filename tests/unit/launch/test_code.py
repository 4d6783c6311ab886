"""nbtune.launch.code: the present code of an experiment, compared with the stored one, or packed in its place."""

import itertools
import linecache

import pytest

import nbtune
from nbtune.engine.storage.launch_spec import Launch
from nbtune.engine.storage.storage import Storage
from nbtune.engine.trial.payload import unpack
from nbtune.engine.trial.program import call
from nbtune.errors import ExperimentError, SpecError
from nbtune.launch import code as module
from nbtune.launch.code import choose_code, remember, remember_start
from nbtune.launch.prepare import prepare_cell, prepare_function

SPACE = {"x": nbtune.uniform(0, 1)}
OPTIONS = {"name": "digits", "metric": "loss", "mode": "min"}
numbers = itertools.count()


class Notebook:
    """Cells that are run one after another, the experiments that they start, and what was printed."""

    def __init__(self, monkeypatch):
        self.names = {"__name__": "__main__", "nbtune": nbtune, "report": nbtune.report}
        self.said, self.id = [], None
        for name in ("_latest", "_latest_of_cell", "_started"):
            monkeypatch.setattr(module, name, {})
        monkeypatch.setattr(module, "say", self.said.append)
        monkeypatch.setattr(module, "cell_id", lambda: self.id)
        monkeypatch.setattr(module, "_variables", lambda: self.names)

    def run(self, text):
        filename = f"<ipython-input-{next(numbers)}>"
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        exec(compile(text, filename, "exec"), self.names)

    def tune_cell(self, text, line="digits --metric loss --mode min"):
        filename = f"<ipython-input-{next(numbers)}>"
        prepared = prepare_cell(text, OPTIONS, self.names, magic=f"%%tune {line}", filename=filename)
        remember(prepared)
        return started(prepared)

    def tune(self, expression="train", **options):
        prepared = prepare_function(eval(expression, self.names), SPACE, {**OPTIONS, **options})
        remember(prepared)
        return started(prepared)


def started(prepared, identifier="1"):
    """What the folder of an experiment has that was started."""
    remember_start(identifier, prepared.origin)
    return Launch(
        prepared.spec,
        prepared.space,
        prepared.packed.data,
        0,
        "digits",
        Storage(""),
        None,
        {"id": identifier, "source": prepared.source},
        version=prepared.packed.version,
        variable=prepared.origin.variable,
    )


def loss(code):
    """The loss that new code reports for x = 1."""
    return call(unpack(code.data, lambda position: None), {"x": 1.0})["loss"]


@pytest.fixture
def notebook(monkeypatch):
    return Notebook(monkeypatch)


def forget():
    """Start another kernel, in which cells may be run again."""
    module._started.clear()
    module._latest.clear()
    module._latest_of_cell.clear()


def resume(launch, wanted="stored"):
    return choose_code(launch, {"name": "digits", "id": launch.metadata["id"]}, wanted)


def expect_change(notebook, launch, names, *lines):
    """Resuming goes on with the stored code and tells what has changed."""
    notebook.said.clear()
    chosen = resume(launch)
    assert chosen.code is None
    (text,) = notebook.said
    sentence, _, diff = text.partition("\n")
    assert sentence == (
        f'digits goes on with its stored code; changed since: {names}. digits.resume(code="new") takes the present code.'
    )
    for line in lines:
        assert line in diff.splitlines()
    assert chosen.metadata["code"] == f"it runs its stored code; changed since in the notebook: {names}"


def test_nothing_is_said_if_nothing_has_changed(notebook):
    notebook.run("def helper(x):\n    return x")
    notebook.run("def train(x):\n    report(loss=helper(x))")
    launch = notebook.tune()
    notebook.run("# moved\ndef train(x):\n    # the same\n    report(loss=helper(x))")
    chosen = resume(launch)
    assert (chosen.code, chosen.metadata["code"], notebook.said) == (None, "", [])


def test_an_edited_function(notebook):
    notebook.run("def train(x):\n    return {'loss': x}")
    launch = notebook.tune()
    notebook.run("def train(x):\n    return {'loss': 2 * x}")
    expect_change(notebook, launch, "train", "-    return {'loss': x}", "+    return {'loss': 2 * x}")
    chosen = resume(launch, "new")
    assert loss(chosen.code) == 2
    assert "2 * x" in chosen.code.metadata["source"]
    assert chosen.code.metadata["code"].startswith("its code was replaced (train)")
    replaced = launch.with_code(chosen.code)
    notebook.said.clear()
    assert resume(replaced).metadata["code"] == chosen.code.metadata["code"], "the remark stays"
    assert not notebook.said


def test_an_edited_helper_and_value_of_another_cell(notebook):
    notebook.run("SCALE = 1\nclass Model:\n    def f(self, x):\n        return SCALE * x")
    notebook.run("def helper(x):\n    return Model().f(x)\ntable = {'helper': helper}")
    notebook.run("def train(x):\n    return {'loss': table['helper'](x)}")
    launch = notebook.tune()
    notebook.run("SCALE = 3")
    expect_change(notebook, launch, "the value of SCALE")
    notebook.run("class Model:\n    def f(self, x):\n        return SCALE * x + 1")
    expect_change(notebook, launch, "Model and the value of SCALE", "+        return SCALE * x + 1")
    assert loss(resume(launch, "new").code) == 4


def test_an_edited_cell_and_its_helper(notebook):
    notebook.run("def helper(x):\n    return x")
    cell = "x: uniform(0, 1) = 0.5\nloss = helper(x)\nreport(loss=loss)"
    launch = notebook.tune_cell(cell)
    notebook.run("loss = 3.0")
    assert not resume(launch).metadata["code"], "the cell sets the variable itself"
    notebook.run("def helper(x):\n    return x + 1")
    expect_change(notebook, launch, "helper", "-    return x", "+    return x + 1")
    remember(prepare_cell(cell.replace("helper(x)", "helper(x) * 3"), OPTIONS, notebook.names))
    expect_change(notebook, launch, "the cell, helper", "+loss = helper(x) * 3")
    code = resume(launch, "new").code
    unpacked = unpack(code.data, lambda position: None)
    assert b"helper(x) * 3" in code.data
    assert unpacked.namespace["helper"](1) == 2


def test_a_cell_is_found_by_its_id_before_its_name(notebook):
    notebook.id = "first"
    first = notebook.tune_cell("x: uniform(0, 1)\nreport(loss=x)")
    notebook.id = "second"
    notebook.tune_cell("x: uniform(0, 1)\nreport(loss=2 * x)")
    notebook.id = "first"
    remember_start("1", module._latest_of_cell["first"])
    assert not resume(first).metadata["code"]
    notebook.said.clear()
    remember(prepare_cell("x: uniform(0, 1)\nreport(loss=3 * x)", OPTIONS, notebook.names))
    expect_change(notebook, first, "the cell", "+report(loss=3 * x)")


def test_the_options_in_the_magic_line_are_no_code(notebook):
    launch = notebook.tune_cell("x: uniform(0, 1)\nreport(loss=x)")
    remember(prepare_cell("x: uniform(0, 1)\nreport(loss=x)", OPTIONS, notebook.names, magic="%%tune digits --cpus 2"))
    assert not resume(launch).metadata["code"]


def test_a_closure(notebook):
    notebook.run("def make(k):\n    def train(x):\n        return {'loss': k * x}\n    return train\ntrain = make(2)")
    launch = notebook.tune()
    notebook.run("train = make(5)")
    expect_change(notebook, launch, "the value of k in train")
    assert loss(resume(launch, "new").code) == 5
    notebook.run("def make(k):\n    def train(x):\n        return {'loss': k + x}\n    return train\ntrain = make(2)")
    expect_change(notebook, launch, "make", "+        return {'loss': k + x}")
    assert loss(resume(launch, "new").code) == 3


def test_a_closure_without_a_variable(notebook):
    notebook.run("def make(k):\n    def train(x):\n        return {'loss': k * x}\n    return train")
    launch = notebook.tune("make(2)")
    assert not resume(launch).metadata["code"]
    notebook.run("def make(k):\n    def train(x):\n        return {'loss': k + x}\n    return train")
    expect_change(notebook, launch, "make", "+        return {'loss': k + x}")
    with pytest.raises(ExperimentError, match=r"train was made by an earlier text of make: .* train = make\(…\)"):
        resume(launch, "new")
    notebook.run("train = make(2)")
    assert loss(resume(launch, "new").code) == 3


def test_another_kernel_has_the_function_or_not(notebook):
    notebook.run("def train(x):\n    return {'loss': x}")
    launch = notebook.tune()
    forget()
    del notebook.names["train"]
    assert not resume(launch).metadata["code"]
    with pytest.raises(ExperimentError, match="this kernel has no function train: define it"):
        resume(launch, "new")
    notebook.run("def train(x):\n    return {'loss': 7 * x}")
    expect_change(notebook, launch, "train", "+    return {'loss': 7 * x}")
    assert loss(resume(launch, "new").code) == 7


def test_another_kernel_has_the_cell_or_not(notebook):
    cell = "x: uniform(0, 1)\nreport(loss=x)"
    launch = notebook.tune_cell(cell)
    forget()
    assert not resume(launch).metadata["code"]
    with pytest.raises(
        ExperimentError, match=r"has run no cell of that name. Run its cell with %%tune digits --dry-run"
    ):
        resume(launch, "new")
    remember(prepare_cell(cell.replace("loss=x", "loss=-x"), OPTIONS, notebook.names))
    expect_change(notebook, launch, "the cell", "+report(loss=-x)")
    assert resume(launch, "new").code is not None


def test_new_code_with_mistakes_or_other_parameters_is_refused(notebook):
    launch = notebook.tune_cell("x: uniform(0, 1)\nreport(loss=x)")
    remember(prepare_cell("x: uniform(0, 1)\ny: uniform(0, 1)\nreport(loss=x)", OPTIONS, notebook.names))
    with pytest.raises(ExperimentError, match="it has x, and the present cell x, y"):
        resume(launch, "new")
    remember(prepare_cell("x: uniform(0, 2)\nreport(loss=x)", OPTIONS, notebook.names))
    notebook.said.clear()
    assert resume(launch, "new").code is not None
    assert any("the search space of digits stays as it was" in text for text in notebook.said)
    notebook.run("def train(x):\n    return {'loss': x}")
    launch = notebook.tune()
    notebook.run("def train(x, y):\n    return {'other': x}")
    with pytest.raises(SpecError) as error:
        resume(launch, "new")
    assert "train() requires y" in str(error.value)
    assert "never reports 'loss'" in str(error.value)
    notebook.said.clear()
    assert resume(launch).code is None
    assert "The present code could not be started" in notebook.said[0]


def test_code_without_a_text_is_compared(notebook):
    exec("def train(x):\n    return {'loss': x}", notebook.names)
    launch = notebook.tune()
    exec("def train(x):\n    return {'loss': x}", notebook.names)
    assert not resume(launch).metadata["code"]
    exec("def train(x):\n    return {'loss': 2 * x}", notebook.names)
    expect_change(notebook, launch, "train")
