"""nbtune.engine.search.encoding: what a library searches, and which values come of it."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtune import Space
from nbtune.engine.search.codecs import NATIVE, NotInDomainError
from nbtune.engine.search.encoding import Encoding, encoding_problem
from nbtune.engine.search.sampling import ray_domain
from nbtune.engine.search.tokens import Token, Tokens
from nbtune.spec.space.domain import Domain
from nbtune.spec.space.space import Parameter, nested
from nbtune.spec.space.space import Space as Parameters
from nbtune.spec.space.values import same
from tests.unit.engine.domains import DOMAINS, is_value

SUBSETS = [frozenset(part) for size in range(len(NATIVE) + 1) for part in combinations(sorted(NATIVE), size)]


def native_values(domain: Domain) -> st.SearchStrategy[Any]:
    """Return what a library may propose: everything in its domain, the bounds among it, as NumPy's types too."""
    import numpy as np

    arguments = domain.arguments
    if domain.kind == "choice":
        return st.sampled_from(arguments["categories"]).flatmap(lambda text: st.sampled_from([text, np.str_(text)]))
    if "int" in domain.kind:
        return st.integers(arguments["lower"], arguments["upper"] - 1).flatmap(
            lambda value: st.sampled_from([value, np.int64(value), float(value)])
        )
    low, high = arguments["lower"], arguments["upper"]
    beyond = [low, high, np.nextafter(low, -math.inf), np.nextafter(high, math.inf)]  # libraries round
    return st.floats(low, high) | st.sampled_from(beyond)


@pytest.mark.parametrize("kind", DOMAINS)
@given(data=st.data(), native=st.sampled_from(SUBSETS))
@settings(max_examples=25)
def test_whatever_a_library_proposes_becomes_a_value_of_the_domain(kind: str, data: Any, native: Any) -> None:
    domain = data.draw(DOMAINS[kind])
    tokens = Tokens(Parameters((Parameter("a/x", domain), Parameter("c", 5))))
    encoding = Encoding(tokens.space, native)
    assert set(encoding.native) in ({"a/x"}, {"unused"})
    for part in encoding.native.values():
        assert part.problem() is None
        assert {"loguniform": "log", "randint": "int", "lograndint": "logint"}.get(part.kind, "log") in {*native, "log"}
        ray_domain(part).sample()  # Ray Tune accepts it
    proposed = {name: data.draw(native_values(part)) for name, part in encoding.native.items()}
    decoded = encoding.decode(proposed)
    assert list(decoded) == ["a/x"]
    value = decoded["a/x"]
    assert is_value(domain, value.value if isinstance(value, Token) else value)
    again = encoding.decode(encoding.encode(tokens.encode_config(nested({**decoded, "c": 5}))))["a/x"]
    if "q" in domain.arguments or "int" in kind or kind == "choice":
        assert same(again, value) or again == value
    else:
        assert math.isclose(again, value, rel_tol=1e-6, abs_tol=1e-4 if kind == "randn" else 1e-12)


@pytest.mark.parametrize("kind", [kind for kind in DOMAINS if kind != "choice"])
@given(data=st.data(), native=st.sampled_from(SUBSETS))
@settings(max_examples=15)
def test_a_value_that_is_not_in_the_domain_is_not_told(kind: str, data: Any, native: Any) -> None:
    domain = data.draw(DOMAINS[kind])
    encoding = Encoding(Parameters((Parameter("x", domain),)), native)
    if encoding.native.keys() == {"unused"}:
        return
    wrong: list[Any] = ["a", None, math.nan, math.inf]
    if "randn" not in kind:
        wrong += [domain.arguments["lower"] - 50, domain.arguments["upper"] + 50]
    if "q" in domain.arguments:
        wrong.append(domain.arguments["lower" if "lower" in domain.arguments else "q"] + domain.arguments["q"] * 0.4)
    for value in wrong:
        with pytest.raises(NotInDomainError):
            encoding.encode({"x": value})
    with pytest.raises(NotInDomainError):
        encoding.encode({})


def test_each_multiple_of_a_step_is_as_likely() -> None:
    encoding = Encoding(Space.from_cell("x: quniform(0, 1, 0.25)"), frozenset())
    part = encoding.native["x"]
    shares = [part.arguments["lower"] + (n + 0.5) / 1000 * 5 for n in range(1000)]
    counts: dict[float, int] = {}
    for share in shares:
        value = encoding.decode({"x": share})["x"]
        counts[value] = counts.get(value, 0) + 1
    assert counts == {0.0: 200, 0.25: 200, 0.5: 200, 0.75: 200, 1.0: 200}


DEPENDENT = """\
kind: choice(["sgd", "adam"])
lr: loguniform(1e-4, 1e-1)
momentum: uniform(0.8, 0.99) if kind == "sgd" else None
warmup: quniform(0, 1, 0.5) if kind == "sgd" else randint(2, 5)
peak: uniform(lr, 1)
act: choice([abs, max]) if kind == "adam" else "none"
"""


@given(st.data())
def test_parameters_that_depend_on_others(data: Any) -> None:
    space = Space.from_cell(DEPENDENT)
    encoding = Encoding(Tokens(space).space, NATIVE)
    assert set(encoding.native) == {"kind", "lr", "momentum", "warmup", "peak", "act"}
    native = {name: data.draw(native_values(part)) for name, part in encoding.native.items()}
    point = encoding.decode(native)
    assert set(point) == {"kind", "lr", "momentum", "warmup", "peak", "act"}
    is_sgd = point["kind"] == "sgd"
    assert 0.8 <= point["momentum"] <= 0.99 if is_sgd else point["momentum"] is None
    assert point["warmup"] in (0.0, 0.5, 1.0) if is_sgd else point["warmup"] in (2, 3, 4)
    assert point["lr"] <= point["peak"] <= 1
    assert point["act"] == "none" if is_sgd else point["act"].value in (abs, max)
    again = encoding.decode(encoding.encode(point))
    for name, value in point.items():
        assert again[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), name


@pytest.mark.parametrize(
    ("cell", "native", "reason"),
    [
        ("x: choice([1, 2])", NATIVE - {"choice"}, "a choice has no order"),
        ("x: grid_search([1, 2])", NATIVE, "use choice([...])"),
        ("x: choice([0.0, uniform(0, 1)])", NATIVE, "use two parameters"),
        ("k: choice([1, 2])\nx: choice([k, 3])", NATIVE, "whose values depend"),
        ("k: choice([1, 2])\nx: choice([3, 4]) if k == 1 else uniform(0, 1)", NATIVE, "use two parameters"),
    ],
)
def test_what_cannot_be_searched(cell: str, native: frozenset[str], reason: str) -> None:
    space = Space.from_cell(cell)
    assert reason in str(encoding_problem(space.parameters[-1], native))
