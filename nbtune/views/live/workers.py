"""The workers of a distributed trial, for the table in its detail."""

from __future__ import annotations

import math
from typing import Any

from nbtune.results.columns import ABSENT
from nbtune.results.store import Store
from nbtune.views.live.rows import cell

__all__ = ["workers_of"]


def workers_of(store: Store, trial: int) -> dict[str, Any] | None:
    """Return a trial's workers as a message; see widgets/README.md.

    Args:
        store: the experiment's state.
        trial: the trial's number.

    Returns:
        The message, or None for a trial without workers.
    """
    ranks = store.workers.ranks(trial)
    if not ranks:
        return None
    workers = store.workers.of(trial)
    has_metric = any(store.metric in worker.metrics for worker in workers)
    rows = [
        [
            worker.rank,
            cell(worker.node) if worker.node else "",
            cell(", ".join(worker.gpus)) if worker.gpus else "",
            worker.iteration,
            *(None if math.isnan(one) else one for one in (worker.seconds, worker.waited, worker.cpu)),
            cell(worker.metrics.get(store.metric, ABSENT)) if store.metric else None,
            worker.straggler,
        ]
        for worker in workers
    ]
    return {"ranks": ranks, "metric": store.metric if has_metric else None, "rows": rows}
