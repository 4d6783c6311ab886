"""What the preview page plays is what Python says today."""

from __future__ import annotations

import json

from tests.browser.record import RECORDED, record


def test_the_recorded_experiment_is_up_to_date() -> None:
    recorded = json.loads(RECORDED.read_text("utf-8"))
    assert recorded == json.loads(json.dumps(record())), "run `python -m tests.browser.record` and commit the file"
