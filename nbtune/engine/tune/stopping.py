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
from nbtune.engine.tune.user_part import Failures, HasUserPart, ends_experiment

__all__ = ["Stopping"]

_ITERATIONS = "iterations"


class Stopping(Live, HasUserPart, Stopper):
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
        failures: receives what the user's stopper or function raises.
    """

    role = "stopping"

    def __init__(
        self,
        conditions: Any,
        metric: str | None,
        mode: str | None,
        time_budget: float | None,
        failures: Failures,
    ) -> None:
        self.failures, self.part = failures, f"the stop condition {_name(conditions)}"
        self._conditions = conditions
        self._below = metric if mode == "min" else None
        self._deadline = math.inf if time_budget is None else time.monotonic() + time_budget
        self._requested = False

    @ends_experiment(False)
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
        """Return whether the experiment ends now: on request, by the user's stopper, by its time budget, or since an
        object of the user has raised an exception.
        """
        failed = self.failures.first is not None
        return self._requested or failed or self._stops_all() or time.monotonic() > self._deadline

    @ends_experiment(True)
    def _stops_all(self) -> bool:
        return isinstance(self._conditions, Stopper) and bool(self._conditions.stop_all())

    def stop_all(self) -> bool:
        return False


def _name(conditions: Any) -> str:
    return getattr(conditions, "__name__", type(conditions).__name__)
