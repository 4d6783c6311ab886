"""nbtune.engine.protocol.metadata: what is recorded of an experiment, through the event log's JSON and back."""

import json

import numpy as np
import pytest

from nbtune.engine.protocol.metadata import decode_metadata, encode_metadata
from nbtune.spec.plan.plan import make_plan
from nbtune.spec.plan.shape import Shape


def through_json(metadata):
    return decode_metadata(json.loads(json.dumps(encode_metadata(metadata))))


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"status": "running", "name": "digits", "trials": 4, "max_concurrent": None, "started": 1.5},
        {"error": None, "traceback": None, "ended": None},
        {"space": {"lr": {"kind": "uniform", "lower": 0.0}}, "notes": ["a"], "versions": {"ray": "2.56"}},
    ],
)
def test_metadata_comes_back_and_only_the_entries_that_were_given(metadata):
    assert through_json(metadata) == metadata


def test_numbers_of_numpy_become_plain():
    assert through_json({"trials": np.int64(3), "options": {"x": np.float32(0.5)}}) == {
        "trials": 3,
        "options": {"x": 0.5},
    }


def test_the_plan_comes_back_as_a_plan():
    plan = make_plan(Shape(({"CPU": 1},)), [{"CPU": 2}], 4)
    assert through_json({"plan": plan}) == {"plan": plan}


def test_an_unknown_entry_of_a_log_is_left_out():
    assert decode_metadata({"status": "running", "facts": 1}) == {"status": "running"}
