"""nbtune.spec.options.condition: conditions as text mean what they mean in Python, and nothing else is accepted."""

import math
import pickle
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.result import AUTO_RESULT_KEYS

from nbtune.spec.options.condition import metrics_of, parse_condition
from nbtune.spec.options.plateau import ExperimentPlateau, Plateau

NAMES = ("loss", "acc", "n")
NUMBERS = st.one_of(
    st.integers(-20, 20),
    st.booleans(),
    st.floats(-10, 10),
    st.sampled_from([math.nan, math.inf, -math.inf, 10**400, 1e308]),
)


@st.composite
def numbers(draw: st.DrawFn, depth: int = 2) -> str:
    if depth == 0 or draw(st.booleans()):
        return draw(st.one_of(st.sampled_from(NAMES), st.integers(0, 9).map(str), st.floats(0, 9).map(repr)))
    part = numbers(depth=depth - 1)
    operator = draw(st.sampled_from(["+", "-", "*", " / "]))
    left, right = draw(part), draw(part)
    return draw(st.sampled_from([f"{left}{operator}{right}", f"({left}{operator}{right})", f"-{left}", f"+({left})"]))


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        count = draw(st.integers(1, 3))
        operators = [draw(st.sampled_from([" < ", "<=", " > ", ">=", "==", " != "])) for _ in range(count)]
        return draw(numbers()) + "".join(operator + draw(numbers()) for operator in operators)
    part = conditions(depth=depth - 1)
    left, right, word = draw(part), draw(part), draw(st.sampled_from(["and", "or"]))
    return draw(st.sampled_from([f"{left} {word} {right}", f"({left} {word} {right})", f"not {left}", f"not ({left})"]))


@given(conditions(), st.fixed_dictionaries(dict.fromkeys(NAMES, NUMBERS)))
def test_a_condition_is_true_where_python_says_so(text, values):
    reached = bool(parse_condition(text).reached(values, {}))
    try:
        expected = bool(eval(text, {}, dict(values)))
    except ArithmeticError:
        return  # it is neither true nor false; that it does not raise is all that is required
    assert reached is expected


@given(
    conditions(),
    st.dictionaries(st.sampled_from(NAMES), st.one_of(NUMBERS, st.none(), st.text(), st.lists(st.integers()))),
)
def test_values_of_any_kind_never_raise(text, values):
    condition = parse_condition(text)
    reached = condition.reached(values, {})
    assert pickle.loads(pickle.dumps(condition)).reached(values, {}) == reached
    assert not reached or parse_condition(reached).reached(values, {}), "what is named is true itself"


@given(st.text())
def test_any_other_text_is_refused_with_a_message(text):
    with suppress(ValueError):
        assert parse_condition(text).reached({}, {}) is not None


def holds(text, /, **values):
    return bool(parse_condition(text).reached({name.replace("_", "/"): value for name, value in values.items()}, {}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loss > 1", False),
        ("not loss > 1", False),  # neither true nor false
        ("loss > 1 or a == 1", True),
        ("not (loss > 1 and a == 2)", True),
        ("loss > 1 and a == 2", False),
        ("a / 0 > 1 or a / 0 <= 1", False),
        ("0 < a < loss", False),
        ("not 2 < a < loss", True),
        ("text >= 1 or not text >= 1", False),
    ],
)
def test_a_comparison_without_a_value_is_neither_true_nor_false(text, expected):
    assert holds(text, a=1, text="1") is expected


def test_nan_compares_as_in_python():
    assert holds("loss != loss", loss=math.nan)
    assert not holds("loss < 1 or loss >= 1", loss=math.nan)


def test_names_of_metrics():
    assert holds("val/loss < 1 and 'val/loss' < 1", val_loss=0)
    assert holds("val/loss/2 == 3", val_loss=6)
    assert holds("a / b == 2", a=4, b=2)
    assert parse_condition("a/b > 1").names == {"a/b"}
    assert parse_condition("a /b > 1").names == {"a", "b"}
    assert parse_condition("'f1 @ 10' > .5 and \"x/y z\" < 2e5/k").names == {"f1 @ 10", "x/y z", "k"}
    assert parse_condition("größe/λ > 1").names == {"größe/λ"}
    assert metrics_of(parse_condition("a > 1 or iterations > 3 or time_total_s > 2 or config/lr > 1")) == ["a"]
    assert metrics_of({"loss": 1, "iterations": 2}) == ["loss"]
    assert metrics_of(max) == metrics_of(None) == []
    numeric = {*AUTO_RESULT_KEYS} - {"hostname", "node_ip", "pid", "date", "checkpoint_dir_name"}
    assert metrics_of(dict.fromkeys(numeric, 1)) == []


