"""What Ray Tune's searchers have in common that learn from points which they have not proposed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

__all__ = ["Learner"]


class Learner:
    """A base class beside one of Ray Tune's searchers, which comes first."""

    def add_evaluated_point(
        self,
        parameters: Mapping[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Tell the library of a point.

        Args:
            parameters: the point.
            value: the value of the metric.
            error: whether its trial has failed.
            pruned: whether it was stopped early.
            intermediate_values: ignored.
        """
        if not error:
            self.learn(dict(parameters), value)

    @abstractmethod
    def learn(self, point: dict[str, Any], value: float) -> None:
        """Give the library a point with its value.

        Args:
            point: the point.
            value: the value of the metric.
        """
