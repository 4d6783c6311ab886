"""What has changed in the states of the trials: since a version, and which trial is the best one now."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from nbtune.results.state import TrialState
from nbtune.results.values import Best

__all__ = ["Changes"]


class Changes:
    """The order in which trials have changed, so that what has changed is found without looking at all of them.

    Args:
        states: the states of all trials by number, to which others are added.
        lock: held while they are read.
    """

    def __init__(self, states: Mapping[int, TrialState], lock: threading.RLock) -> None:
        self._states, self._lock = states, lock
        self._order: dict[int, None] = {}  # the numbers of the trials, those that have changed last at the end
        self._best, self._best_version = Best(states), -1  # the version at which it was looked for

    def note(self, state: TrialState, version: int) -> None:
        """Note that a trial changes with a version.

        Args:
            state: the trial.
            version: of the store, higher than that of earlier changes or equal.
        """
        state.changed = version
        self._order.pop(state.number, None)
        self._order[state.number] = None

    def since(self, version: int) -> list[TrialState]:
        """Return the trials that have changed since a version, by their numbers. Their fields change further.

        Args:
            version: an earlier value of `Store.version`, of the same generation.
        """
        with self._lock:
            changed = []
            for number in reversed(self._order):
                if self._states[number].changed <= version:
                    break
                changed.append(number)
            return [self._states[number] for number in sorted(changed)]

    def best(self, version: int, mode: str | None) -> TrialState | None:
        """Return the trial with the best value of the metric, or None. Failed trials do not count.

        Args:
            version: the present one.
            mode: "min" or "max".
        """
        changed, self._best_version = self.since(self._best_version), version
        return self._best.update(changed, mode)
