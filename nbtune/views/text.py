"""An experiment as text: for terminals, logs, files, and where no widget is."""

from __future__ import annotations

from typing import Any

from nbtune.results.state import TrialState
from nbtune.results.store import ENDED, Store
from nbtune.spec.space.values import label
from nbtune.spec.units import format_duration

__all__ = ["best_line", "count_line", "number", "shown_counts", "status_of", "status_word", "summary"]

_ORDER = ("running", "paused", "finished", "stopped", "failed", "unfinished")


def number(value: Any) -> str:
    """Return a metric's or parameter's value, short: four digits, an exponent below 1e-4 and from 1e6 on."""
    if not isinstance(value, float):
        return value if isinstance(value, str) else label(value)
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.4g}"


def status_word(status: str) -> str:
    """Return a trial's status as people read it."""
    return "stopped early" if status == "stopped" else status


def status_of(store: Store, state: TrialState) -> str:
    """Return a trial's status as it is shown: nothing runs, waits or pauses where the experiment is over."""
    return "unfinished" if store.status in ENDED and state.status not in ENDED else state.status


def shown_counts(store: Store) -> dict[str, int]:
    """Return status, as it is shown -> how many trials; those that are not there are left out."""
    counts: dict[str, int] = {}
    for status, count in store.counts.items():
        shown = "unfinished" if store.status in ENDED and status not in ENDED else status
        counts[shown] = counts.get(shown, 0) + count
    return {status: count for status, count in counts.items() if count}


def count_line(store: Store) -> str:
    """Return ``"2 running, 9 finished, 1 stopped early"``. Pending ones are the rest, and not told."""
    counts = shown_counts(store)
    told = [f"{counts[status]} {status_word(status)}" for status in _ORDER if status in counts]
    return ", ".join(told) or "no trial running yet"


def best_line(store: Store) -> str:
    """Return ``"best accuracy 0.982 (trial 7: lr=0.0031, hidden=128)"``, or an empty string."""
    best = store.best()
    if best is None or store.metric is None:
        return ""
    parameters = ", ".join(f"{name}={number(value)}" for name, value in best.config.items())
    return f"best {store.metric} {number(best.metrics[store.metric])} (trial {best.number}: {parameters})"


def summary(store: Store) -> str:
    """Return an experiment's state in one or a few lines."""
    metadata = store.metadata
    over, total = store.progress()
    lines = [
        f"{metadata.get('name', 'experiment')}: {store.status}, {over} of {total} trials in"
        f" {format_duration(store.elapsed())} ({count_line(store)})"
    ]
    if best := best_line(store):
        lines.append(best)
    if store.status in ENDED and not best and store.metric is not None:
        seen = ", ".join(store.metrics()) or "nothing"
        lines.append(f"no trial has a finite value of {store.metric} as its last; reported were: {seen}")
    if metadata.get("error"):
        lines.append(f"{metadata['error']}")
    failed = [state for state in store.states() if state.error and state.status == "failed"]
    if failed:
        lines.append(f"trial {failed[0].number} failed: {failed[0].error}")
        if len(failed) > 1:
            lines.append(f"and {len(failed) - 1} more; see .df['error'], .trials[{failed[0].number}].error")
    if store.status in ENDED and metadata.get("path"):
        lines.append(f"kept in {metadata['path']}")
    return "\n".join(lines)
