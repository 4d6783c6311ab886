"""The progress of an experiment: how many of its trials run at once, what limits that, and the remaining time."""

from __future__ import annotations

import time

from nbtune.results.store import Store
from nbtune.spec.plan.eta import TimeLeft
from nbtune.spec.plan.eta import time_left as left

__all__ = ["concurrent_trials", "limited_by", "time_left"]


def concurrent_trials(store: Store) -> int | None:
    """Return how many trials can run at once, or None if that is unknown.

    Args:
        store: the experiment's state.
    """
    bounds = _bounds(store)
    return min(bounds.values()) if len(bounds) > 1 else None


def limited_by(store: Store) -> str:
    """Return what limits the number of concurrent trials: a resource, "max_concurrent", or "" if all can run at once.

    Args:
        store: the experiment's state.
    """
    bounds = _bounds(store)
    return min(bounds, key=lambda name: bounds[name])


def time_left(store: Store, now: float | None = None) -> TimeLeft | None:
    """Return the estimated remaining time, from the durations of the trials that are over; None without any.

    Args:
        store: the experiment's state.
        now: seconds since the epoch; None for the present.
    """
    given = (store.metadata.get("options") or {}).get("time_budget")
    budget = given if isinstance(given, (int, float)) else None
    return left(
        store.states(),
        store.progress()[1],
        concurrent_trials(store) or 1,
        time.time() if now is None else now,
        budget=budget - store.elapsed() if budget else None,
    )


def _bounds(store: Store) -> dict[str, int]:
    """Return limit -> the number of trials that can run at once with it; "" is the number of trials."""
    metadata = store.metadata
    plan = metadata.get("plan")
    fit = (plan and plan.slots) or metadata.get("concurrent") or 0
    if plan and plan.autoscaling:
        fit = max(fit, store.counts["running"])  # there may be more nodes by now
    bounds = {
        "": max(1, store.progress()[1]),
        (plan and plan.bottleneck) or "cluster": fit,
        "max_concurrent": metadata.get("max_concurrent") or 0,
    }
    return {name: number for name, number in bounds.items() if number}
