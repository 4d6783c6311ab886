"""The marks in the curves as messages: copies of trials, and the rungs of a scheduler."""

from __future__ import annotations

import math
from typing import Any

from nbtune.results.store import Store

__all__ = ["curve_marks"]


def curve_marks(store: Store, metric: str) -> dict[str, list[list[Any]]]:
    """Return the marks in the curves of a metric, as widgets/README.md describes them.

    Args:
        store: the experiment's state.
        metric: the metric.
    """
    copies = []
    for copy in store.lineage.copies() if metric in store.numeric_metrics() else ():
        value = store.reports.value_at(metric, copy.row)
        if isinstance(value, (int, float)) and math.isfinite(value):  # JSON has no other numbers
            copies.append([copy.trial, copy.iteration, copy.time_s, float(value), copy.source, copy.source_iteration])
    return {"copies": copies, "rungs": [list(rung) for rung in store.lineage.rungs()]}