def test_what_is_reached_is_named():
    either = parse_condition("acc >= .99 or val/loss<0.1 or plateau(loss, 5)")
    (plateau,) = either.plateaus
    assert either.reached({"acc": 1, "val/loss": 0}, {plateau: False}) == "acc >= 0.99 and val/loss < 0.1"
    assert either.reached({}, {plateau: True}) == "plateau(loss, 5)"
    assert either.reached({}, {plateau: None}) == ""
    assert parse_condition("a > 1 or (b > 1 or (c > 1 or d > 1))").reached({"b": 2, "d": 2}, {}) == "b > 1 and d > 1"
    both = parse_condition("'my acc' > 1 and (iterations > 3 or x > 1)")
    assert both.reached({"my acc": 2, "iterations": 4}, {}) == "'my acc' > 1 and (iterations > 3 or x > 1)"


def test_plateaus():
    text = "plateau(val/loss, 5, std=1, grace=10) and not plateau('a b', 3)"
    assert parse_condition(text).plateaus == {Plateau("val/loss", 5, 1.0, 10), Plateau("a b", 3, 0.01, 3)}
    of_all = parse_condition("experiment_plateau(loss, 5) or experiment_plateau(acc, 9, std=1, patience=2, mode='max')")
    expected = {ExperimentPlateau("loss", 5, 0.001, 0, ""), ExperimentPlateau("acc", 9, 1.0, 2, "max")}
    assert of_all.plateaus == expected
    assert of_all.names == {"loss", "acc"}
    plain = parse_condition("(iterations > 3 or experiment_plateau(val/loss, 5, mode=min)) or a > 1")
    assert plain.names == {"iterations", "val/loss", "a"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loss", "expected a comparison such as accuracy >= 0.99, got loss"),
        ("", "cannot be read"),
        ("a > 1, b > 2", "join conditions with and, or"),
        ("val.loss > 1", "the metric val.loss is written val/loss if it is nested"),
        ("a in b", "'in' is not allowed in a in b"),
        ("a ** 9 > 1", "expected a metric or a number (+ - * / are allowed), got a ** 9"),
        ("a > 1j", "got 1j"),
        ("max(a, b) > 1", "max(a, b) is no number: plateau(…) is a condition, and nothing else is called"),
        ("a > 1 or f(x)", "only plateau(…) and experiment_plateau(…) can be called, got f(x)"),
        ("plateau(loss, 5) > 1", "plateau(loss, 5) is no number"),
        ("plateau(loss)", "expected plateau(METRIC, N, std=0.01, grace=N), got plateau(loss)"),
        ("plateau(loss, 1)", "at least 2"),
        ("plateau(3, 3)", "expected plateau(METRIC, N, std=0.01, grace=N)"),
        ("experiment_plateau(loss)", "expected experiment_plateau(METRIC, N, std=0.001, patience=0, mode=min), got"),
        ("experiment_plateau(loss, 3, mode=least)", "expected experiment_plateau(METRIC, N"),
        ("experiment_plateau(loss, 3, grace=3)", "expected experiment_plateau(METRIC, N"),
        ("experiment_plateau(loss, 1)", "the number of the best values that are compared, at least 2"),
        ("experiment_plateau(loss, 3, patience=-1)", "expected experiment_plateau("),
        ("not experiment_plateau(loss, 3)", "experiment_plateau(loss, 3) ends the experiment, and not a trial"),
        ("a > 1 and (b > 1 or experiment_plateau(loss, 3))", "it stands by itself, or beside an or"),
        ("plateau(loss, 2, std=0)", "std is a number > 0"),
        ("plateau(loss, 2, patience=3)", "expected plateau(METRIC, N, std=0.01, grace=N)"),
        ("plateau(loss, n)", "expected plateau(METRIC, N, std=0.01, grace=N)"),
        ("(a > 1) + 1 > 2", "expected a metric or a number"),
        ("a > 1 if b > 1 else c", "expected a comparison"),
        ("lambda > 1", "write a metric whose name is no Python name in quotes"),
        ("__import__('os').system('x') > 1", "nothing else is called"),
        ("+".join(["a"] * 500) + " > 1", "nested too deeply"),
        ("(" * 5000 + "a", "cannot be read"),
        ("not " * 100_000 + "a > 1", "cannot be read"),
    ],
)
def test_everything_else_is_refused(text, expected):
    with pytest.raises(ValueError) as caught:
        parse_condition(text)
    assert expected in str(caught.value)
