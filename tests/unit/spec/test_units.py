"""nbtune.spec.units: durations, sizes and NAME=NUMBER pairs as text."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtune.spec.units import format_duration, format_size, parse_duration, parse_pairs, parse_size


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90.0),
        (0.5, 0.5),
        ("90", 90.0),
        ("90s", 90.0),
        ("30m", 1800.0),
        ("1h30m", 5400.0),
        ("1H 30M", 5400.0),
        ("1.5h", 5400.0),
        ("2d", 172800.0),
        ("1d2h3m4s", 93784.0),
        ("5m3", 303.0),
        (timedelta(minutes=2), 120.0),
    ],
)
def test_valid_durations_are_parsed(given, seconds):
    assert parse_duration(given) == seconds


@pytest.mark.parametrize(
    "given", ["", "soon", "-5", "5x", "h", "1h half", "0", 0, -1, float("inf"), float("nan"), None, [], timedelta(0)]
)
def test_invalid_durations_are_refused_with_examples(given):
    with pytest.raises(ValueError, match="expected a duration > 0: seconds, or '90s'"):
        parse_duration(given)


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (1024, 1024),
        ("1024", 1024),
        ("10b", 10),
        ("500MB", 500_000_000),
        ("1.5 GB", 1_500_000_000),
        ("2GiB", 2**31),
        ("1kib", 1024),
        ("1TB", 10**12),
        (1e9, 10**9),
    ],
)
def test_valid_sizes_are_parsed(given, size):
    assert parse_size(given) == size
    assert type(parse_size(given)) is int


@pytest.mark.parametrize("given", ["", "big", "2XB", "1GB2MB", "0", 0, -1, "-5MB", float("inf"), None, {}])
def test_invalid_sizes_are_refused_with_examples(given):
    with pytest.raises(ValueError, match="expected a size > 0: bytes, or '500MB'"):
        parse_size(given)


def test_pairs_are_parsed_from_text_and_dictionaries():
    assert parse_pairs("safe_node=1, special = 0.5") == {"safe_node": 1, "special": 0.5}
    assert parse_pairs({"a": "2", "b": 3.0}) == {"a": 2, "b": 3}
    assert type(parse_pairs("a=1.0")["a"]) is int


@pytest.mark.parametrize("given", ["", "a", "a=", "=1", "a=one", "a=1,", 5, None, {"a": "one"}, {"a": None}])
def test_invalid_pairs_are_refused(given):
    with pytest.raises(ValueError, match="expected NAME=NUMBER,…, got "):
        parse_pairs(given)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (9.9, "0:09"), (72, "1:12"), (3599, "59:59"), (3600, "1:00:00"), (7384, "2:03:04")],
)
def test_durations_are_formatted(seconds, text):
    assert format_duration(seconds) == text


@given(st.integers(0, 10**7))
def test_a_formatted_duration_matches_its_seconds(seconds):
    *rest, last = [int(part) for part in format_duration(seconds).split(":")]
    for place, part in enumerate(reversed(rest), start=1):
        last += part * 60**place
    assert last == seconds


@pytest.mark.parametrize(
    ("size", "text"), [(312, "312 B"), (1500, "1.5 kB"), (1_500_000, "1.5 MB"), (2e9, "2.0 GB"), (3.5e12, "3500.0 GB")]
)
def test_sizes_are_formatted(size, text):
    assert format_size(size) == text
