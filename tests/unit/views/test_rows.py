"""The table as messages."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtune.engine.protocol.events import ExperimentUpdated, TrialAdded, TrialEnded, TrialReported
from nbtune.results.columns import ABSENT
from nbtune.results.store import Store
from nbtune.testing import example
from nbtune.views.live.rows import TableRows, cell
from tests.unit.feed import feed


def added(trial, **config):
    return TrialAdded(trial, 1.0, ray_id=f"t_{trial}", config=config, folder="f")


def reported(trial, step, **metrics):
    return TrialReported(trial, 2.0 + step, step, 0.5 * step, metrics=metrics)


def start(metric="loss", mode="min", **metadata):
    return ExperimentUpdated(time=0.0, metadata={"status": "running", "metric": metric, "mode": mode, **metadata})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, 1),
        (0.5, 0.5),
        (True, True),
        (None, None),
        (ABSENT, ""),
        ("", "''"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (2**60, str(2**60)),
        ("<img src=x>", "<img src=x>"),
        ([1, 2], "[1, 2]"),
        ("x" * 500, "x" * 199 + "…"),
    ],
)
def test_cells(value, shown):
    assert cell(value) == shown
    assert type(cell(value)) is type(shown)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4))
def test_every_cell_is_strict_json(value):
    json.dumps(cell(value), allow_nan=False)


def test_the_first_message_has_everything_and_later_ones_only_changes():
    store = feed(Store(), start(), added(0, lr=0.1), added(1, lr=0.2), reported(0, 1, loss=3.0, extra=1))
    rows = TableRows(store)
    first = rows.message()
    assert first["reset"]
    assert [column["label"] for column in first["columns"]] == [
        "loss",
        "best loss",
        "best at",
        "lr",
        "extra",
        "iterations",
        "time (s)",
    ]
    assert first["rows"] == [
        [0, "pending", 3.0, 3.0, 1, 0.1, 1, 1, 0.5],
        [1, "pending", "", "", "", 0.2, "", 0, ""],
    ]
    assert first["best"] == [0]
    assert rows.message() is None
    feed(store, reported(0, 2, loss=4.0, extra=1))
    second = rows.message()
    assert not second["reset"]
    assert second["rows"] == [[0, "pending", 4.0, 3.0, 1, 0.1, 1, 2, 1.0]]
    assert rows.message(everything=True)["rows"][1][0] == 1


def test_a_new_metric_sends_the_whole_table():
    store = feed(Store(), start(), added(0), added(1), reported(0, 1, loss=1.0))
    rows = TableRows(store)
    rows.message()
    feed(store, reported(1, 1, loss=1.0, other=2))
    message = rows.message()
    assert message["reset"]
    assert len(message["rows"]) == 2


def test_a_parameter_called_like_a_metric_and_its_space():
    space = {
        "loss": {"kind": "loguniform", "text": "loguniform(0.1, 1.0)"},
        "act": {"kind": "choice", "values": ["relu", math.inf]},
    }
    store = feed(Store(), start(space=space), added(0, loss=0.1, act="relu"), reported(0, 1, loss=5.0))
    columns = TableRows(store).message()["columns"][3:]
    first = {"key": "config/loss", "label": "config/loss", "role": "param", "log": True, "choices": None}
    assert columns[0] == {**first, "kind": "float", "space": "loguniform(0.1, 1.0)"}
    assert columns[1]["choices"] == ["relu", "Infinity"]


def test_an_error_gets_a_column():
    store = feed(Store(), *example(trials=3, reports=2))
    message = TableRows(store).message()
    assert message["columns"][-1]["role"] == "error"
    assert message["rows"][2][-1] == "ValueError: the loss is not finite"


@settings(max_examples=40)
@given(st.lists(st.integers(0, 200), max_size=6))
def test_the_messages_add_up_to_the_table(cuts):
    events = list(example(trials=6, reports=5))
    store, known = Store(), {}
    rows = TableRows(store)
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(events)], strict=True):
        if events[begin:end]:
            feed(store, *events[begin:end])
        message = rows.message()
        if message:
            if message["reset"]:
                known.clear()
            known.update({row[0]: row for row in message["rows"]})
    assert list(dict(sorted(known.items())).values()) == TableRows(store).message()["rows"]


def test_a_parameter_with_thousands_of_values_does_not_send_them_with_each_message():
    values = list(range(10_000))
    space = {"n": {"kind": "grid_search", "values": values, "text": f"grid_search({values})"}}
    store = feed(Store(), start(space=space), added(0, n=5))
    (column,) = [one for one in TableRows(store).message()["columns"] if one["label"] == "n"]
    assert (column["kind"], column["choices"], len(column["space"])) == ("any", None, 2000)


def test_by_what_trials_were_stopped():
    metadata = {"options": {"scheduler": "asha(max_t=9)", "time_budget": 5.0}}
    reasons = ["user", "scheduler", "pruned", "experiment"]
    events = [added(trial, lr=0.1) for trial in range(len(reasons))]
    ends = [TrialEnded(i, 9.0, 1, status="stopped", reason=reason) for i, reason in enumerate(reasons)]
    finished = ExperimentUpdated(time=9.0, metadata={"status": "stopped", "started": 0.0, "ended": 9.0})
    store = feed(Store(), start(**metadata), *events, *ends)
    words = ["stopped by you", "stopped by asha", "pruned by its code", "stopped with the experiment"]
    assert TableRows(store).message()["stopped"] == [list(one) for one in enumerate(words)]
    feed(store, finished)
    assert TableRows(store).message()["stopped"][3] == [3, "stopped by the time budget"]
    without = feed(Store(), start(), *events, *ends)
    assert TableRows(without).message()["stopped"][1] == [1, "stopped by the scheduler"]
