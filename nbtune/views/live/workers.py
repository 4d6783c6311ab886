"""The workers of a distributed trial as a message: the table in its row's detail."""

from __future__ import annotations

import math
from typing import Any

from nbtune.results.columns import ABSENT
from nbtune.results.store import Store
from nbtune.views.live.rows import cell

__all__ = ["workers_of"]


def workers_of(store: Store, trial: int) -> dict[str, Any] | None:
    """Return a trial's workers as the browser is told of them, or None; see widgets/README.md."""
    ranks = store.workers.ranks(trial)
    if not ranks:
        return None
    workers = store.workers.of(trial)
    told = any(store.metric in worker.metrics for worker in workers)
    rows = [
        [
            worker.rank,
            cell(worker.node),
            cell(", ".join(worker.gpus)),
            worker.iteration,
            *(None if math.isnan(one) else one for one in (worker.seconds, worker.waited, worker.cpu)),
            cell(worker.metrics.get(store.metric, ABSENT)) if store.metric else None,
            worker.straggler,
        ]
        for worker in workers
    ]
    return {"ranks": ranks, "metric": store.metric if told else None, "rows": rows}
