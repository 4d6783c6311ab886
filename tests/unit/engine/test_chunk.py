"""nbtune.engine.protocol.chunk and events: what is encoded is decoded."""

import enum
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import (
    CPU,
    EVENT_TYPES,
    SECONDS,
    WAITED,
    AttemptFailed,
    CheckpointSaved,
    DataRead,
    ExperimentUpdated,
    RungReached,
    TrialAdded,
    TrialEnded,
    TrialPaused,
    TrialQueued,
    TrialReconfigured,
    TrialReported,
    TrialStarted,
    WorkerReported,
    WorkersStarted,
)
from nbtune.engine.protocol.metrics import plain

NUMBERS = st.floats() | st.integers(-(2**63), 2**63 - 1)
BIG = st.integers(-(10**30), 10**30)
VALUES = st.one_of(
    NUMBERS, BIG, st.booleans(), st.none(), st.text(max_size=8), st.lists(st.integers() | st.floats(), max_size=3)
)
METRICS = st.sampled_from(
    ["loss", "val/acc", "kind", "trial", "first", "data", "metric:loss", "", "größe ≤ 1", "a\nb", "\0"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TEXT = st.text(max_size=5)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
REPORTED = {"metrics": st.dictionaries(METRICS, VALUES, max_size=4)}
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "status": TEXT,
        "error": st.none() | TEXT,
        "trials": st.integers(),
        "options": OBJECTS,
        "started": NUMBERS,
    },
)
WORKER = st.fixed_dictionaries(
    {"rank": st.integers(), "node": TEXT, "node_id": TEXT, "pid": st.integers(), "gpus": st.lists(TEXT, max_size=2)}
)
OWN = {
    ExperimentUpdated: {"metadata": METADATA},
    TrialAdded: {
        "ray_id": TEXT,
        "config": OBJECTS,
        "folder": TEXT,
        "by": st.sampled_from(["user", "search"]),
        "configuration": st.integers(-1, 9) | st.sampled_from([None, "x", 2**70]),
        "repeat": st.integers(0, 9),
    },
    TrialStarted: {},
    TrialReported: REPORTED,
    CheckpointSaved: {"path": TEXT},
    AttemptFailed: {"error": TEXT, "traceback": TEXT, "final": st.booleans()},
    TrialEnded: {"status": TEXT, "reason": TEXT},
    TrialPaused: {"reason": TEXT},
    TrialQueued: {},
    WorkersStarted: {"workers": st.lists(WORKER, max_size=2)},
    WorkerReported: {
        **REPORTED,
        "rank": st.integers(0, 2**15 - 1),
        "took": st.dictionaries(st.sampled_from([SECONDS, WAITED, CPU]), st.floats()),
    },
    TrialReconfigured: {
        "config": OBJECTS,
        "source": st.integers(-1, 9),
        "source_iteration": st.integers(0, 99),
        "path": TEXT,
    },
    RungReached: {
        "rung": st.floats(0, 99),
        "unit": TEXT,
        "bracket": st.integers(0, 9),
        "goes_on": st.booleans(),
    },
    DataRead: {
        "worker": st.integers(0, 9),
        "reads": st.dictionaries(TEXT, st.tuples(st.floats(0, 99), st.floats(0, 99), st.floats(0, 99)), max_size=2),
    },
}
COLUMNS = {
    "trial": st.integers(-1, 2**31 - 1),
    "time": st.floats(0, 4e9),
    "iteration": st.integers(0, 2**31 - 1),
    "time_s": st.floats(),
}
EVENTS = st.lists(st.one_of(st.builds(kind, **COLUMNS, **own) for kind, own in OWN.items()), max_size=8)


def fields_of(event):
    """Return an event's fields, with sorted metrics, whose order columns do not preserve."""
    values = vars(event)
    return [(name, sorted(value.items()) if name in {"metrics", "took"} else value) for name, value in values.items()]


def exactly(events):
    """Return a text that tells apart what == does not: 1, 1.0 and True, and all NaN alike."""
    return repr([(type(event), fields_of(event)) for event in events])


def test_the_strategy_has_every_class_of_events():
    assert list(OWN) == list(EVENT_TYPES)


@settings(max_examples=50)
@given(EVENTS, st.integers(0, 10**9))
def test_decoded_events_equal_the_encoded_ones(events, first):
    (chunk,) = decode(encode(first, events))
    assert (chunk.first, len(chunk), chunk.end) == (first, len(events), first + len(events))
    assert exactly(chunk.events()) == exactly(events)


@settings(max_examples=30)
@given(st.lists(EVENTS, max_size=4))
def test_concatenated_chunks_are_decoded_one_by_one(runs):
    data, first = b"", 0
    for events in runs:
        data += encode(first, events)
        first += len(events)
    chunks = decode(data)
    assert [chunk.first for chunk in chunks] == [sum(map(len, runs[:n])) for n in range(len(runs))]
    assert exactly([event for chunk in chunks for event in chunk.events()]) == exactly(
        [event for run in runs for event in run]
    )


@settings(max_examples=50)
@given(EVENTS, st.integers(0, 5), st.integers(-2, 20))
def test_since_and_until_return_a_part(events, first, number):
    (chunk,) = decode(encode(first, events))
    rest = chunk.since(number)
    skip = min(max(number - first, 0), len(events))
    assert (rest.first, rest.end) == (first + skip, chunk.end)
    assert exactly(rest.events()) == exactly(events[skip:])
    start = chunk.until(number)
    assert (start.first, start.end) == (first, first + skip)
    assert exactly(start.events()) == exactly(events[:skip])


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([1, 2], np.int64), ([1.5, 2.5], np.float64), ([True, False], np.bool_), ([math.nan, math.inf], np.float64)],
)
def test_values_of_one_type_are_an_array(values, dtype):
    (chunk,) = decode(encode(0, [TrialReported(metrics={"x": value}) for value in values]))
    assert chunk.metrics["x"][1].dtype == dtype


