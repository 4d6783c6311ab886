"""Domains of every kind for property tests, and what is a value of one, written without nbtune's code."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from nbtune.spec.space.domain import Domain
from nbtune.spec.space.values import same

VALUES: list[Any] = ["a", "b", 1, 2, 2.5, -1, True, False, None, (1, 2), [3], {"x": 1}, "1", "0"]

_numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
_positive = st.floats(1e-6, 1e6, allow_nan=False)
_steps = st.sampled_from([0.05, 0.1, 0.25, 0.5, 1.0, 3.0])
_int_steps = st.sampled_from([1, 2, 3, 8])


def _domain(kind: str, **arguments: Any) -> Domain:
    return Domain(kind, arguments)


@st.composite
def _between(draw: Any, numbers: Any, kind: str) -> Domain:
    lower, upper = sorted([draw(numbers), draw(numbers)])
    upper = upper if upper > lower else lower + 1
    return _domain(kind, lower=lower, upper=upper)


@st.composite
def _stepped(draw: Any, kind: str, steps: Any, first: int) -> Domain:
    """Bounds that are multiples of the step, as Ray Tune requires."""
    q, low, size = draw(steps), draw(st.integers(first, 30)), draw(st.integers(1, 40))
    as_number = int if "int" in kind else float
    lower, upper = (as_number(Fraction(str(q)) * multiple) for multiple in (low, low + size))
    return _domain(kind, lower=lower, upper=upper, q=q)


DOMAINS: dict[str, st.SearchStrategy[Domain]] = {
    "uniform": _between(_numbers, "uniform"),
    "loguniform": _between(_positive, "loguniform"),
    "quniform": _stepped("quniform", _steps, -30),
    "qloguniform": _stepped("qloguniform", _steps, 1),
    "randn": st.builds(lambda mean, sd: _domain("randn", mean=mean, sd=sd), _numbers, st.floats(1e-3, 1e3)),
    "qrandn": st.builds(lambda mean, q: _domain("qrandn", mean=mean, sd=2.0, q=q), st.floats(-9, 9), _steps),
    "randint": _between(st.integers(-1000, 1000), "randint"),
    "qrandint": _stepped("qrandint", _int_steps, -30),
    "lograndint": _between(st.integers(1, 5000), "lograndint"),
    "qlograndint": _stepped("qlograndint", _int_steps, 1),
    "choice": st.lists(st.sampled_from(VALUES), min_size=1, max_size=6).map(lambda v: _domain("choice", categories=v)),
}
"""Kind -> domains of this kind."""


def is_value(domain: Domain, value: Any) -> bool:
    """Tell whether a value is exactly one that Ray Tune's own sampler could have drawn: its type, grid and bounds."""
    arguments, kind = domain.arguments, domain.kind
    if kind == "choice":
        return any(same(value, category) for category in arguments["categories"])
    if type(value) is not (int if "int" in kind else float) or not math.isfinite(value):
        return False
    if (q := arguments.get("q")) is not None and value != round(value / q) * q:
        return False
    if "randn" in kind:
        return True
    is_open = "int" in kind and q in (None, 1)  # the upper bound of integers is exclusive without a step
    slack = 0 if q is None or "int" in kind else 1e-9 * max(1.0, abs(arguments["upper"]))  # 3 * 0.1 is above 0.3
    return bool(arguments["lower"] - slack <= value <= arguments["upper"] - is_open + slack)
