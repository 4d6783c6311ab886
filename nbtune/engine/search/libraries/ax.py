"""Ray Tune's searcher for Ax."""

from __future__ import annotations

import math
from typing import Any

from ray.tune.search.ax import AxSearch

from nbtune.engine.search.libraries.learner import Learner

__all__ = ["Ax"]


class Ax(Learner, AxSearch):
    """AxSearch that goes on after failed trials, and learns from points that it has not proposed."""

    _ax: Any

    def suggest(self, trial_id: str) -> Any:
        """Return the next configuration, None if there is none now, or "FINISHED".

        Args:
            trial_id: Tune's id.
        """
        from ax.exceptions.core import SearchSpaceExhausted

        experiment = self._ax.experiment
        if len(experiment.arms_by_name) >= math.prod(map(_count, experiment.parameters.values())):
            return self.FINISHED  # Ax would look for a new configuration for a minute
        try:
            suggested = super().suggest(trial_id)
        except SearchSpaceExhausted:
            return self.FINISHED
        if isinstance(suggested, dict):
            # Ray Tune keeps the trial under the number that Ax has given it, and finds it by chance only.
            self._live_trial_mapping[trial_id] = max(self._ax.experiment.trials)
        return suggested

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Report the end of a trial.

        Args:
            trial_id: Tune's id.
            result: its last result, or None.
            error: whether it has failed.
        """
        if not result or error:  # Ax limits how many trials it waits for, and would wait for this one forever
            self._ax.log_trial_failure(self._live_trial_mapping.pop(trial_id))
        else:
            super().on_trial_complete(trial_id, result, error)

    def learn(self, point: dict[str, Any], value: float) -> None:
        index = self._ax.attach_trial(point)[1]
        self._ax.complete_trial(index, raw_data={self.metric: (value, None)})


def _count(parameter: Any) -> float:
    """Return how many values a parameter of Ax has."""
    if (values := getattr(parameter, "values", None)) is not None:
        return len(values)
    return float(parameter.upper - parameter.lower + 1) if parameter.parameter_type.name == "INT" else math.inf
