"""nbtune.spec.cell.assigned: a search space that is assigned with ``=`` is reported with the line to write."""

import random

import numpy as np
import pytest
import ray.tune
from hypothesis import given
from hypothesis import strategies as st

import nbtune
from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.space.domain import SPACE_FUNCTIONS

DECLARED = "report(a=1)\n"


def problems_of(text, **namespace):
    _, problems = parse_cell(text, namespace)
    return [problem.render() for problem in problems]


def first_words(text, **namespace):
    return [problem.partition(": parameters are")[0] for problem in problems_of(text, **namespace)]


def test_the_message_of_the_issue():
    assert first_words("x = uniform(0, 1)\nreport(a=x)") == ["line 2: write `x: uniform(0, 1)`"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = b = uniform(0, 1)", ["line 2: write `a: uniform(0, 1)`", "line 2: write `b: uniform(0, 1)`"]),
        (
            "a, (b, c) = choice([1]), (3, randn())",
            ["line 2: write `a: choice([1])`", "line 2: write `c: randn()`"],
        ),
        ("[a, b] = [1, randint(1, 3)]", ["line 2: write `b: randint(1, 3)`"]),
        ("x: float = uniform(0, 1)", ["line 2: write `x: uniform(0, 1)`"]),
        ("print(x := uniform(0, 1))", ["line 2: write `x: uniform(0, 1)`"]),
        ("if (x := uniform(0, 1)):\n    pass", ["line 2: write `x: uniform(0, 1)`"]),
        ("x = (y := uniform(0, 1))", ["line 2: write `x: uniform(0, 1)`", "line 2: write `y: uniform(0, 1)`"]),
        ("x = 1\nx += uniform(0, 1)", ["line 3: declare `x_change: uniform(0, 1)` and use x_change"]),
        ("x = uniform(0, 1) if True else None", ["line 2: write `x: uniform(0, 1) if True else None`"]),
        ("m = {'h': choice([1, 2]), 'n': 3}", ["line 2: write `m: {'h': choice([1, 2]), 'n': 3}`"]),
        ("from ray import tune\nx = tune.uniform(0, 1)", ["line 3: write `x: tune.uniform(0, 1)`"]),
        ("import ray.tune as rt\nx = rt.uniform(0, 1)", ["line 3: write `x: rt.uniform(0, 1)`"]),
        ("import ray\nx = ray.tune.uniform(0, 1)", ["line 3: write `x: ray.tune.uniform(0, 1)`"]),
        ("from nbtune import uniform as u\nx = u(0, 1)", ["line 3: write `x: u(0, 1)`"]),
        ("x = nbtune.grid_search([1, 2])", ["line 2: write `x: nbtune.grid_search([1, 2])`"]),
    ],
)
def test_every_kind_of_assignment(text, expected):
    assert first_words(f"{text}\n{DECLARED}", nbtune=nbtune) == expected


@pytest.mark.parametrize(
    "namespace",
    [{"uniform": nbtune.uniform}, {"tune": ray.tune}, {"nbtune": nbtune}, {"ray": ray}, {"u": ray.tune.uniform}],
    ids=", ".join,
)
def test_the_function_may_come_from_the_notebook(namespace):
    (name,) = namespace
    call = {"tune": "tune.uniform", "nbtune": "nbtune.uniform", "ray": "ray.tune.uniform"}.get(name, name)
    assert first_words(f"x = {call}(0, 1)\n{DECLARED}", **namespace) == [f"line 2: write `x: {call}(0, 1)`"]


@pytest.mark.parametrize(
    "text",
    [
        "x = rng.uniform(0, 1)",
        "x = random.uniform(0, 1)",
        "x = own(0, 1)",
        "from random import uniform\nx = uniform(0, 1)",
        "from numpy.random import uniform, choice\nx, y = uniform(0, 1), choice([1, 2])",
        "def choice(values):\n    return values[0]\nx = choice([1, 2])",
        "domain = uniform(0, 1)\nx = domain.sample()",
        "domains = {'a': uniform(0, 1)}\nx = {name: one.sample() for name, one in domains.items()}\ndomains['a'].sample()",
        "inner = choice([1, 2])\nouter = sample_from(lambda c: inner)\nouter.sample()",
        "space = {'a': uniform(0, 1)}\ntune.Tuner(print, param_space=space)",
        "def draw():\n    x = uniform(0, 1)\n    return x.sample()",
        "x = [uniform(0, 1)]",
    ],
)
def test_what_is_no_mistake_is_not_reported(text):
    own = {"rng": np.random.default_rng(), "random": random, "own": lambda a, b: a, "tune": ray.tune}
    assert problems_of(f"lr: uniform(0, 1)\n{text}\nreport(a=lr)", **own) == []


def test_the_other_problems_of_the_cell_are_not_followed_by_one_about_the_missing_parameter():
    from nbtune.errors import SpecError
    from nbtune.launch.prepare import prepare_cell

    with pytest.raises(SpecError) as raised:
        prepare_cell("x = uniform(0, 1)\nreport(a=x)", {"samples": 0}, {})
    assert [problem.option or problem.line for problem in raised.value.problems] == ["samples", 2]


CALLS = {
    "sample_from": "sample_from(lambda config: 1)",
    "choice": "choice([1, 2])",
    "grid_search": "grid_search([1, 2])",
    "randn": "randn(0, 1)",
}


@given(st.sampled_from(sorted(SPACE_FUNCTIONS)), st.sampled_from(["{0} = {1}", "a, {0} = 1, {1}", "{0}: int = {1}"]))
def test_every_space_function_is_found(function, form):
    call = CALLS.get(function, f"{function}(1, 8, 1)" if function.startswith("q") else f"{function}(1, 8)")
    assert first_words(f"{form.format('x', call)}\n{DECLARED}") == [f"line 2: write `x: {call}`"]
