"""Values of parameters come back from JSON equal and of their type."""

from __future__ import annotations

import datetime as dt
import json
import math
import pathlib
from collections import OrderedDict
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nbtune.engine.protocol.not_loaded import NotLoaded
from nbtune.engine.protocol.trust import EVERYTHING, NOTHING, Trust
from nbtune.engine.protocol.typed_values import TYPE, from_typed_json, to_typed_json
from nbtune.spec.space.values import label

SCALAR_DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(),
    hnp.complex_number_dtypes(),
    hnp.datetime64_dtypes(),
    hnp.timedelta64_dtypes(),
    hnp.unicode_string_dtypes(),
    hnp.byte_string_dtypes(),
)
HASHABLE: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    st.binary(),
    st.complex_numbers(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.dates(),
    st.datetimes(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.just(torch.float32),
    st.just(pathlib.Path("a/b")),
    SCALAR_DTYPES.flatmap(lambda dtype: hnp.from_dtype(dtype)),
)
VALUES = st.recursive(
    st.one_of(HASHABLE, SCALAR_DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_side=0)))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.sets(HASHABLE, max_size=3),
        st.frozensets(HASHABLE, max_size=3),
        st.dictionaries(st.one_of(HASHABLE, st.just(TYPE)), inner, max_size=3),
        st.dictionaries(st.text(), inner, max_size=3),
    ),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal and of one type, all the way down; NaN equals NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, np.generic):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and bool(torch.equal(one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(a, b) and same(c, d) for (a, c), (b, d) in zip(one.items(), other.items(), strict=True)
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (set, frozenset)):
        return len(one) == len(other) and sorted(map(repr, one)) == sorted(map(repr, other))
    if isinstance(one, (float, complex, Decimal)):
        return repr(one) == repr(other)
    return bool(one == other)


def round_trip(value: Any, trust: Trust = NOTHING) -> Any:
    return from_typed_json(json.loads(json.dumps(to_typed_json(value), allow_nan=False)), trust)


@given(VALUES)
def test_a_value_comes_back_equal_and_of_its_type_without_unpickling(value: Any) -> None:
    back = round_trip(value)
    assert same(value, back), (value, back)


@pytest.mark.parametrize(
    "value",
    [
        {0: 1.0, 1: 5.0},
        {TYPE: "float", "value": "7"},
        {"a": {TYPE: 3}},
        np.float32(0.1),
        np.array([[1, 2]], dtype=">i2"),
        np.array(3.5),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        torch.tensor([1.5, 2.5], dtype=torch.bfloat16),
        torch.tensor(3),
        torch.zeros(0, 2),
        Fraction(1, 3),
        dt.datetime(2026, 1, 2, 3, 4),
        range(1, 9, 2),
        (1, (2, [3, {4}])),
        math.inf,
        "\ud800",
        10**40,
    ],
    ids=repr,
)
def test_examples(value: Any) -> None:
    assert same(value, round_trip(value))


class Custom:
    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Custom) and other.number == self.number

    def __hash__(self) -> int:
        return self.number


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")

    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")


@pytest.mark.parametrize(
    "value",
    [Custom(3), torch.nn.functional.relu, OrderedDict(a=1), np.array([Custom(1)], dtype=object)],
    ids=lambda value: type(value).__name__,
)
def test_an_object_is_unpickled_only_if_it_is_trusted(value: Any) -> None:
    untrusted = round_trip({"x": [value]})["x"][0]
    assert isinstance(untrusted, NotLoaded)
    assert repr(untrusted) == label(value)
    trusted = round_trip({"x": [value]}, EVERYTHING)["x"][0]
    assert type(trusted) is type(value)
    assert np.all(trusted == value)


def test_an_object_that_cannot_be_pickled_or_printed_has_a_text() -> None:
    assert round_trip(Unprintable(), EVERYTHING) == NotLoaded("<Unprintable, whose repr raises RuntimeError>")


def test_a_subclass_of_a_type_of_json_is_not_taken_for_it() -> None:
    assert same(np.float64(0.5), round_trip(np.float64(0.5)))
    assert same(np.str_("a"), round_trip(np.str_("a")))


@pytest.mark.parametrize(
    "value",
    [
        {TYPE: "nothing"},
        {TYPE: "fraction", "value": "1e999999999"},
        {TYPE: "array", "dtype": "O", "shape": [1], "data": ""},
        {TYPE: "array", "dtype": "<f8", "shape": [9], "data": ""},
        {TYPE: "torch.dtype", "dtype": "load"},
        {TYPE: "tuple"},
        {TYPE: ["unhashable"]},
        {TYPE: "decimal", "value": "x"},
    ],
)
def test_damaged_values_raise_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_typed_json(value, EVERYTHING)


def nested(kind: type, depth: int) -> Any:
    value: Any = kind()
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value


@pytest.mark.parametrize("depth", [90, 200, 100_000])
@pytest.mark.parametrize("kind", [list, dict])
def test_values_that_are_nested_deeply(kind: type, depth: int) -> None:
    value = nested(kind, depth)
    decoded = from_typed_json(json.loads(json.dumps(to_typed_json({"x": value, "y": 1}))), EVERYTHING)
    assert decoded["y"] == 1
    assert depth > 200 or decoded["x"] == value


def test_integers_of_any_length() -> None:
    for value in (10**5000, -(2**50_000), [10**4400], {"a": (7**9000,)}):
        assert from_typed_json(json.loads(json.dumps(to_typed_json(value)))) == value
