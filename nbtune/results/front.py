"""The Pareto front: the trials that no other one beats in all objectives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from nbtune.results.state import TrialState
from nbtune.spec.options.objectives import Objective

__all__ = ["on_front", "pareto_front"]


def pareto_front(states: Iterable[TrialState], objectives: Sequence[Objective]) -> list[TrialState]:
    """Return the trials that are not dominated, by number. Of equal ones, all are.

    A trial dominates another one if it is at least as good in every objective, and better in one. Trials that have
    failed, or have no finite value of an objective, do not count.

    Args:
        states: the trials.
        objectives: the objectives, in the order of the values of the trials.
    """
    compared = [state for state in states if state.is_compared(len(objectives))]
    compared.sort(key=lambda state: state.number)
    values = np.array([[float(one.value or 0) for one in state.values] for state in compared], float)
    signs = np.array([objective.sign for objective in objectives], float)
    mask = on_front(values.reshape(len(compared), len(objectives)) * signs)
    return [state for state, is_on in zip(compared, mask.tolist(), strict=True) if is_on]


def on_front(losses: np.ndarray) -> np.ndarray:
    """Return which points no other one dominates.

    Args:
        losses: the points, float64, finite, shape (points, objectives); smaller is better.

    Returns:
        A boolean for each point.
    """
    unique, inverse = np.unique(losses, axis=0, return_inverse=True)
    # In this order only an earlier point can dominate another one, and one that is on the front does if any does.
    front: list[int] = []
    for position, point in enumerate(unique):
        if not (unique[front] <= point).all(axis=1).any():
            front.append(position)
    return np.isin(inverse.reshape(-1), front)
