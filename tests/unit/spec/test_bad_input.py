"""Bad input: whatever is given, the answer is one message before anything starts, and no other exception."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nbtune
from nbtune.bad_input import invalid_characters, readable_input
from nbtune.errors import NbtuneError, SpecError
from nbtune.launch.prepare import prepare_cell, prepare_function
from nbtune.space import Space
from nbtune.spec.forms.form import Form
from nbtune.spec.forms.form_row import KINDS, Row
from nbtune.spec.options.line import parse_line
from nbtune.spec.options.options import OPTIONS, make_spec
from nbtune.spec.space.expression import safe_expression


def answer(function: Callable[[], Any]) -> str:
    """Return the message that a call is refused with, or an empty text."""
    try:
        function()
    except NbtuneError as error:
        (text := str(error)).encode()
        assert all(len(line) < 3000 for line in text.splitlines())
        return text
    return ""


DEEP = 3000
EXPRESSIONS = {
    "minus": "-" * DEEP + "1",
    "not": "not " * DEEP + "1",
    "brackets": "(" * DEEP + "1" + ")" * DEEP,
    "lists": "[" * DEEP + "]" * DEEP,
    "lambdas": "lambda: " * DEEP + "1",
    "sum": "+".join(["1"] * DEEP),
    "attributes": "a" + ".b" * DEEP,
    "conditions": "1 if 1 else " * DEEP + "1",
    "surrogate": "'\udc80'",
    "null": "'\0'",
    "digits": "9" * 5000,
    "infinite": "1e999",
    "large": "10**400",
    "deep, but allowed": "-" * 80 + "1",
}
CELLS = [
    "x: uniform(0, {})\nreport(s=x)",
    "x: choice([1, {}])\nreport(s=x)",
    "x: uniform(0, 1) = {}\nreport(s=x)",
    "lr: uniform(0, 1)\nx: uniform(0, 1) if lr < {} else 0\nreport(s=x)",
    "lr: uniform(0, 1)\nx: uniform(0, lr + {})\nreport(s=x)",
    "lr: uniform(0, 1)\nrequire(lr < {})\nreport(s=lr)",
    "x: {{'a': choice([1, 2]), 'b': {}}}\nreport(s=1)",
    "x: uniform(0, 1)\ny = {}\nreport(s=x)",
]


@pytest.mark.parametrize("kind", EXPRESSIONS)
def test_an_expression_in_a_cell(kind: str) -> None:
    for cell in CELLS:
        source = cell.format(EXPRESSIONS[kind])
        text = answer(lambda source=source: prepare_cell(source, {}, {}))
        answer(lambda source=source: Space.from_cell(source))
        if kind == "minus":
            line = 2 + next(n for n, part in enumerate(source.split("\n")) if EXPRESSIONS[kind] in part)
            assert text.startswith(f"line {line}: the code is nested too deeply"), text
        if kind in ("surrogate", "null"):
            assert "the cell contains '\\" in text, text
    answer(lambda: safe_expression(EXPRESSIONS[kind], ["lr"]))
    answer(lambda: prepare_cell("x: uniform(0, 1)\nreport(s=x)", dict.fromkeys(OPTIONS, EXPRESSIONS[kind]), {}))
    parse_line(f"a --samples {EXPRESSIONS[kind]} {EXPRESSIONS[kind]}", {})


@pytest.mark.parametrize("kind", EXPRESSIONS)
def test_an_expression_in_a_form(kind: str) -> None:
    form, text = Form.read("x: uniform(0, 1)\nreport(s=x)", {}), EXPRESSIONS[kind]
    for row_kind, fields in KINDS.items():
        for field in (*fields, "when", "otherwise", "default"):
            given = {
                "kind": row_kind,
                "id": "r0",
                "name": "x",
                "lower": "0",
                "upper": "1",
                "values": "1, 2",
                field: text,
            }
            check = form.check([Row(**{"expression": "uniform(0, 1)", **given})], form.line)
            if kind in ("minus", "lambdas", "surrogate", "null"):
                assert check.space is None, (row_kind, field)
    for cell in CELLS:
        with contextlib.suppress(SyntaxError):
            Form.read(cell.format(text), {})
    for field in form.line:
        form.check(form.layout.rows, {**form.line, field: text})


def raising(*names: str, error: type[Exception] = RuntimeError, base: type = object) -> Any:
    """Return an object whose methods with these names raise an exception."""

    def method(self: Any, *args: Any) -> None:
        raise error("no")

    return type("Raising", (base,), dict.fromkeys(names, method))()


METHODS = [
    "__repr__",
    "__str__",
    "__eq__",
    "__hash__",
    "__len__",
    "__bool__",
    "__iter__",
    "__getattr__",
    "__getattribute__",
    "__float__",
    "__int__",
    "__call__",
    "__lt__",
    "__format__",
    "__reduce__",
]
VALUES: dict[str, Any] = {name: raising(name) for name in METHODS}
VALUES |= {f"{name} {base.__name__}": raising(*METHODS[:7], base=base) for base in (dict, list, str) for name in "a"}
VALUES |= {
    "all": raising(*METHODS[:7]),
    "ValueError": raising("__repr__", error=ValueError),
    "a number": raising("__repr__", "__eq__", "__hash__", "__lt__", "__gt__", "__float__", base=float),
    "digits": 10**5000,
    "negative": -(10**400),
    "nan": float("nan"),
    "surrogate": "\udc80",
    "surrogates": {"\udc80": ["\udc80"]},
    "null": "a\0b",
    "complex": 1j,
    "range": range(10**12),
    "long": "x" * 100_000,
}
deep: Any = []
for _ in range(DEEP):
    deep = [deep]
deep_dictionary: Any = {}
for _ in range(DEEP):
    deep_dictionary = {"a": deep_dictionary}
circular: Any = []
circular.append(circular)
VALUES |= {"deep": deep, "deep dictionary": deep_dictionary, "circular": circular}


def train(config: Any) -> None:
    nbtune.report(s=1)


@readable_input()
def spec_of(options: dict[str, Any]) -> None:
    """Read options as every function that starts an experiment does."""
    if problems := make_spec(options)[1]:
        raise SpecError(problems)


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_in_each_place(kind: str) -> None:
    value = VALUES[kind]
    for option in OPTIONS:
        text = answer(lambda option=option: spec_of({option: value}))
        if kind in METHODS:
            assert "RuntimeError: no" in text or "whose repr raises" in text or text.count("got ") or not text
    answer(lambda: prepare_function(train, {"x": 1.0}, dict.fromkeys(OPTIONS, value)))
    answer(lambda: prepare_function(value, {"x": 1}, {}))
    for space in (value, {"x": value}, {"x": {"y": value}}):
        answer(lambda space=space: prepare_function(train, space, {}))
    for function in (nbtune.choice, nbtune.grid_search):
        answer(lambda function=function: prepare_function(train, {"x": function([1, value])}, {"search": "grid"}))
    for cell in ("x: uniform(v, 1)", "x: randint(1, v)", "x: quniform(0, 1, v)", "x: choice([1, 2]) = v",
                 "x: choice([1, v])\ny: uniform(0, 1) if x == v else v\nrequire(x != v)"):  # fmt: skip
        answer(lambda cell=cell: prepare_cell(f"{cell}\nreport(s=x)", {}, {"v": value}))
    for search in ("random", "optuna"):
        options = {"points": [{"x": value}], "search": search, "metric": "s", "mode": "min"}
        answer(lambda options=options: prepare_function(train, {"x": nbtune.choice([1, 2])}, options))


TEXT = st.text(st.characters(codec=None), max_size=60)
PIECES = st.sampled_from(
    ["x: ", "uniform(", "choice([", "loguniform(", "0", "1", "1e-3", "10**9", "-", ", ", ")", "])", " = ", " if ", " else ",
     "lr", "None", "{'a': ", "}", "\n", "require(", "report(s=1)", "'", '"', "\\", "grid_search([", "randint(", "\t", "#"]
)  # fmt: skip


@given(st.lists(st.one_of(PIECES, TEXT), max_size=25).map("".join))
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_text_is_a_cell_a_line_or_an_expression_or_gets_a_message(text: str) -> None:
    for options in ({}, {"search": "grid"}):
        answer(lambda options=options: prepare_cell(text, options, {}))
    parse_line(text, {})
    answer(lambda: safe_expression(text, ["lr"]))
    answer(lambda: Space.from_json(text))


@given(
    st.dictionaries(
        st.sampled_from(sorted(OPTIONS)), st.one_of(TEXT, st.integers(), st.floats(), st.none()), max_size=4
    )
)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_text_or_number_as_an_option(options: dict[str, Any]) -> None:
    _, problems = make_spec(options)
    assert all(str(problem).encode() for problem in problems)


def test_a_grid_does_not_list_a_huge_range() -> None:
    for cell in ("x: randint(0, 10**12)", "x: randint(0, 10**30)", "x: qrandint(0, 10**30, 10)"):
        text = answer(lambda cell=cell: prepare_cell(f"{cell}\nreport(s=x)", {"search": "grid"}, {}))
        assert "a grid lists at most 1,000,000 integers" in text
        assert not answer(lambda cell=cell: prepare_cell(f"{cell}\nreport(s=x)", {}, {})) or "30" in cell


def test_the_place_of_an_invalid_character() -> None:
    assert invalid_characters("a\nb\ud800") == (
        "contains '\\ud800' at position 3: a lone surrogate, which is not valid Unicode. Remove it", 2,
    )  # fmt: skip
    assert invalid_characters("a😀") is None
    assert "the name 'a\\udc80' contains" in answer(lambda: prepare_function(train, {"a\udc80": 1}, {}))
    text = answer(lambda: prepare_function(train, {"a": 1}, {"storage": "/tmp/\udc80"}))
    assert text.startswith("storage=…: '/tmp/\\udc80' contains '\\udc80' at position 5"), text
