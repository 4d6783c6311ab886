"""Ray Tune's searcher for Optuna."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.tune.search.optuna import OptunaSearch

from nbtune.engine.search.optuna_space import DefineByRun

__all__ = ["Optuna"]


class Optuna(OptunaSearch):
    """OptunaSearch that learns from points also with several metrics, and if it suggests parameters one by one."""

    _space: Any
    _ot_study: Any

    def add_evaluated_point(
        self,
        parameters: Mapping[str, Any],
        value: Any,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Tell Optuna of a point.

        Args:
            parameters: the point.
            value: the value of the metric; of several, a value for each.
            error: whether its trial has failed.
            pruned: whether it was stopped early.
            intermediate_values: its earlier values.

        Raises:
            ValueError: the point is not in the space.
        """
        if not callable(self._space) and not isinstance(self.metric, list):
            super().add_evaluated_point(dict(parameters), value, error, pruned, intermediate_values)
        elif not (error or pruned):
            self._add(parameters, list(value) if isinstance(self.metric, list) else [value])

    def _add(self, parameters: Mapping[str, Any], values: list[float]) -> None:
        from optuna.trial import FixedTrial, create_trial

        distributions = self._space
        if callable(self._space):
            fixed = FixedTrial(
                self._space.encode(parameters) if isinstance(self._space, DefineByRun) else dict(parameters)
            )
            self._space(fixed)
            parameters, distributions = fixed.params, fixed.distributions
        self._ot_study.add_trial(
            create_trial(values=values, params=dict(parameters), distributions=dict(distributions))
        )
