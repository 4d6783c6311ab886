"""What Optuna makes of an experiment, as methods of its handle: a study, and figures."""

from __future__ import annotations

from typing import Any

from nbtune.results.store import Store

__all__ = ["Figures"]


class Figures:
    """The methods of an experiment that analyse it with Optuna."""

    _store: Store

    def to_optuna(self) -> Any:
        """Return an `optuna.Study` with every trial, for the tools of Optuna.

        Finished trials are complete, and those that were stopped early are pruned. The values of both are
        `Trial.values`, one for each objective. All reports of the first one are intermediate values. The user
        attributes "trial" and "status" are those of the experiment.

        With the option `repeat`, a configuration is one trial of the study, with the means of its trials' values and
        reports, and complete once all of them are over; "configuration" is its number, "trials" are their ids, and
        "trial" is that of the trial whose value is nearest the mean. The figures show it so, too.

        Raises:
            ExperimentError: the experiment has no metric.
        """
        from nbtune.results.study import to_study

        return to_study(self._store)

    def plot(self, kind: str = "curves", **options: Any) -> Any:
        """Return a plotly figure. Optuna draws all but the last two.

        Args:
            kind: "curves" (the metric over iterations), "history" (over trials), "parallel", "slice",
                "contour", "rank", "importance", "timeline", "edf", "schedule" (parameters that a scheduler has changed,
                over iterations) or "family" (which trials were copied); with several objectives also "pareto" and
                "hypervolume" (over trials).
            options: arguments of Optuna's function, ``params=["lr"]`` for instance. "schedule" takes `trials` and
                `params`, "family" takes `trials`. With several objectives `metric` is the one that a figure of one
                value shows; by default the first one. The `reference_point` of the hypervolume is by default a tenth
                of their spread beyond the worst values.

        Raises:
            ExperimentError: there is no such kind of figure, or no data for it yet.
        """
        from nbtune.results.analysis import plot

        return plot(self._store, kind, options)
