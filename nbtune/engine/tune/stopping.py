"""Conditions that end a trial or the whole experiment early."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from ray.tune import Stopper
from ray.tune.stopper import ExperimentPlateauStopper, TrialPlateauStopper

from nbtune.engine.protocol.metrics import flat
from nbtune.engine.protocol.registry import Live
from nbtune.engine.protocol.result import as_reported
from nbtune.engine.tune.user_part import Failures, HasUserPart, ends_experiment
from nbtune.spec.options.condition import OWN_NAMES, Condition
from nbtune.spec.options.plateau import ExperimentPlateau, Plateau

__all__ = ["Stopping"]


class Stopping(Live, HasUserPart, Stopper):
    """The conditions that end a trial or the experiment early, as a stopper of Tune.

    `stop_all` never ends the experiment: Tune would mark each trial as terminated, and none could be resumed. Instead
    `Control` checks `is_due` and ends Tune's loop.

    Args:
        conditions: a `Condition`, metric -> bound, a `ray.tune.Stopper`, a function (trial_id, result) -> bool, or
            None. A trial ends when a value is >= its bound, as in Ray Tune, or <= that of a metric that is minimized.
            "iterations" is the number of the trial's reports, and "time_s" the seconds that it has trained. Reported
            metrics take precedence over Tune's own entries of a result.
        minimized: the metrics that are minimized.
        time_budget: seconds until the whole experiment ends, or None.
        failures: receives what the user's stopper or function raises.

    Attributes:
        reached: Tune's trial id -> the condition that has ended the trial, as text.
    """

    role = "stopping"

    def __init__(
        self,
        conditions: Any,
        minimized: Collection[str],
        time_budget: float | None,
        failures: Failures,
    ) -> None:
        self.failures, self.part = failures, f"the stop condition {_name(conditions)}"
        self._conditions, self._minimized = conditions, minimized
        self._plateaus: dict[Plateau | ExperimentPlateau, Stopper] = {
            plateau: self._stopper(plateau)
            for plateau in (conditions.plateaus if isinstance(conditions, Condition) else ())
        }
        self.reached: dict[str, str] = {}
        self._deadline = math.inf if time_budget is None else time.monotonic() + time_budget
        self._requested = False

    @ends_experiment(False)
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if reached := self._reached(trial_id, result):
            self.reached[trial_id] = reached
        return bool(reached)

    def _reached(self, trial_id: str, result: dict[str, Any]) -> str:
        """Return the condition that a result fulfils; an empty text if it fulfils none."""
        if self._conditions is None:
            return ""
        seen = as_reported(result)
        if not isinstance(self._conditions, (Mapping, Condition)):
            return _name(self._conditions) if self._conditions(trial_id, seen) else ""
        values = {**dict(flat(seen)), **{name: result.get(entry) for name, entry in OWN_NAMES.items()}}
        if isinstance(self._conditions, Condition):
            plateaus = {plateau: self._is_on(plateau, trial_id, values) for plateau in self._plateaus}
            return self._conditions.reached(values, plateaus)
        parts = (self._bound_reached(name, bound, values.get(name)) for name, bound in self._conditions.items())
        return " and ".join(filter(None, parts))

    def _bound_reached(self, name: str, bound: float, value: Any) -> str:
        below = name in self._minimized
        is_reached = isinstance(value, (int, float)) and (value <= bound if below else value >= bound)
        return f"{name} {'<=' if below else '>='} {bound:g}" if is_reached else ""

    def _stopper(self, plateau: Plateau | ExperimentPlateau) -> Stopper:
        if isinstance(plateau, Plateau):
            return TrialPlateauStopper(plateau.metric, plateau.std, plateau.reports, plateau.grace)
        mode = plateau.mode or ("min" if plateau.metric in self._minimized else "max")
        return ExperimentPlateauStopper(plateau.metric, plateau.std, plateau.top, mode, plateau.patience)

    def _is_on(self, plateau: Plateau | ExperimentPlateau, trial_id: str, values: Mapping[str, Any]) -> bool | None:
        """Return whether a trial, or the experiment, is on a plateau; None if the report does not have the metric."""
        value = values.get(plateau.metric)
        if not isinstance(value, (int, float)):
            return None
        if isinstance(plateau, ExperimentPlateau) and not abs(value) <= sys.float_info.max:
            return None  # it could be the best one forever
        with np.errstate(invalid="ignore"):  # of infinity
            return bool(self._plateaus[plateau](trial_id, {plateau.metric: value}))

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
        own = [self._conditions] if isinstance(self._conditions, Stopper) else []
        of_experiment = [one for plateau, one in self._plateaus.items() if isinstance(plateau, ExperimentPlateau)]
        return any(stopper.stop_all() for stopper in (*own, *of_experiment))

    def stop_all(self) -> bool:
        return False


def _name(conditions: Any) -> str:
    return getattr(conditions, "__name__", type(conditions).__name__)
