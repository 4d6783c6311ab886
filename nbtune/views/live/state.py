"""The state of the dashboard's header: name, status, counts, best trial, times; see widgets/README.md."""

from __future__ import annotations

from typing import Any

from nbtune.engine.storage.storage import default_storage
from nbtune.passwords import without_passwords
from nbtune.results.no_value import no_value_hint
from nbtune.results.progress import concurrent_trials, limited_by, time_left
from nbtune.results.store import ENDED, Store
from nbtune.results.values import value_words
from nbtune.spec.plan.shape import format_resources
from nbtune.views.text import (
    best_label,
    best_of_each,
    number,
    objective_names,
    repeat_note,
    shown_counts,
    shows_iteration,
    trial_count,
)

__all__ = ["header_state"]

_START_TIMEOUT = 5.0  # seconds within which a trial starts if there is capacity
_MAX_VALUE = 200  # characters
_MAX_PARAMETERS = 24  # of the best trial


def header_state(store: Store) -> dict[str, Any]:
    """Return the header's state.

    Args:
        store: the experiment's state.
    """
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
        "remaining": _remaining(store) if live else None,
        "concurrent": concurrent_trials(store),
        "limited_by": limited_by(store),
        "workers": str(metadata.get("workers") or ""),
        "max_concurrent": metadata.get("max_concurrent"),
        "hint": _hint(store),
        "live": live,
        "steerable": bool(metadata.get("space")) and (live or bool(metadata.get("path"))),
        "resumable": "" if live else _resumable(store),
        "reconnect": _reconnect_hint(store),
    }


def _resumable(store: Store) -> str:
    """Return what an ended experiment can be resumed for: "resume", "failed" (run those again), or ""."""
    over, total = store.progress()
    unfinished = sum(state.reason == "experiment" for state in store.states())
    if not store.metadata.get("path"):
        return ""
    if store.status != "finished" and (over - unfinished < total or not total):
        return "resume"
    return "failed" if store.counts["failed"] else ""


def _reconnect_hint(store: Store) -> str:
    """Return what happens to the experiment without the kernel, and how to get back to it."""
    path = without_passwords(str(store.metadata.get("path") or ""))
    if not path:
        return ""
    # The name is sufficient in the default storage; elsewhere it takes the path.
    in_default = path.rpartition("/")[0] == default_storage()
    name = store.metadata.get("name") if in_default and store.metadata.get("name") else path
    if store.metadata.get("detached"):
        return f"The experiment keeps running. In a new kernel: %tune attach {name}"
    return f"The trials have ended; their reports are kept. In a new kernel: %tune resume {name}"


def _best(store: Store) -> dict[str, Any] | None:
    """Return the best trial, or what is known of the Pareto front."""
    best = store.best()
    if best is None and len(store.objectives) > 1 and (front := store.front()):
        each = [[label, value] for label, value in best_of_each(store)]
        return {
            "label": "Pareto front",
            "value": trial_count(front),
            "trial": None,
            "iteration": None,
            "note": "",
            "params": each,
        }
    if best is None:
        return None
    parameters = store.value_configuration(best).parameters
    params = [[name, number(value)[:_MAX_VALUE]] for name, value in parameters.items()]
    return {
        "label": best_label(store),
        "value": number(store.best_value()),
        "trial": best.number,
        "iteration": best.single.iteration if shows_iteration(store, best) else None,
        "note": repeat_note(store),
        "params": params[:_MAX_PARAMETERS],
    }


def _remaining(store: Store) -> dict[str, float] | None:
    estimate = time_left(store)
    return None if estimate is None else {"low": estimate.low, "likely": estimate.likely, "high": estimate.high}


def _hint(store: Store) -> str:
    return "; ".join(filter(None, [_state_hint(store), store.metadata.get("code")]))


def _state_hint(store: Store) -> str:
    metadata = store.metadata
    if problems := [text for text in (metadata.get("error"), metadata.get("warning")) if text]:
        return "; ".join(problems)
    live, counts = store.status not in ENDED, store.counts
    if live and counts["paused"] and not counts["running"] and not counts["pending"]:
        return f"{counts['paused']} paused, none running; resume one in the table, or stop the experiment"
    if live and not (counts["running"] or counts["paused"]) and not store.progress()[0]:
        return _starting(store)
    if counts["failed"] and (failed := [state for state in store.states() if state.status == "failed"]):
        more = f", and {len(failed) - 1} more failed" if len(failed) > 1 else ""
        return f"trial {failed[0].number} failed: {failed[0].error}{more}"
    if hint := no_value_hint(store.states(), store.objectives):
        return hint
    if not live and store.objectives and not store.front():
        return f"no trial has a finite {value_words(store.scope)} of {objective_names(store)}"
    if store.metadata.get("notes"):
        return "; ".join(map(str, store.metadata["notes"]))
    return "running; no report yet" if live and not store.metrics() else ""


def _starting(store: Store) -> str:
    """Return the hint before the first trial runs."""
    if not store.cursor and store.elapsed() > _START_TIMEOUT:
        return "waiting for the cluster to start the driver"
    plan = store.metadata.get("plan")
    if plan is not None and plan.in_use and not plan.at_first and store.elapsed() > _START_TIMEOUT:
        return f"others use {format_resources(plan.in_use)}: the first trial waits until enough is free"
    return "starting the trials' processes; this takes a few seconds"
