"""The values of the objectives as messages: the points of the scatter with the Pareto front."""

from __future__ import annotations

from typing import Any

from nbtune.results.state import NO_VALUE, TrialState
from nbtune.results.store import ENDED, Store
from nbtune.results.values import adjective
from nbtune.views.text import number, status_of

__all__ = ["FrontPoints", "one_line"]

_MAX_LABEL = 160  # characters of the parameters of a trial


class FrontPoints:
    """The points of all trials; each message has only those that have changed.

    Args:
        store: the experiment's state.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sent_version = -1  # the store's version at the last message
        self._generation = store.generation
        self._over = False  # whether the experiment was over at the last message

    def message(self, *, everything: bool = False) -> dict[str, Any] | None:
        """Return what has changed since the last message, or None.

        Args:
            everything: send all points.
        """
        store = self._store
        version, over = store.version, store.status in ENDED
        reset = everything or self._sent_version < 0 or store.generation != self._generation or over != self._over
        changed = store.states() if reset else store.changes.since(self._sent_version)
        if not (reset or changed):
            return None
        self._sent_version, self._generation, self._over = version, store.generation, over
        word = "" if store.scope == "last" else f"{adjective(store.scope)} "
        return {
            "type": "points",
            "reset": reset,
            "objectives": [[f"{word}{objective.metric}", objective.mode] for objective in store.objectives],
            "rows": [self._row(state) for state in changed],
            "front": [state.number for state in store.front()],
        }

    def _row(self, state: TrialState) -> list[Any]:
        values = state.values or (NO_VALUE,) * len(self._store.objectives)
        # JavaScript has no integers, and JSON no numbers as large as Python's.
        shown = [None if one.value is None else float(one.value) for one in values]
        return [state.number, status_of(self._store, state), one_line(state), *shown]


def one_line(state: TrialState) -> str:
    """Return the parameters of a trial as one line.

    Args:
        state: the trial.
    """
    text = "  ".join(f"{name} {number(value)}" for name, value in state.parameters.items())
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"
