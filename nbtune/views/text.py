"""An experiment as text, for terminals, logs and frontends without widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtune.passwords import without_passwords
from nbtune.results.state import TrialState
from nbtune.results.store import ENDED, Store
from nbtune.results.values import value_words
from nbtune.shown import shown
from nbtune.spec.space.values import label
from nbtune.spec.units import format_duration

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "best_label",
    "best_line",
    "count_line",
    "number",
    "shown_counts",
    "shown_table",
    "shows_iteration",
    "status_of",
    "status_word",
    "summary",
]

_ORDER = ("running", "paused", "finished", "stopped", "failed", "unfinished")


def number(value: Any) -> str:
    """Return a value as text: numbers with four significant digits, with an exponent below 1e-4 and from 1e6 on.

    Args:
        value: of a metric or a parameter.
    """
    if not isinstance(value, float):  # np.float64 is one
        return shown(value) if isinstance(value, str) else label(value)
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.4g}"


def status_word(status: str) -> str:
    """Return a trial's status as it is written: "stopped early" for "stopped".

    Args:
        status: the status.
    """
    return "stopped early" if status == "stopped" else status


def status_of(store: Store, state: TrialState) -> str:
    """Return a trial's status as it is shown: "unfinished" for one that had not ended when the experiment ended.

    Args:
        store: the experiment's state.
        state: the trial's.
    """
    return "unfinished" if store.status in ENDED and state.status not in ENDED else state.status


def shown_counts(store: Store) -> dict[str, int]:
    """Return status, as it is shown -> number of trials, without those of no trial.

    Args:
        store: the experiment's state.
    """
    counts: dict[str, int] = {}
    for status, count in store.counts.items():
        shown = "unfinished" if store.status in ENDED and status not in ENDED else status
        counts[shown] = counts.get(shown, 0) + count
    return {status: count for status, count in counts.items() if count}


def count_line(store: Store) -> str:
    """Return ``"2 running, 9 finished, 1 stopped early"``, without pending trials.

    Args:
        store: the experiment's state.
    """
    counts = shown_counts(store)
    parts = [f"{counts[status]} {status_word(status)}" for status in _ORDER if status in counts]
    return ", ".join(parts) or "no trial running yet"


def best_line(store: Store) -> str:
    """Return ``"best accuracy 0.982 at iteration 5 (trial 7: lr=0.0031, hidden=128)"``; empty without a best trial.

    Args:
        store: the experiment's state.
    """
    best = store.best()
    if best is None or store.metric is None:
        return ""
    made = store.value_configuration(best).parameters
    parameters = ", ".join(f"{name}={number(value)}" for name, value in made.items())
    at = f" at iteration {best.value_iteration}" if shows_iteration(store, best) else ""
    return shown(f"{best_label(store)} {number(best.value)}{at} (trial {best.number}: {parameters})")


def best_label(store: Store) -> str:
    """Return what the value of the best trial is: "best accuracy", or "best avg accuracy" for another scope.

    Args:
        store: the experiment's state.
    """
    return f"best {store.metric}" if store.scope == "all" else f"best {store.scope} {store.metric}"


def shows_iteration(store: Store, state: TrialState) -> bool:
    """Return whether the iteration at which a trial has reached its value is of interest: it may be any of several.

    Args:
        store: the experiment's state.
        state: the trial.
    """
    return store.scope == "all" and state.iterations > 1


def shown_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table as it is shown: its texts as `shown` returns them, and other values unchanged.

    Args:
        frame: the table.
    """

    def cell(value: Any) -> Any:
        return shown(value) if isinstance(value, str) else value

    return frame.map(cell).set_axis(frame.index.map(cell), axis="index")


def summary(store: Store) -> str:
    """Return the state of an experiment in a few lines.

    Args:
        store: the experiment's state.
    """
    metadata = store.metadata
    over, total = store.progress()
    lines = [
        f"{metadata.get('name', 'experiment')}: {store.status}, {over} of {total} trials in"
        f" {format_duration(store.elapsed())} ({count_line(store)})"
    ]
    if best := best_line(store):
        lines.append(best)
    if store.status in ENDED and not best and store.metric is not None:
        reported = ", ".join(store.metrics()) or "none"
        lines.append(
            f"no trial has a finite {value_words(store.scope)} of {store.metric}; reported metrics: {reported}"
        )
    if metadata.get("error"):
        lines.append(f"{metadata['error']}")
    if metadata.get("warning"):
        lines.append(f"{metadata['warning']}")
    if metadata.get("code"):
        lines.append(f"{metadata['code']}")
    failed = [state for state in store.states() if state.error and state.status == "failed"]
    if failed:
        lines.append(f"trial {failed[0].number} failed: {failed[0].error}")
        if len(failed) > 1:
            lines.append(f"and {len(failed) - 1} more; see .df['error'], .trials[{failed[0].number}].error")
    if store.status in ENDED and metadata.get("path"):
        lines.append(f"stored in {without_passwords(metadata['path'])}")
    return "\n".join(map(shown, lines))
