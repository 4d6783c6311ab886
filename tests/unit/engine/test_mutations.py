"""nbtune.engine.search.schedulers.mutations: what population based training changes stays in its domain."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers.pbt import _explore

import nbtune
from nbtune.engine.search.sampling import Sampler
from nbtune.engine.search.schedulers.mutations import Mutations, on_domain
from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.space.domain import Domain
from nbtune.spec.space.space import Space

ARRAY = np.array([1, 2])
DOMAINS = [
    Domain.call("uniform", -1, 0.3),
    Domain.call("quniform", 0.1, 0.9, 0.1),
    Domain.call("loguniform", 1e-5, 1e-1),
    Domain.call("qloguniform", 0.01, 1, 0.01),
    Domain.call("randn", 0, 1),
    Domain.call("qrandn", 0, 1, 0.5),
    Domain.call("randint", 1, 4),
    Domain.call("randint", -50, 1000),
    Domain.call("qrandint", 5, 100, 5),
    Domain.call("lograndint", 1, 1000),
    Domain.call("qlograndint", 4, 1024, 4),
    Domain.call("choice", [1, True, 1.0, None, "a", (1, 2), {"k": 1}, ARRAY]),
    Domain.call("choice", [0.0, Domain.call("uniform", 0.05, 0.4)]),
    Domain.call("grid_search", [3, 1, 2]),
]


def has(domain: Domain, value: Any) -> bool:
    """Return whether a value is one of a domain: in its bounds, on its grid, of its type."""
    arguments = domain.arguments
    if domain.kind in {"choice", "grid_search"}:
        if any(isinstance(one, Domain) for one in domain.values or []):
            return value == 0.0 or 0.05 <= value <= 0.4
        return any(type(value) is type(one) and np.array_equal(value, one) for one in domain.values or [])
    if type(value) is not (int if "int" in domain.kind else float) or not math.isfinite(value):
        return False
    step, low, high = arguments.get("q"), arguments.get("lower"), arguments.get("upper")
    on_grid = step is None or math.isclose(round(value / step) * step, value, abs_tol=1e-12)
    is_int = "int" in domain.kind and step in {None, 1}
    return on_grid and (low is None or low <= value <= (high - 1 if is_int else high) + 1e-12)


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
@settings(max_examples=40, deadline=None)
@given(
    factors=st.lists(st.floats(0.01, 100), min_size=1, max_size=3),
    resample=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 999),
)
def test_what_ray_changes_again_and_again_stays_in_the_domain(
    domain: Domain, factors: list[float], resample: float, seed: int
) -> None:
    space = Space.from_dict({"a": {"b": 1}, "c": 5}).merged(Space.from_dict({"a": {"x": None}}))
    space = Space(tuple(p if p.name != "a/x" else type(p)("a/x", domain) for p in space.parameters))
    mutations = Mutations(space, None)
    config = Sampler(space, seed).draw()
    assert has(domain, config["a"]["x"])
    for _ in range(5):
        config, _operations = _explore(config, mutations.distributions(), resample, factors, mutations.explorer())
        assert has(domain, config["a"]["x"]), config
        assert (config["a"]["b"], config["c"]) == (1, 5)


@given(
    value=st.floats() | st.integers() | st.sampled_from([1.7e308, -(10**400)]) | st.none() | st.text(max_size=2),
    domain=st.sampled_from([domain for domain in DOMAINS if domain.kind not in {"choice", "grid_search"}]),
)
@settings(max_examples=200, deadline=None)
def test_any_value_is_put_onto_the_domain(value: Any, domain: Domain) -> None:
    assert has(domain, on_domain(domain, value, {}))


def test_a_copy_satisfies_the_constraints() -> None:
    cell, problems = parse_cell("a: uniform(0, 1)\nb: uniform(0, 1)\nrequire(a + b <= 1)\nreport(y=a)", {})
    assert cell is not None, problems
    explorer = Mutations(cell.space, ("a",)).explorer()
    for _ in range(50):
        changed = explorer({"a": 0.9, "b": 0.6})
        assert changed["b"] == 0.6, "it is not changed"
        assert 0 <= changed["a"] <= 0.4
    with pytest.raises(ValueError, match="none of 1000 samples of a satisfies require"):
        explorer({"a": 0.9, "b": 1.5})


def test_what_depends_on_others_is_not_changed() -> None:
    cell, _ = parse_cell(
        "kind: choice(['a', 'b'])\nx: uniform(0, 1) if kind == 'a' else None\ny: uniform(0, 1)\nreport(z=y)", {}
    )
    assert cell is not None
    mutations = Mutations(cell.space, None)
    assert list(mutations.domains) == ["y"]
    (note,) = mutations.notes("pbt")
    assert note == (
        "pbt changes y of a running trial, and not kind, which is one that other parameters depend on, x, which depends"
        " on other parameters"
    )
    (problem,) = Mutations(cell.space, ("x",)).problems("pbt")
    assert problem.message == "pbt cannot change x, which depends on other parameters"


def test_a_function_of_the_user_comes_first() -> None:
    space = Space.from_dict({"n": nbtune.randint(1, 100)})
    explorer = Mutations(space, None).explorer(lambda config: {**config, "n": 1e9, "more": True})
    assert explorer({"n": 5}) == {"n": 99, "more": True}
    with pytest.raises(TypeError, match="custom_explore_fn returned None and not the parameters"):
        Mutations(space, None).explorer(lambda config: None)({"n": 5})  # type: ignore[arg-type,return-value]
