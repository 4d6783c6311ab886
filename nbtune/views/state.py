"""The head of the dashboard as one dictionary: name, state, counts, best, times; see widgets/README.md."""

from __future__ import annotations

import time
from typing import Any

from nbtune.store import ENDED, Store, flat
from nbtune.views.text import number

__all__ = ["head_state", "time_left"]

_SHOWN = 200  # characters of a value
_PARAMETERS = 24  # how many of the best trial's


def head_state(store: Store) -> dict[str, Any]:
    """Return what the head shows of an experiment."""
    facts = store.facts
    over, total = store.progress()
    live = store.status not in ENDED
    return {
        "name": str(facts.get("name", "experiment")),
        "status": store.status,
        "over": over,
        "total": total,
        "counts": {status: count for status, count in store.counts.items() if count},
        "best": _best(store),
        "elapsed": store.elapsed(),
        "left": time_left(store) if live else None,
        "at_once": facts.get("concurrent"),
        "hint": _hint(store),
        "live": live,
        "gone": f"What was reported is kept. In a new kernel: %tune load {facts['path']}" if facts.get("path") else "",
    }


def _best(store: Store) -> dict[str, Any] | None:
    best, metric = store.best(), store.metric
    if best is None or metric is None:
        return None
    params = [[name, number(value)[:_SHOWN]] for name, value in flat(best.config)]
    value = number(best.metrics[metric])
    return {"metric": metric, "value": value, "trial": best.number, "params": params[:_PARAMETERS]}


def time_left(store: Store, now: float | None = None) -> float | None:
    """Return the seconds that may be left, or None: from how long the trials took that are over.

    Args:
        store: the experiment's state.
        now: seconds since the epoch; the present by default.
    """
    now = time.time() if now is None else now
    states = store.states()
    took = [s.ended - s.started for s in states if s.ended is not None and s.started is not None]
    over, total = store.progress()
    if not took or over >= total:
        return None
    mean = sum(took) / len(took)
    begun = [max(0.0, mean - (now - s.started)) for s in states if s.status == "running" and s.started is not None]
    slots = max(1, len(begun), int(store.facts.get("concurrent") or 1))
    return (sum(begun) + mean * max(0, total - over - len(begun))) / min(slots, total - over)


def _hint(store: Store) -> str:
    if store.facts.get("error"):
        return str(store.facts["error"])
    live = store.status not in ENDED
    if live and not store.counts["running"] and not store.progress()[0]:
        return "starting the trials' processes, which takes a few seconds"
    failed = [state for state in store.states() if state.status == "failed"]
    if failed:
        more = f", and {len(failed) - 1} more failed" if len(failed) > 1 else ""
        return f"trial {failed[0].number} failed: {failed[0].error}{more}"
    if not live and store.best() is None and store.metric is not None:
        return f"no trial has a finite value of {store.metric} as its last"
    if store.facts.get("notes"):
        return "; ".join(map(str, store.facts["notes"]))
    return "running; the first report is still to come" if live and not store.metrics() else ""
