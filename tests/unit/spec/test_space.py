"""nbtune.spec.space.space: domains, and spaces from Ray Tune's dictionaries."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray import tune

from nbtune.engine.search.to_ray import to_ray
from nbtune.spec.space.domain import MISSING, SPACE_FUNCTIONS, Domain
from nbtune.spec.space.space import Parameter, Space
from nbtune.spec.space.values import label, literal


def domain(text):
    return eval(text, {name: lambda *a, _n=name, **k: Domain.call(_n, *a, **k) for name in SPACE_FUNCTIONS})


VALID = [
    "uniform(0.1, 0.9)",
    "uniform(-1, 1)",
    "quniform(0.0, 1.0, 0.25)",
    "loguniform(0.0001, 0.1)",
    "qloguniform(0.1, 1.0, 0.1)",
    "randn()",
    "randn(1.0)",
    "randn(1.0, 2.0)",
    "randn(sd=2.0)",
    "qrandn(0.0, 2.0, 0.5)",
    "randint(1, 9)",
    "randint(-5, 5)",
    "qrandint(2, 8, 2)",
    "qrandint(2, 8)",
    "lograndint(1, 100)",
    "qlograndint(10, 100, 10)",
    "choice([32, 'a', None])",
    "grid_search([True, False])",
]


@pytest.mark.parametrize("text", VALID)
def test_the_repr_of_a_valid_domain_is_its_call(text):
    assert repr(domain(text)) == text
    assert domain(text) == domain(text)
    assert hash(domain(text)) == hash(domain(text))
    assert domain(text).problem() is None


def test_domains_are_equal_however_arguments_are_passed():
    assert domain("loguniform(upper=1, lower=0.1)") == domain("loguniform(0.1, 1)")
    assert domain("randn(0.0, 1.0)") == domain("randn()")
    assert domain("qrandint(1, 9, q=1)") == domain("qrandint(1, 9)")
    assert domain("loguniform(0.1, 1, 10)") == domain("loguniform(0.1, 1)"), "a base is taken and ignored"
    assert domain("uniform(0, 1)") != domain("uniform(0, 2)")
    assert domain("uniform(0, 1)") != "uniform(0, 1)"


@pytest.mark.parametrize("text", ["uniform(0)", "uniform(0, 1, 2)", "choice()", "uniform(low=0, high=1)"])
def test_arguments_that_do_not_match_the_signature_raise(text):
    with pytest.raises(TypeError):
        domain(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uniform(1, 0)", "uniform(1, 0): lower: must be less than upper (0), got 1"),
        ("uniform(1, 1)", "lower: must be less than upper (1), got 1"),
        ("uniform('0', 1)", "lower: expected a finite number, got '0'"),
        ("uniform(0, None)", "upper: expected a finite number, got None"),
        ("uniform(True, 2)", "lower: expected a finite number, got True"),
        ("uniform(0, float('inf'))", "upper: expected a finite number, got inf"),
        ("uniform(float('nan'), 1)", "lower: expected a finite number, got nan"),
        ("uniform([1, 2], 3)", "lower: expected a finite number, got [1, 2]"),
        ("loguniform(0, 1)", "lower: must be > 0 in a log space, got 0"),
        ("loguniform(-1, 1)", "lower: must be > 0 in a log space, got -1"),
        ("qloguniform(0, 1, 0.1)", "lower: must be > 0 in a log space"),
        ("lograndint(0, 9)", "lower: must be > 0 in a log space"),
        ("randint(1.5, 3)", "lower: expected an integer, got 1.5"),
        ("qrandint(1, 9, 0.5)", "q: expected an integer, got 0.5"),
        ("quniform(0, 1, 0)", "q: must be > 0, got 0"),
        ("quniform(0, 1, -0.1)", "q: must be > 0"),
        ("randn(0, 0)", "sd: must be > 0, got 0"),
        ("qrandn(0, -1, 1)", "sd: must be > 0, got -1"),
        ("choice([])", "categories: expected at least one value, got none"),
        ("grid_search([])", "values: expected at least one value"),
        ("choice(5)", "categories: expected a list of values, got 5"),
        ("choice('abc')", "expected a list of values, got 'abc'"),
        ("grid_search('abc')", "expected a list of values, got 'abc'"),
        ("sample_from(5)", "func: expected a function, got 5"),
    ],
)
def test_an_invalid_domain_has_a_problem(text, message):
    assert message in domain(text).problem()


def test_an_array_as_a_bound_is_a_problem_not_an_exception():
    assert "expected a finite number" in Domain.call("uniform", np.array([1, 2]), 3).problem()
    assert Domain.call("uniform", np.float32(1), np.int64(3)).problem() is None


@pytest.mark.parametrize(
    "text",
    [
        "quniform(0.05, 1.0, 0.1)",
        "quniform(0.1, 1.05, 0.1)",
        "qloguniform(0.15, 1.0, 0.1)",
        "qrandint(1, 9, 2)",
        "qlograndint(10, 95, 10)",
        "qrandint(2, 9, 2)",
        *VALID,
    ],
)
def test_a_valid_domain_is_accepted_by_ray(text):
    found = domain(text)
    try:
        value = to_ray(Space((Parameter("x", found),)))["x"]
    except ValueError:
        assert "multiple of q" in found.problem()
    else:
        assert found.problem() is None
        assert Space.from_dict({"x": value})["x"].domain == found


@pytest.mark.parametrize("values", [(1, 2), {1: "a", 2: "b"}, range(1, 3), np.array([1, 2]), (n for n in (1, 2))])
def test_choice_accepts_any_iterable(values):
    assert domain("choice([1, 2])").values == Domain.call("choice", values).values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("choice([3, 'a'])", [3, "a"]),
        ("grid_search([1, 2])", [1, 2]),
        ("randint(1, 4)", [1, 2, 3]),
        ("lograndint(1, 4)", [1, 2, 3]),
        ("uniform(0, 1)", None),
        ("randn()", None),
    ],
)
def test_values_of_finite_domains(text, values):
    assert domain(text).values == values


@pytest.mark.parametrize(
    "text",
    [
        "randint(1, 6)",
        "lograndint(1, 6)",
        "qrandint(2, 8, 2)",
        "qrandint(2, 8)",
        "qlograndint(10, 50, 10)",
        "qrandint(0, 9, 3)",
        "qrandint(-4, 4, 2)",
    ],
)
def test_the_values_of_a_domain_are_those_that_ray_samples(text):
    drawn = set(to_ray(Space((Parameter("x", domain(text)),)))["x"].sample(size=3000))
    assert drawn == set(domain(text).values)


def test_a_space_is_read_from_ray_tune_domains():
    function = lambda config: 1  # noqa: E731
    space = Space.from_dict(
        {
            "a": tune.uniform(0.1, 0.9),
            "b": tune.quniform(0.0, 1.0, 0.25),
            "c": tune.loguniform(1e-4, 1e-1),
            "d": tune.qloguniform(0.1, 1.0, 0.1),
            "e": tune.randn(1.0, 2.0),
            "f": tune.qrandn(0.0, 2.0, 0.5),
            "g": tune.randint(1, 9),
            "h": tune.qrandint(2, 8, 2),
            "i": tune.lograndint(1, 100),
            "j": tune.qlograndint(10, 100, 10),
            "k": tune.choice([32, 64]),
            "l": tune.grid_search([1, 2]),
            "m": tune.sample_from(function),
        }
    )
    assert {p.domain.kind for p in space.parameters} == set(SPACE_FUNCTIONS)
    for parameter in space.parameters:
        if parameter.domain.kind != "sample_from":
            assert domain(repr(parameter.domain)) == parameter.domain
    assert space["m"].domain.arguments["func"] is function
    assert space.problems() == []
    assert Space.from_dict(to_ray(space)) == space


def test_nested_dictionaries_become_paths():
    space = Space.from_dict({"optimizer": {"lr": tune.uniform(0, 1), "name": "sgd", "more": {"x": 1}}, "empty": {}})
    assert space.names == ("optimizer/lr", "optimizer/name", "optimizer/more/x", "empty")
    assert space["optimizer/name"].domain == "sgd"
    assert space["empty"].domain == {}


def test_constants_are_kept():
    values = [1, None, "a", [1, 2], object()]
    space = Space.from_dict({str(n): value for n, value in enumerate(values)})
    assert [p.domain for p in space.parameters] == values


def test_nbtune_domains_are_accepted():
    assert Space.from_dict({"x": domain("uniform(0, 1)")})["x"].domain == domain("uniform(0, 1)")


def test_an_unknown_sampler_is_a_custom_domain():
    own = tune.search.sample.Float(0, 1)
    own.set_sampler(type("Mine", (tune.search.sample.Sampler,), {})())
    space = Space.from_dict({"x": own})
    assert space["x"].domain.kind == "custom"
    assert space["x"].domain.problem() is None
    assert to_ray(space)["x"] is own
    assert repr(space["x"].domain) == repr(own)


def test_grid_size_is_the_product_of_the_grids():
    space = Space.from_dict(
        {"a": tune.grid_search([1, 2]), "b": {"c": tune.grid_search([1, 2, 3])}, "d": tune.choice([1, 2]), "e": 5}
    )
    assert space.grid_size == 6
    assert Space().grid_size == 1


def test_merged_keeps_the_order_and_the_other_domains_take_precedence():
    cell = Space((Parameter("a", domain("uniform(0, 1)"), 0.5, 2), Parameter("b", 1, 7, 3)))
    other = Space((Parameter("c", 3), Parameter("a", domain("uniform(0, 2)"))))
    merged = cell.merged(other)
    assert merged.names == ("a", "b", "c")
    assert merged["a"].domain == domain("uniform(0, 2)")
    assert merged["a"].default == 0.5
    assert merged["b"] == cell["b"]
    assert len(merged) == 3


def test_merged_uses_the_other_default():
    one, two = Space((Parameter("a", 1, 5),)), Space((Parameter("a", 1, None),))
    assert one.merged(two)["a"].default is None


def test_problems_have_the_name_and_line_of_the_parameter():
    space = Space(
        (Parameter("a", domain("uniform(1, 0)"), line=4), Parameter("b", domain("choice([])")), Parameter("c", 1))
    )
    assert [(p.line, p.parameter, p.field, p.code) for p in space.problems()] == [
        (4, "a", "lower", "invalid"),
        (None, "b", "categories", "missing"),
    ]
    assert str(space.problems()[0]) == "line 4: a: uniform(1, 0): lower: must be less than upper (0), got 1"


def test_an_unknown_parameter_raises_key_error():
    with pytest.raises(KeyError):
        Space()["x"]


def test_missing_is_false_and_has_a_short_repr():
    assert not MISSING
    assert repr(MISSING) == "MISSING"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), ("a", "'a'"), (int, "int"), (math.sqrt, "sqrt"), ([1], "[1]"), ("x" * 99, "'" + "x" * 56 + "...")],
)
def test_labels_are_short(value, text):
    assert label(value) == text


VALUES = st.one_of(
    st.integers(-100, 100),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=9),
    st.none(),
    st.booleans(),
)


@settings(max_examples=100)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.lists(VALUES, min_size=1, max_size=5))
def test_the_text_of_a_domain_evaluates_to_the_domain(lower, width, values):
    for found in (
        Domain.call("uniform", lower, lower + width),
        Domain.call("choice", values),
        Domain.call("randn", lower, width),
    ):
        assert domain(found.text(literal)) == found, "not from its repr, which is shortened"
        assert found.problem() is None
