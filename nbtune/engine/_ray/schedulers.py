"""Private APIs of Ray Tune's schedulers: what they remember of the trials."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

# What population based training remembers of a checkpoint that is being saved.
from ray.train._internal.session import _FutureTrainingResult as FutureTrainingResult
from ray.train._internal.session import _TrainingResult as TrainingResult
from ray.tune.result import SHOULD_CHECKPOINT, TRAINING_ITERATION
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    HyperBandScheduler,
    PopulationBasedTraining,
    PopulationBasedTrainingReplay,
    ResourceChangingScheduler,
    TrialScheduler,
)

__all__ = [
    "FutureTrainingResult",
    "Halving",
    "ScheduleReplay",
    "base_scheduler",
    "catch_up_schedule",
    "end_processing",
    "halvings",
    "has_had_its_time",
    "population_checkpoints",
    "recall_rung",
    "recorded_rungs",
    "save_before_pause",
    "settle_population",
    "takes_one_trial",
    "time_attribute",
]


def base_scheduler(scheduler: Any) -> Any:
    """Return the scheduler that decides about trials: the one inside of a `ResourceChangingScheduler`, or itself.

    Args:
        scheduler: any scheduler.
    """
    while isinstance(scheduler, ResourceChangingScheduler):
        scheduler = scheduler._base_scheduler
    return scheduler


def time_attribute(scheduler: Any) -> str | None:
    """Return the entry of the results by which a scheduler measures progress, or None if it needs none.

    Args:
        scheduler: any scheduler.
    """
    name = getattr(base_scheduler(scheduler), "_time_attr", None)
    return name if isinstance(name, str) else None


# -- population based training -----------------------------------------------------------------------


def population_checkpoints(scheduler: Any) -> set[str]:
    """Return the paths of the checkpoints that population based training will copy, if it copies a trial next.

    It remembers them from the last time that it has compared a trial, and Tune may delete them meanwhile.

    Args:
        scheduler: any scheduler.
    """
    population = base_scheduler(scheduler)
    if not isinstance(population, PopulationBasedTraining):
        return set()
    remembered = [state.last_checkpoint for state in list(population._trial_state.values())]
    resolved = [one.resolve(block=False) if isinstance(one, FutureTrainingResult) else one for one in remembered]
    found = [one.checkpoint if isinstance(one, TrainingResult) else one for one in resolved]
    return {str(one.path) for one in found if one is not None}


def settle_population(scheduler: Any) -> None:
    """Let population based training remember the checkpoints that are saved by now, and not that they are being saved.

    It does so itself when it copies one of these trials. A reference to a call that goes on cannot be stored.

    Args:
        scheduler: any scheduler.
    """
    population = base_scheduler(scheduler)
    if not isinstance(population, PopulationBasedTraining):
        return
    for state in population._trial_state.values():
        saved = state.last_checkpoint
        if isinstance(saved, FutureTrainingResult) and (result := saved.resolve(block=False)) is not None:
            state.last_checkpoint, state.last_result = result.checkpoint, result.metrics


def save_before_pause(controller: Any, trial: Any, *, brings_one: bool) -> Any:
    """Let Tune keep the checkpoint that a trial is saving, which it forgets if a scheduler pauses the trial now.

    Population based training waits in the same way for the checkpoints of the trials that it copies.

    Args:
        controller: Tune's controller, as schedulers get it.
        trial: the trial, which runs.
        brings_one: whether the scheduler gets a result of the trial that brings a checkpoint. Tune would ask for it
            only afterwards.

    Returns:
        The checkpoint; None if there is none, or if the trial's process has died.
    """
    saving = trial.temporary_state.saving_to
    if saving is None and brings_one:
        saving = controller._schedule_trial_save(trial)
    if saving is None or (result := saving.resolve()) is None or result.checkpoint is None:
        return None
    # Else Tune would take its own pause for a request to stop the trial after its next checkpoint.
    trial.temporary_state.saving_to = None
    trial.on_checkpoint(result)
    return result.checkpoint


def takes_one_trial(scheduler: Any) -> bool:
    """Return whether a scheduler is made for a single trial: the replay of population based training.

    Args:
        scheduler: any scheduler.
    """
    return isinstance(base_scheduler(scheduler), PopulationBasedTrainingReplay)


class ScheduleReplay(PopulationBasedTrainingReplay):
    """A replay that trains with the schedule to its end.

    Ray Tune's own one saves and pauses the trial by itself, in the same step, so that the loop forgets to let the trial
    go on after its next checkpoint: a training function ends there.

    Args:
        policy: (iteration, parameters), the first for iteration 0; or the path of a file of Ray Tune's, whose JSON
            loses the types of some parameters.
    """

    def __init__(self, policy: str | Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        self._given = None if isinstance(policy, str) else [(at, dict(config)) for at, config in policy]
        super().__init__(policy if isinstance(policy, str) else os.devnull)

    def _load_policy(self, policy_file: str) -> tuple[dict[str, Any], list[tuple[int, dict[str, Any]]]]:
        if self._given is None:
            return super()._load_policy(policy_file)
        return self._given[0][1], self._given[1:]

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        initial = self.config
        super().on_trial_add(tune_controller, trial)
        self.config = initial  # Ray Tune keeps what was sampled if nothing changes later
        self.catch_up(trial)

    def catch_up(self, trial: Any) -> None:
        """Give a trial the parameters that are in force after its latest checkpoint.

        The snapshot of a resumed experiment may be older than the trial, or older than this scheduler's state.

        Args:
            trial: Tune's trial.
        """
        saved = trial.latest_checkpoint_result
        self._advance(0 if saved is None else saved.metrics[TRAINING_ITERATION])
        trial.set_config(self.current_config)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if not result.get(SHOULD_CHECKPOINT) or not self._advance(result[TRAINING_ITERATION]):
            return TrialScheduler.CONTINUE
        trial.set_config(self.current_config)
        return TrialScheduler.PAUSE  # with its checkpoint, and it is the next trial that runs

    def _advance(self, iteration: int) -> bool:
        """Take the parameters that are in force after some reports; return whether they have changed."""
        before = self.current_config
        while self._next_policy is not None and self._next_policy[0] <= iteration:
            self.current_config, self._next_policy = self._next_policy[1], next(self._policy_iter, None)
        return self.current_config is not before


def catch_up_schedule(scheduler: Any, trial: Any) -> None:
    """Give a trial that a restored scheduler knows the parameters of its schedule, if it replays one.

    Args:
        scheduler: any scheduler.
        trial: Tune's trial, with its latest checkpoint.
    """
    replay = base_scheduler(scheduler)
    if isinstance(replay, ScheduleReplay):
        replay.catch_up(trial)


# -- successive halving ------------------------------------------------------------------------------


def end_processing(scheduler: Any, controller: Any) -> None:
    """Let no trial of HyperBand be paused forever if the trials that it waits for end by themselves.

    While HyperBand compares the trials of a bracket, it sets a flag, since stopping a trial calls it again; it never
    resets the flag, and then compares no trials any more when one ends. Nor does it stop the paused trials of a bracket
    that is finished by the end of another one.

    Args:
        scheduler: any scheduler. It must not be comparing trials at the moment.
        controller: Tune's controller, as schedulers get it.
    """
    for _, bracket in _brackets(base_scheduler(scheduler)):
        bracket.is_being_processed = False
        if bracket.current_trials() and bracket.finished():
            bracket.cleanup_full(controller)


def recorded_rungs(scheduler: Any, trial_id: str) -> set[tuple[int, float]]:
    """Return the rungs of asynchronous successive halving that a trial has reached: bracket, and where the rung is.

    Args:
        scheduler: any scheduler.
        trial_id: Tune's id.
    """
    asha = base_scheduler(scheduler)
    if not isinstance(asha, AsyncHyperBandScheduler) or (bracket := asha._trial_info.get(trial_id)) is None:
        return set()
    number = next(number for number, known in enumerate(asha._brackets) if known is bracket)
    return {(number, rung) for rung, recorded in bracket._rungs if trial_id in recorded}


def has_had_its_time(scheduler: Any, trial: Any, result: Mapping[str, Any]) -> bool:
    """Return whether a trial that a scheduler stops has had all the time that the scheduler gives to any trial.

    That is `max_t`. A bracket of HyperBand ends at its last rung, which may come somewhat earlier.

    Args:
        scheduler: any scheduler. One that does not limit the time of trials gives no such time.
        trial: Tune's trial.
        result: its last result.
    """
    inner, time = base_scheduler(scheduler), result.get(time_attribute(scheduler) or "")
    if not isinstance(time, (int, float)):
        return False
    if isinstance(inner, AsyncHyperBandScheduler):
        return bool(inner._stop_last_trials and time >= inner._max_t)
    if isinstance(inner, HyperBandScheduler) and trial in inner._trial_info:
        bracket = inner._trial_info[trial][0]
        return bool(bracket.stop_last_trials and bracket._halves == 0 and time >= bracket._cumul_r)
    return False


def recall_rung(scheduler: Any, trial_id: str, bracket: int, rung: float, value: float) -> None:
    """Let asynchronous successive halving remember a trial that it has compared before its state was saved last.

    Args:
        scheduler: any scheduler.
        trial_id: Tune's id.
        bracket: the number of the bracket.
        rung: where the rung is.
        value: the value of the metric there.
    """
    asha = base_scheduler(scheduler)
    if not isinstance(asha, AsyncHyperBandScheduler) or bracket >= len(asha._brackets):
        return
    for at, recorded in asha._brackets[bracket]._rungs:
        if at == rung:
            recorded.setdefault(trial_id, (asha._metric_op or 1.0) * value)
    if trial_id in asha._trial_info:
        asha._trial_info[trial_id] = asha._brackets[bracket]


class Halving(NamedTuple):
    """A bracket of HyperBand.

    Attributes:
        left: how often its trials are halved yet.
        rung: where its trials are compared next.
        trials: the trials in it.
    """

    left: int
    rung: float
    trials: frozenset[Any]


def halvings(scheduler: Any) -> dict[int, Halving]:
    """Return the brackets of HyperBand by their numbers; none of another scheduler.

    Args:
        scheduler: any scheduler.
    """
    return {
        number: Halving(bracket._halves, bracket._cumul_r, frozenset(bracket._live_trials))
        for number, bracket in _brackets(base_scheduler(scheduler))
    }


def _brackets(scheduler: Any) -> Iterator[tuple[int, Any]]:
    if isinstance(scheduler, HyperBandScheduler):
        brackets = [bracket for band in scheduler._hyperbands for bracket in band if bracket is not None]
        yield from enumerate(brackets)
