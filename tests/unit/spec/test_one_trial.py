"""The code of an experiment with the values of one trial."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtune.spec.cell.one_trial import declared_with, plain_cell
from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.space.space import Parameter, Space

CELL = """%%tune digits --metric loss
lr: loguniform(1e-4, 1e-1) = 1e-2  # the rate
optimizer: choice(["sgd", "adam"])
momentum: uniform(
    0.8, 0.99
) if optimizer == "sgd" else None
model: {"layers": randint(1, 4), "size": 3}
require(lr < 0.05)

for step in range(3):
    report(loss=lr * step)
"""
CONFIG = {"lr": 0.003, "optimizer": "sgd", "momentum": 0.9, "model": {"layers": 2, "size": 3}}


def test_a_cell_runs_with_the_values_of_a_trial():
    text = plain_cell(CELL, CONFIG, "trial 3 of digits")
    assert text.splitlines() == [
        "# trial 3 of digits",
        "lr = 0.003  # the rate",
        "optimizer = 'sgd'",
        "momentum = 0.9",
        "model = {'layers': 2, 'size': 3}",
        "",
        "for step in range(3):",
        "    report(loss=lr * step)",
    ]
    reported = []
    exec(text, {"report": lambda **metrics: reported.append(metrics["loss"])})
    assert reported == [0.0, 0.003, 0.006]


def test_a_parameter_that_the_trial_lacks_stays_declared():
    assert "lr: loguniform(1e-4, 1e-1) = 1e-2" in plain_cell(CELL, {"optimizer": "sgd"}, "x")


@pytest.mark.parametrize("source", ["def train(config):\n    return 1\n", "async def train(config): ..."])
def test_a_function_is_called_with_the_values(source):
    assert plain_cell(source, {"lr": 0.1}, "trial 0 of x") == "# trial 0 of x\nconfig = {'lr': 0.1}\ntrain(config)"


@pytest.mark.parametrize("source", ["", "%%tune\n!ls\nlr: uniform(0, 1)", "lambda config: 1", "class T:\n    pass"])
def test_code_that_cannot_be_read_has_no_cell(source):
    assert plain_cell(source, {"lr": 0.1}, "trial 0 of x") == ""


@pytest.mark.parametrize("value", [object(), len, {"a": [object()]}, (int,), {1.5: {2, 3}}])
def test_a_value_that_is_no_code_has_no_cell(value):
    assert plain_cell(CELL, {**CONFIG, "lr": value}, "x") == ""


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner) | st.tuples(inner, inner),
)


@given(PLAIN, PLAIN, PLAIN)
def test_a_cell_binds_exactly_the_values(first, second, third):
    source = (
        "%%tune --space s\nä = 'ö'; lr: uniform(0, 1) = 0.5; b: choice(\n    [1, 2]\n); x = lr, b  # ü\n"
        "require(lr < 1); y = c\nrequire(\n    lr < 2\n)\nrequire(lr < 3)  # z"
    )
    text = plain_cell(source, {"lr": first, "b": second, "c": third}, "t")
    variables = {}
    exec(text, variables)
    assert repr((variables["x"], variables["y"], variables["ä"])) == repr(((first, second), third, "ö"))


def test_numbers_that_are_not_finite():
    variables = {"report": lambda **metrics: None}
    exec(plain_cell(CELL, {**CONFIG, "lr": float("inf"), "momentum": float("nan")}, "x"), variables)
    assert variables["lr"] == float("inf")
    assert variables["momentum"] != variables["momentum"]


def test_lines_that_declare_the_space_with_the_values_of_a_trial():
    space = parse_cell(CELL.partition("\n")[2], {})[0].space
    values = {"lr": 0.003, "optimizer": "sgd", "momentum": None, "model/layers": 2, "model/size": 3}
    text = declared_with(space, values)
    assert text.splitlines()[0] == "lr: loguniform(0.0001, 0.1) = 0.003"
    again, problems = parse_cell(text, {})
    assert not problems
    defaults = {parameter.name: parameter.default for parameter in again.space.parameters}
    assert defaults == values
    assert [parameter.domain for parameter in again.space.parameters] == [one.domain for one in space.parameters]


def test_names_that_are_no_variables_have_no_lines():
    assert declared_with(Space((Parameter("a b", 1),)), {"a b": 1}) == ""
