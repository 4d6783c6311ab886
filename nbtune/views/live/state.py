"""The head of the dashboard as one dictionary: name, state, counts, best, times; see widgets/README.md."""

from __future__ import annotations

from typing import Any

from nbtune.engine.storage.storage import default_storage
from nbtune.results.progress import concurrent_trials, limited_by, time_left
from nbtune.results.store import ENDED, Store, flat
from nbtune.spec.plan.shape import format_resources
from nbtune.views.text import number, shown_counts

__all__ = ["head_state"]

_SOON = 5.0  # seconds in which a trial starts that has room
_SHOWN = 200  # characters of a value
_PARAMETERS = 24  # how many of the best trial's


def head_state(store: Store) -> dict[str, Any]:
    """Return what the head shows of an experiment."""
    metadata = store.metadata
    over, total = store.progress()
    live = store.status not in ENDED
    return {
        "name": str(metadata.get("name", "experiment")),
        "status": store.status,
        "over": over,
        "total": total,
        "counts": shown_counts(store),
        "best": _best(store),
        "elapsed": store.elapsed(),
        "left": _left(store) if live else None,
        "concurrent": concurrent_trials(store),
        "limited_by": limited_by(store),
        "workers": str(metadata.get("workers") or ""),
        "max_concurrent": metadata.get("max_concurrent"),
        "hint": _hint(store),
        "live": live,
        "steer": bool(metadata.get("space")) and (live or bool(metadata.get("path"))),
        "again": "" if live else _again(store),
        "gone": _gone(store),
    }


def _again(store: Store) -> str:
    """Return what can be done with an experiment that is over: "resume", "failed" (try those again), or nothing."""
    over, total = store.progress()
    cut = sum(state.reason == "experiment" for state in store.states())
    if not store.metadata.get("path"):
        return ""
    if store.status != "finished" and (over - cut < total or not total):
        return "resume"
    return "failed" if store.counts["failed"] else ""


def _gone(store: Store) -> str:
    """Return what to say when the kernel is gone: how to come back to the experiment."""
    path = str(store.metadata.get("path") or "")
    if not path:
        return ""
    # By its name it is found where experiments are kept unless said otherwise; by its path it is found anywhere.
    usual = path.rpartition("/")[0] == default_storage()
    name = store.metadata.get("name") if usual and store.metadata.get("name") else path
    if store.metadata.get("detached"):
        return f"The experiment goes on without it. In a new kernel: %tune attach {name}"
    return f"The trials have ended with it; what they reported is kept. In a new kernel: %tune resume {name}"


def _best(store: Store) -> dict[str, Any] | None:
    best, metric = store.best(), store.metric
    if best is None or metric is None:
        return None
    params = [[name, number(value)[:_SHOWN]] for name, value in flat(best.config)]
    value = number(best.metrics[metric])
    return {"metric": metric, "value": value, "trial": best.number, "params": params[:_PARAMETERS]}


def _left(store: Store) -> dict[str, float] | None:
    found = time_left(store)
    return None if found is None else {"low": found.low, "likely": found.likely, "high": found.high}


def _hint(store: Store) -> str:
    for told in ("error", "warning"):
        if store.metadata.get(told):
            return str(store.metadata[told])
    live, counts = store.status not in ENDED, store.counts
    if live and counts["paused"] and not counts["running"] and not counts["pending"]:
        return f"{counts['paused']} paused, none running: resume one in the table, or stop"
    if live and not (counts["running"] or counts["paused"]) and not store.progress()[0]:
        return _starting(store)
    failed = [state for state in store.states() if state.status == "failed"]
    if failed:
        more = f", and {len(failed) - 1} more failed" if len(failed) > 1 else ""
        return f"trial {failed[0].number} failed: {failed[0].error}{more}"
    if not live and store.best() is None and store.metric is not None:
        return f"no trial has a finite value of {store.metric} as its last"
    if store.metadata.get("notes"):
        return "; ".join(map(str, store.metadata["notes"]))
    return "running; the first report is still to come" if live and not store.metrics() else ""


def _starting(store: Store) -> str:
    """Return what to say before the first trial runs: where others leave it no room, it waits for them."""
    if not store.cursor and store.elapsed() > _SOON:
        return "its driver has not started yet: the cluster is starting its process, or has no place for it so far"
    plan = store.metadata.get("plan") or {}
    if plan.get("in_use") and not plan.get("at_first") and store.elapsed() > _SOON:
        used = format_resources(plan["in_use"])
        return f"others used {used} at the start: the first trial waits until enough is released"
    return "starting the trials' processes, which takes a few seconds"
