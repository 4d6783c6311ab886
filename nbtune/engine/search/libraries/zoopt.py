"""Ray Tune's searcher for ZOOpt."""

from __future__ import annotations

from typing import Any

from ray.tune.search.zoopt import ZOOptSearch

from nbtune.engine.search.libraries.random_numbers import OwnRandomNumbers

__all__ = ["ZooOpt"]


class ZooOpt(OwnRandomNumbers, ZOOptSearch):
    """ZOOptSearch that goes on after failed trials, and takes a seed.

    Args:
        random_state_seed: the seed, or None.
        more: as for `ZOOptSearch`.
    """

    optimizer: Any
    _own_seed: int | None = None

    def __init__(self, random_state_seed: int | None = None, **more: Any) -> None:
        super().__init__(**more)
        self._own_seed = random_state_seed

    def suggest(self, trial_id: str) -> Any:
        """Return the next configuration, None if there is none now, or "FINISHED".

        Args:
            trial_id: Tune's id.
        """
        with self.own_random_numbers(self._own_seed):
            return self._suggest(trial_id)

    def _suggest(self, trial_id: str) -> Any:
        suggested = super().suggest(trial_id)
        optimizer = self.optimizer
        if suggested is None and optimizer.complete_num >= optimizer.get_parameters().get_train_size():
            # It waits for its first results when it has proposed them all, also if it has them already.
            optimizer.semaphore = 1
            suggested = super().suggest(trial_id)
        return suggested

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Report the end of a trial.

        Args:
            trial_id: Tune's id.
            result: its last result, or None.
            error: whether it has failed.
        """
        if not result or error:  # ZOOpt waits for its first trials, and would wait for this one forever
            self.optimizer.complete(self.solution_dict[str(trial_id)], float("inf"))
            result = None
        super().on_trial_complete(trial_id, result, error)
