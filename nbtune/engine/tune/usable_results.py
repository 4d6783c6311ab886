"""The results that a scheduler or search algorithm gets: those with a number as the value of its metric."""

from __future__ import annotations

from typing import Any

from nbtune.engine.protocol.result import as_reported, has_metrics, metric_names

__all__ = ["UsableResults"]


class UsableResults:
    """Selects the results with a number as the value of a metric, and keeps the last one of each trial.

    The last number is the result of a trial that ends without one.

    Args:
        unit: another entry of a result, as Tune names it, that has to be a number as well; None if there is none.
    """

    def __init__(self, unit: str | None = None) -> None:
        self._needed = [] if unit is None else [unit]
        self._last: dict[str, dict[str, Any]] = {}  # trial id -> its last usable result

    @staticmethod
    def has_metric(result: dict[str, Any], metric: Any) -> bool:
        """Return whether a result has a number as the value of a metric.

        Args:
            result: the result.
            metric: as for `add`.
        """
        return _usable(result, metric) is not None

    def add(self, trial_id: str, result: dict[str, Any], metric: Any) -> dict[str, Any] | None:
        """Return a trial's next result, with metrics under the names that the user has reported; None without a number.

        Args:
            trial_id: Tune's id.
            result: the result.
            metric: the attribute of a scheduler or search algorithm: None, a name or a list of names.
        """
        usable = self._usable(result, metric)
        if usable is not None:
            self._last[trial_id] = usable
        return usable

    def end(self, trial_id: str, result: dict[str, Any], metric: Any) -> dict[str, Any] | None:
        """Return the result with which a trial has ended, or its last one with a number; None if it has made none.

        Args:
            trial_id: Tune's id.
            result: its last result.
            metric: as for `add`.
        """
        last = self._last.pop(trial_id, None)
        usable = self._usable(result, metric)
        return last if usable is None else usable

    def _usable(self, result: dict[str, Any], metric: Any) -> dict[str, Any] | None:
        return _usable(result, metric) if has_metrics(result, self._needed) else None

    def forget(self, trial_id: str) -> None:
        """Forget the results of a trial that is over.

        Args:
            trial_id: Tune's id.
        """
        self._last.pop(trial_id, None)


def _usable(result: dict[str, Any], metric: Any) -> dict[str, Any] | None:
    names = metric_names(metric)
    seen = as_reported(result, names)
    return seen if has_metrics(seen, names) else None