@pytest.mark.parametrize(
    "values", [[1, "a"], [2**64, 1], ["a", "b"], [None], [1, True], [1, 0.5], [1.5, None], [[1], [2]]]
)
def test_other_values_are_a_list(values):
    (chunk,) = decode(encode(0, [TrialReported(metrics={"x": value}) for value in values]))
    assert chunk.metrics["x"][1] == values
    assert list(map(type, chunk.metrics["x"][1])) == list(map(type, values))


def test_an_incomplete_last_chunk_is_left_out():
    one = encode(0, [TrialAdded(0, ray_id="a", config={}, folder="f"), TrialReported(0, metrics={"loss": 0.5})])
    two = encode(2, [TrialReported(0, metrics={"loss": 0.25, "name": "b"})])
    for length in range(len(one), len(one) + len(two)):
        chunks = decode((one + two)[:length])
        assert chunks[0].end == 2
        assert len(chunks) == 1 or (len(chunks) == 2 and next(chunks[1].events()).metrics["loss"] == 0.25)


def test_an_incomplete_only_chunk_is_left_out():
    data = encode(0, [TrialReported(0, metrics={"loss": 0.5})])
    for length in range(len(data)):
        assert sum(map(len, decode(data[:length]))) in {0, 1}


@settings(max_examples=30)
@given(EVENTS, st.sampled_from([TrialReported, WorkerReported]))
def test_metrics_of_one_class_are_those_of_its_events_only(events, kind):
    (chunk,) = decode(encode(0, events))
    found = {}
    for name, rows, values in chunk.metrics_of(kind):
        for row, value in zip(rows.tolist(), values, strict=True):
            found.setdefault(row, {})[name] = plain(value)
    wanted = {row: dict(e.metrics) for row, e in enumerate(events) if type(e) is kind and e.metrics}
    assert repr({row: sorted(one.items()) for row, one in sorted(found.items())}) == repr(
        {row: sorted(one.items()) for row, one in wanted.items()}
    )


@settings(max_examples=30)
@given(EVENTS, st.sets(st.sampled_from(EVENT_TYPES), min_size=1))
def test_only_events_of_the_given_classes_are_returned_in_order(events, kinds):
    (chunk,) = decode(encode(0, events))
    assert exactly(chunk.events_of(*kinds)) == exactly(event for event in events if type(event) in kinds)
    assert chunk.rows_of(*kinds).tolist() == [row for row, event in enumerate(events) if type(event) in kinds]


def test_nothing_decodes_to_nothing():
    assert decode(b"") == []
    (chunk,) = decode(encode(7, []))
    assert (chunk.first, len(chunk)) == (7, 0)


class Level(enum.IntEnum):
    LOW = 1


class Broken:
    def __repr__(self):
        raise RuntimeError("no repr")


def test_what_json_does_not_know_becomes_its_repr():
    (chunk,) = decode(
        encode(
            0,
            [
                TrialReported(metrics={"x": {1, 2}, "y": Level.LOW}),
                TrialAdded(0, ray_id="a", config={"a": {"b": range(3)}}, folder="f"),
            ],
        )
    )
    assert chunk.metrics["x"][1] == ["{1, 2}"]
    assert chunk.metrics["y"][1] == [1]
    (added,) = chunk.events_of(TrialAdded)
    assert added.config == {"a": {"b": "range(0, 3)"}}


def test_unusual_values_and_names_do_not_affect_others():
    events = [
        TrialReported(metrics={"loss": 0.5, "\ud800": 1, "x": Broken()}),
        TrialAdded(0, ray_id="a", config={"\ud800": "\ud800"}, folder="f"),
        TrialReported(metrics={"loss": 0.25}),
    ]
    (chunk,) = decode(encode(0, events))
    assert chunk.metrics["loss"][1].tolist() == [0.5, 0.25]


def test_plain_converts_numpy_and_torch_values():
    torch = pytest.importorskip("torch")
    assert plain(np.float32(0.5)) == 0.5
    assert type(plain(np.int8(3))) is int
    assert type(plain(np.bool_(True))) is bool
    assert type(plain(np.float64(1))) is float
    assert type(plain(np.str_("a"))) is str
    assert plain(np.array([1, 2])) == [1, 2]
    assert plain(torch.tensor(0.5, requires_grad=True)) == 0.5
    assert plain(torch.tensor([[1, 2]])) == [[1, 2]]
    assert plain({1: (np.int64(2), [np.float32(0.5)])}) == {"1": (2, [0.5])}
    thing = object()
    assert plain(thing) is thing


def test_metrics_that_json_cannot_write_do_not_prevent_others() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    reports = [
        TrialReported(0, iteration=1, metrics={"x": value, "y": 1.5}) for value in (10**5000, [10**5000], deep, 3)
    ]
    (chunk,) = decode(encode(0, reports))
    found = [event.metrics for event in chunk.events_of(TrialReported)]
    assert [metrics["y"] for metrics in found] == [1.5] * 4
    assert found[3]["x"] == 3
    assert all(isinstance(metrics["x"], str) for metrics in found[:3])
