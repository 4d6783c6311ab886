"""Ray Tune's searcher for bayesian-optimization."""

from __future__ import annotations

from typing import Any

from ray.tune.search.bayesopt import BayesOptSearch

from nbtune.engine.search.libraries.learner import Learner

__all__ = ["BayesOpt"]


class BayesOpt(Learner, BayesOptSearch):
    """BayesOptSearch that goes on after failed trials, and learns from points that it has not proposed."""

    _register_result: Any

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Report the end of a trial.

        Args:
            trial_id: Tune's id.
            result: its last result, or None.
            error: whether it has failed.
        """
        if (result is None or error) and len(self._buffered_trial_results) < self.random_search_trials:
            # It counts the random trials that it has proposed, waits for as many results, and so waits forever.
            self._total_random_search_trials -= 1
        super().on_trial_complete(trial_id, result, error)

    def learn(self, point: dict[str, Any], value: float) -> None:
        self._register_result(point, {self.metric: value})
