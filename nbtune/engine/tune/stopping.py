"""Conditions that end a trial or the whole experiment early."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from ray.tune import Stopper
from ray.tune.result import TRAINING_ITERATION

from nbtune.engine.protocol.metrics import flat
from nbtune.engine.protocol.registry import Live
from nbtune.engine.protocol.result import as_reported

__all__ = ["Stopping"]

_ITERATIONS = "iterations"


class Stopping(Live, Stopper):
    """The conditions that end a trial or the experiment early, as a stopper of Tune.

    `stop_all` never ends the experiment: Tune would mark each trial as terminated, and none could be resumed. Instead
    `Control` checks `is_due` and ends Tune's loop.

    Args:
        conditions: metric -> bound, a `ray.tune.Stopper`, a function (trial_id, result) -> bool, or None.
            A trial ends when a value is >= its bound, as in Ray Tune; with mode="min" when the experiment's own metric
            is <= its bound. "iterations" is the number of the trial's reports. Reported metrics take precedence over
            Tune's own entries of a result.
        metric: the experiment's metric.
        mode: "min" or "max".
        time_budget: seconds until the whole experiment ends, or None.
    """

    role = "stopping"

    def __init__(self, conditions: Any, metric: str | None, mode: str | None, time_budget: float | None) -> None:
        self._conditions = conditions
        self._below = metric if mode == "min" else None
        self._deadline = math.inf if time_budget is None else time.monotonic() + time_budget
        self._requested = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if self._conditions is None:
            return False
        seen = as_reported(result)
        if not isinstance(self._conditions, Mapping):
            return bool(self._conditions(trial_id, seen))
        values = {**dict(flat(seen)), _ITERATIONS: result.get(TRAINING_ITERATION)}
        return any(self._reached(name, bound, values.get(name)) for name, bound in self._conditions.items())

    def _reached(self, name: str, bound: float, value: Any) -> bool:
        if not isinstance(value, (int, float)):
            return False
        return bool(value <= bound if name == self._below else value >= bound)

    def request(self) -> None:
        """Request the end of the experiment with the next step."""
        self._requested = True

    def is_due(self) -> bool:
        """Return whether the experiment ends now: on request, by the user's stopper or by its time budget."""
        stopper = isinstance(self._conditions, Stopper) and self._conditions.stop_all()
        return self._requested or stopper or time.monotonic() > self._deadline

    def stop_all(self) -> bool:
        return False
