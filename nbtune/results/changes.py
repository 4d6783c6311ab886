"""What has changed in the states of the trials: since a version, and which trials are the best ones now."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from nbtune.results.front import pareto_front
from nbtune.results.state import TrialState
from nbtune.results.values import Best, ranked
from nbtune.spec.options.objectives import Objective

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
        self._best: dict[int, tuple[Best, int]] = {}  # position of an objective -> it, and when it was looked for
        self._front: tuple[int, list[TrialState]] | None = None  # when it was looked for, and the front

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

    def best(self, version: int, objective: Objective, position: int = 0) -> TrialState | None:
        """Return the trial with the best value of an objective, or None. Failed trials do not count.

        Args:
            version: the present one.
            objective: the objective.
            position: its position among all objectives.
        """
        best, before = self._best.get(position) or (Best(self._states, position), -1)
        self._best[position] = best, version
        return best.update(self.since(before), objective)

    def front(self, version: int, objectives: Sequence[Objective]) -> list[TrialState]:
        """Return the trials that no other one beats in all objectives, by number.

        Args:
            version: the present one.
            objectives: the objectives.
        """
        if self._front is None or self._front[0] != version:
            self._front = version, pareto_front(self._states.values(), objectives)
        return self._front[1]

    def ranked(self, version: int, objectives: Sequence[Objective]) -> list[TrialState]:
        """Return all trials, the best first; failed ones and those without a value come last. Equals are by number.

        With several objectives the front comes first; within it and after it, the first objective counts.

        Args:
            version: the present one.
            objectives: the objectives.
        """
        order = ranked(self._states.values(), objectives[0] if objectives else None)
        if len(objectives) < 2:
            return order
        front = {state.number for state in self.front(version, objectives)}
        return sorted(order, key=lambda state: state.number not in front)
