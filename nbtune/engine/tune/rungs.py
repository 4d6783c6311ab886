"""What a scheduler that halves decides about the trials at its rungs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import TrialScheduler

from nbtune.engine._ray.schedulers import Halving, halvings, recall_rung, recorded_rungs, time_attribute
from nbtune.engine.protocol.replay import PastTrial
from nbtune.engine.protocol.result import as_reported, has_metrics, metric_names, tune_result

__all__ = ["Decision", "Rungs"]


@dataclass(frozen=True)
class Decision:
    """What a scheduler has decided about a trial at a rung.

    Attributes:
        trial: Tune's trial.
        rung: where the rung is.
        unit: the entry of the results in which that is counted.
        bracket: the number of the bracket.
        goes_on: whether the trial goes on.
    """

    trial: Any
    rung: float
    unit: str
    bracket: int
    goes_on: bool


class Rungs:
    """Finds the decisions of ASHA and HyperBand in what they remember before and after a call.

    They tell nobody: ASHA only returns that it stops a trial, and HyperBand also stops trials that are waiting.
    """

    def __init__(self) -> None:
        self._reached: set[tuple[int, float]] = set()  # by the trial of the present call
        self._halvings: dict[int, Halving] = {}
        self._past: dict[str, PastTrial] = {}  # by Tune's ids, those that have reached any rung in an earlier run

    def remember(self, trials: Iterable[PastTrial]) -> list[str]:
        """Note what was decided in an earlier run: the state of a scheduler that was stored last may be older.

        Args:
            trials: the trials of that run.

        Returns:
            The ids of the trials that were dropped at a rung. Some may not have been over yet.
        """
        self._past = {trial.ray_id: trial for trial in trials if trial.rungs}
        return [trial_id for trial_id, trial in self._past.items() if not trial.rungs[-1].goes_on]

    def recall(self, scheduler: Any, trial_id: str | None = None) -> None:
        """Let a scheduler remember what was decided in an earlier run.

        Args:
            scheduler: the scheduler, in its stored state.
            trial_id: the id of a trial that it has just got; None for all trials.
        """
        names = metric_names(scheduler.metric)
        for known in self._past if trial_id is None else {trial_id} & self._past.keys():
            for rung in self._past[known].rungs:
                seen = as_reported(tune_result(rung.metrics, rung.iteration, 0.0), names)
                if has_metrics(seen, names):
                    recall_rung(scheduler, known, rung.bracket, rung.rung, seen[scheduler.metric])

    def before(self, scheduler: Any, trial: Any) -> None:
        """Note what a scheduler remembers before it gets a result.

        Args:
            scheduler: the scheduler.
            trial: the trial with the result.
        """
        self._reached = recorded_rungs(scheduler, trial.trial_id)

    def after_result(self, scheduler: Any, trial: Any, decision: str) -> Iterator[Decision]:
        """Yield what ASHA has decided with a result.

        Args:
            scheduler: the scheduler.
            trial: the trial with the result.
            decision: what the scheduler has returned.
        """
        unit = time_attribute(scheduler) or ""
        for bracket, rung in sorted(recorded_rungs(scheduler, trial.trial_id) - self._reached):
            yield Decision(trial, rung, unit, bracket, decision != TrialScheduler.STOP)

    def after_call(self, scheduler: Any, ended: Any = None) -> Iterator[Decision]:
        """Yield what HyperBand has decided since the last call. It must not be comparing trials at the moment.

        Args:
            scheduler: the scheduler. After a trial was added to it, too, this has to be called.
            ended: a trial that has ended by itself meanwhile, so that nobody has compared it; or None.
        """
        now, unit = halvings(scheduler), time_attribute(scheduler) or ""
        before, self._halvings = self._halvings, now
        for number, bracket in now.items():
            if number in before and bracket.left < before[number].left:
                compared = sorted(before[number].trials - {ended}, key=lambda trial: str(trial.trial_id))
                for trial in compared:
                    yield Decision(trial, before[number].rung, unit, number, trial in bracket.trials)
