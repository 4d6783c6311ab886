"""Every search algorithm draws a domain's values from the same set."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nbtune import Space
from nbtune.engine.search.optuna_space import suggest
from nbtune.spec.space.domain import Domain

optuna.logging.set_verbosity(optuna.logging.ERROR)


@st.composite
def domains(draw: st.DrawFn) -> Domain:
    kind = draw(st.sampled_from(["randint", "lograndint", "qrandint", "qlograndint", "quniform", "qloguniform"]))
    log = "log" in kind
    if "int" in kind:
        lower = draw(st.integers(1 if log else -50, 50))
        upper = lower + draw(st.integers(1, 60))
        q: Any = draw(st.integers(1, 9))
    else:
        q = draw(st.sampled_from([0.05, 0.1, 0.25, 0.3]))  # Ray Tune allows multiples of it as bounds only
        first = draw(st.integers(1 if log else -20, 20))
        lower, upper = round(first * q, 9), round((first + draw(st.integers(1, 30))) * q, 9)
    if not kind.startswith("q"):
        return Domain.call(kind, lower, upper)
    first, last = math.ceil(round(lower / q, 9)), math.floor(round(upper / q, 9)) - (kind != "quniform" and q == 1)
    assume(first <= last and (not log or first > 0))
    return Domain.call(kind, lower, upper, q)


def is_value(domain: Domain, value: Any) -> bool:
    if domain.values is not None:
        return type(value) is int and value in domain.values
    lower, upper, q = (domain.arguments[name] for name in ("lower", "upper", "q"))
    is_within = lower - 1e-9 <= value <= upper + 1e-9
    return type(value) is float and is_within and round(value / q) * q == value


@given(domains())
def test_optuna_and_random_search_draw_values_of_the_domain(domain: Domain) -> None:
    space = Space.from_dict({"x": domain})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    by_optuna = [suggest(study.ask(), space.ordered)["x"] for _ in range(30)]
    at_random = space.sample(30, seed=1)["x"].tolist()
    for value in (*by_optuna, *at_random):
        assert is_value(domain, value), (domain, value)
    if domain.values is not None and len(domain.values) <= 3:
        assert set(by_optuna) == set(at_random) == set(domain.values)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("qrandint(1, 64, 8)", {8, 16, 24, 32, 40, 48, 56, 64}),
        ("qrandint(1, 64, 32)", {32, 64}),
        ("quniform(0, 1, 0.5)", {0.0, 0.5, 1.0}),
        ("quniform(0.1, 0.3, 0.1)", {0.1, 0.2, 0.1 * 3}),
    ],
)
def test_examples(text: str, values: set[float]) -> None:
    space = Space.from_cell(f"x: {text}")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    assert {suggest(study.ask(), space.ordered)["x"] for _ in range(100)} == values
    assert set(space.sample(100, seed=1)["x"]) == values
