"""Ray Tune's searcher for BOHB."""

from __future__ import annotations

from typing import Any

from ray.tune.search.bohb import TuneBOHB

from nbtune.engine.search.libraries.random_numbers import OwnRandomNumbers

__all__ = ["Bohb"]


class Bohb(OwnRandomNumbers, TuneBOHB):
    """TuneBOHB whose seed is also that of its model; Ray Tune's is that of the random configurations only."""

    _seed: Any

    def suggest(self, trial_id: str) -> Any:
        """Return the next configuration, or None if there is none now.

        Args:
            trial_id: Tune's id.
        """
        with self.own_random_numbers(self._seed):
            return super().suggest(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report a result of a trial.

        Args:
            trial_id: Tune's id.
            result: the result.
        """
        with self.own_random_numbers(self._seed):
            super().on_trial_result(trial_id, result)
