"""The estimated remaining time of an experiment, with its uncertainty.

The remaining trials are simulated many times. The duration of each is drawn from those of the trials that are over, and
as many run at once as the experiment allows. Trials that were stopped early or have failed count with their own
durations, since some of the remaining trials will end like them.
"""

from __future__ import annotations

import math
import random
import statistics
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from typing import Protocol

from nbtune.spec.units import format_duration

__all__ = ["TimeLeft", "estimate", "time_left"]

_SIMULATIONS = 60
_MAX_SIMULATED = 64  # the last waiting trials are simulated one by one; of those before them, only the sum
_PRIOR_DEVIATION = 0.5  # the relative standard deviation of durations that is assumed before any are known


@dataclass(frozen=True)
class TimeLeft:
    """The estimated remaining time of an experiment, in seconds.

    Attributes:
        low: the 10th percentile.
        likely: the median.
        high: the 90th percentile.
    """

    low: float
    likely: float
    high: float

    def __str__(self) -> str:
        low, likely, high = map(format_duration, (self.low, self.likely, self.high))
        return f"about {likely} left" + (f" ({low} to {high})" if low != high else "")


class _Trial(Protocol):
    @property
    def status(self) -> str: ...
    @property
    def started(self) -> float | None: ...
    @property
    def ended(self) -> float | None: ...
    @property
    def time_s(self) -> float: ...


def time_left(
    trials: Iterable[_Trial], total: int, slots: int, now: float, *, budget: float | None = None
) -> TimeLeft | None:
    """Estimate the remaining time of an experiment.

    Args:
        trials: the trials that have been created so far (`nbtune.results.state.TrialState`).
        total: the number of trials that the experiment will have.
        slots: how many trials run at once.
        now: seconds since the epoch.
        budget: the seconds after which the experiment ends in any case, or None.

    Returns:
        The estimate, or None while no trial is over and when all are.
    """
    durations, running, paused, over = [], [], [], 0
    for trial in trials:
        if trial.ended is not None:
            over += 1
            if trial.started is not None:
                durations.append(trial.ended - trial.started)
        if trial.status == "running" and trial.started is not None:
            running.append(max(0.0, now - trial.started))
        elif trial.status == "paused":
            paused.append(0.0 if math.isnan(trial.time_s) else trial.time_s)
    if not durations or over >= total:
        return None
    new = [0.0] * (total - over - len(running) - len(paused))
    estimated = estimate(durations, running, [*paused, *new], slots)
    if budget is None:
        return estimated
    return TimeLeft(*(min(max(0.0, budget), value) for value in (estimated.low, estimated.likely, estimated.high)))


def estimate(durations: Sequence[float], running: Sequence[float], waiting: Sequence[float], slots: int) -> TimeLeft:
    """Estimate the time until all trials are over.

    Args:
        durations: the seconds that each finished trial has taken; at least one.
        running: the seconds that each running trial has taken so far.
        waiting: the same for the trials that wait for a slot, in their order; 0 for new trials.
        slots: how many trials run at once.
    """
    generator = random.Random(0)  # noqa: S311 - no secret; a fixed seed, so that the estimate does not flicker
    mean = statistics.fmean(durations)
    # Relative. `statistics.pstdev` is exact, and takes 10 ms for the durations of 10,000 trials.
    deviation = (
        math.sqrt(math.fsum((one - mean) ** 2 for one in durations) / len(durations)) / mean if mean > 0 else 0.0
    )
    # The relative standard error of the mean: the first trials tell little about the others.
    error = math.sqrt(
        (_PRIOR_DEVIATION**2 + len(durations) * deviation**2) / len(durations) / max(1, len(durations) - 1)
    )
    ordered, num_slots = sorted(durations), max(1, slots, len(running))
    bulk, simulated = waiting[:-_MAX_SIMULATED], waiting[-_MAX_SIMULATED:]
    ends = []
    for _ in range(_SIMULATIONS):
        pace = math.exp(generator.gauss(0, error))
        slot_ends = [_remaining(ordered, elapsed, pace, generator) for elapsed in running]
        slot_ends += [0.0] * (num_slots - len(slot_ends))
        if bulk:
            spread = math.sqrt(len(bulk)) * deviation * mean * generator.gauss(0, 1)
            work = max(0.0, len(bulk) * mean + spread - sum(bulk))
            slot_ends = [end + work * pace / num_slots for end in slot_ends]
        heapify(slot_ends)
        for elapsed in simulated:
            heapreplace(slot_ends, slot_ends[0] + _remaining(ordered, elapsed, pace, generator))
        ends.append(max(slot_ends))
    ends.sort()
    return TimeLeft(ends[_SIMULATIONS // 10], ends[_SIMULATIONS // 2], ends[-1 - _SIMULATIONS // 10])


def _remaining(ordered: Sequence[float], elapsed: float, pace: float, generator: random.Random) -> float:
    """Draw the remaining time of a trial from the durations that are longer than what it has taken so far.

    A trial that has taken longer than all others is assumed to need a part of an average duration more.
    """
    if not elapsed:
        return generator.choice(ordered) * pace
    first = bisect_right(ordered, elapsed / pace)
    if first < len(ordered):
        return ordered[generator.randrange(first, len(ordered))] * pace - elapsed
    return generator.choice(ordered) * pace * generator.random()
