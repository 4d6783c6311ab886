"""An experiment as text, for terminals, logs and frontends without widgets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nbtune.passwords import without_passwords
from nbtune.results.data import datasets_text
from nbtune.results.failures import failure_line, group_failures
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
    "best_numbers",
    "best_of_each",
    "count_line",
    "number",
    "objective_names",
    "repeat_note",
    "shown_counts",
    "shown_table",
    "shows_iteration",
    "status_of",
    "status_word",
    "stop_text",
    "summary",
    "trial_count",
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


def stop_text(store: Store, state: TrialState) -> str:
    """Return by what a trial was stopped early, such as "stopped by asha"; empty if it was not.

    Args:
        store: the experiment's state.
        state: the trial's.
    """
    if state.status != "stopped":
        return ""
    options = store.metadata.get("options") or {}
    if state.reason == "user":
        return "stopped by you"
    if state.reason == "scheduler":
        name = re.match(r"[A-Za-z]\w*", str(options.get("scheduler", "")))
        return f"stopped by {name[0] if name else 'the scheduler'}"
    if state.reason == "pruned":
        return "pruned by its code"
    if state.reason == "experiment":
        budget = options.get("time_budget")
        is_reached = isinstance(budget, (int, float)) and store.status in ENDED and store.elapsed() >= budget
        return "stopped by the time budget" if is_reached else "stopped with the experiment"
    return ""


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

    Of repeats, ``"best accuracy 0.982, mean of 3 repeats of configuration 2: lr=0.0031, hidden=128"``. With several
    objectives, the size of the Pareto front and the best value of each.

    Args:
        store: the experiment's state.
    """
    best = store.best()
    if len(store.objectives) > 1:
        front, each = store.front(), ", ".join(f"{label} {value}" for label, value in best_of_each(store))
        return shown(f"Pareto front of {objective_names(store)}: {trial_count(front)}; {each}") if front else ""
    if best is None or store.metric is None:
        return ""
    made = store.value_configuration(best).parameters
    parameters = ", ".join(f"{name}={number(value)}" for name, value in made.items())
    if note := repeat_note(store):
        return shown(f"{best_label(store)} {number(store.best_value())}, {note}: {parameters}")
    at = f" at iteration {best.single.iteration}" if shows_iteration(store, best) else ""
    return shown(f"{best_label(store)} {number(best.value)}{at} (trial {best.number}: {parameters})")


def best_label(store: Store) -> str:
    """Return what the value of the best trial is: "best accuracy", or "best avg accuracy" for another scope.

    Args:
        store: the experiment's state.
    """
    return f"best {store.metric}" if store.scope == "all" else f"best {store.scope} {store.metric}"


def best_numbers(store: Store) -> set[int]:
    """Return the numbers of the best trial, or of the trials of the best configuration; none with several objectives.

    Args:
        store: the experiment's state.
    """
    return {state.number for state in store.best_trials()} if len(store.objectives) == 1 else set()


def repeat_note(store: Store) -> str:
    """Return what the best value is the mean of, such as "mean of 3 repeats of configuration 2"; else an empty text.

    Args:
        store: the experiment's state.
    """
    best = store.best_configuration()
    return "" if best is None else f"{best.note} of configuration {best.number}"


def objective_names(store: Store) -> str:
    """Return the metrics that are optimized, such as "accuracy and latency".

    Args:
        store: the experiment's state.
    """
    *first, last = (objective.metric for objective in store.objectives)
    return f"{', '.join(first)} and {last}" if first else last


def best_of_each(store: Store) -> list[tuple[str, str]]:
    """Return the best value of each objective as ("best accuracy", "0.982 (trial 7)"), without those that have none.

    Args:
        store: the experiment's state.
    """
    word = "best" if store.scope in {"all", "last"} else f"best {store.scope}"
    found = [
        (objective.metric, position, store.best_of(position)) for position, objective in enumerate(store.objectives)
    ]
    return [
        (f"{word} {metric}", f"{number(best.values[position].value)} (trial {best.number})")
        for metric, position, best in found
        if best is not None
    ]


def trial_count(states: Sequence[TrialState]) -> str:
    """Return "1 trial" or "3 trials".

    Args:
        states: the trials.
    """
    return f"{len(states):,} trial{'' if len(states) == 1 else 's'}"


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
    if datasets := datasets_text(metadata):
        lines.append(f"data sets: {datasets}")
    if store.status in ENDED and not best and store.objectives:
        reported = ", ".join(store.metrics()) or "none"
        words = f"{value_words(store.scope)} of {objective_names(store)}"
        lines.append(f"no trial has a finite {words}; reported metrics: {reported}")
    if metadata.get("error"):
        lines.append(f"{metadata['error']}")
    if metadata.get("warning"):
        lines.append(f"{metadata['warning']}")
    if metadata.get("code"):
        lines.append(f"{metadata['code']}")
    if groups := group_failures(store.states()):
        first = groups[0].trials[0]
        if sum(len(group.trials) for group in groups) > 1:
            lines.append(f"{failure_line(groups)}; see .failures")
        lines.append(f"trial {first} failed: {groups[0].error}")
    if store.status in ENDED and metadata.get("path"):
        lines.append(f"stored in {without_passwords(metadata['path'])}")
    return "\n".join(map(shown, lines))
