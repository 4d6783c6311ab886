"""The progress of an experiment: how many of its trials run at once, what limits that, and the remaining time."""

from __future__ import annotations

import time

from nbtune.results.store import Store
from nbtune.spec.plan.eta import TimeLeft
from nbtune.spec.plan.eta import time_left as left

__all__ = ["concurrent_trials", "limited_by", "time_left"]


def concurrent_trials(store: Store) -> int | None:
    """Return how many trials can run at once, as far as is known."""
    bounds = _bounds(store)
    return min(bounds.values()) if len(bounds) > 1 else None


def limited_by(store: Store) -> str:
    """Return what limits how many run at once: a resource, "max_concurrent", or nothing where all of them can."""
    bounds = _bounds(store)
    return min(bounds, key=lambda name: bounds[name])


def time_left(store: Store, now: float | None = None) -> TimeLeft | None:
    """Return the time that may be left, or None: from how long the trials took that are over.

    Args:
        store: the experiment's state.
        now: seconds since the epoch; the present by default.
    """
    budget = (store.metadata.get("options") or {}).get("time_budget")
    return left(
        store.states(),
        store.progress()[1],
        concurrent_trials(store) or 1,
        time.time() if now is None else now,
        budget=budget - store.elapsed() if budget else None,
    )


def _bounds(store: Store) -> dict[str, int]:
    """Return what limits how many trials run at once -> to how many; "" stands for the number of trials."""
    metadata = store.metadata
    plan = metadata.get("plan") or {}
    fit = plan.get("slots") or metadata.get("concurrent") or 0
    if plan.get("autoscaling"):
        fit = max(fit, store.counts["running"])  # there may be more nodes by now
    bounds = {
        "": max(1, store.progress()[1]),
        plan.get("bottleneck") or "cluster": fit,
        "max_concurrent": metadata.get("max_concurrent") or 0,
    }
    return {name: number for name, number in bounds.items() if number}
