"""nbtune.views.live.marks: copies and rungs in the curves as messages."""

import math

from nbtune.engine.protocol.events import RungReached, TrialReported
from nbtune.results.store import Store
from nbtune.views.live.marks import curve_marks
from tests.unit.feed import feed
from tests.unit.results.test_lineage import FAMILY


def test_each_copy_is_at_its_first_report_with_the_metric() -> None:
    store = feed(Store(), *FAMILY)
    assert curve_marks(store, "y") == {"copies": [[0, 3, 1.5, 3.0, 1, 2], [2, 5, 2.5, 5.2, 0, 4]], "rungs": []}
    assert curve_marks(store, "z")["copies"] == []
    feed(store, TrialReported(1, 3.0, 5, 2.5, metrics={"z": 1.0}))
    assert curve_marks(store, "z")["copies"] == [], "the copies have not reported it"


def test_values_that_are_not_numbers_have_no_mark() -> None:
    store = feed(Store(), *FAMILY[:11], TrialReported(0, 3.0, 3, 1.5, metrics={"y": "text"}))
    assert curve_marks(store, "y")["copies"] == []
    store = feed(Store(), *FAMILY[:11], TrialReported(0, 3.0, 3, 1.5, metrics={"y": math.inf}))
    assert curve_marks(store, "y")["copies"] == [], "JSON has no infinity"


def test_rungs_have_their_counts() -> None:
    rung = RungReached(0, 3.0, 1, rung=2.0, unit="training_iteration", bracket=0, goes_on=False)
    assert curve_marks(feed(Store(), *FAMILY, rung), "y")["rungs"] == [[2.0, "training_iteration", 1, 0]]
