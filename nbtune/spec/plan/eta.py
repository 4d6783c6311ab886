"""The time that an experiment has left: from how long its trials have taken so far, with the spread of that.

What is still to come is played through many times, each trial with a duration drawn from those that are over, on as
many places as there are. Trials that were stopped early or have failed count as what they took: more of them will.
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

_TIMES = 60  # how often it is played through
_TAIL = 64  # trials that are drawn one by one; of more before them the sum is drawn
_SPREAD = 0.5  # of what one trial took, as a share: what is expected of the others before they tell


@dataclass(frozen=True)
class TimeLeft:
    """The seconds that an experiment may have left.

    Attributes:
        low: in one case of ten it is less.
        likely: it is as often less as more.
        high: in one case of ten it is more.
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
    trials: Iterable[_Trial], total: int, places: int, now: float, *, budget: float | None = None
) -> TimeLeft | None:
    """Return the time that may be left, or None while no trial is over, or when all are.

    Args:
        trials: those that have been added so far (`nbtune.results.state.TrialState`).
        total: how many there will be.
        places: how many run at once.
        now: seconds since the epoch.
        budget: the seconds after which the experiment is ended in any case, or None.
    """
    known = list(trials)
    took = [one.ended - one.started for one in known if one.ended is not None and one.started is not None]
    running = [max(0.0, now - one.started) for one in known if one.status == "running" and one.started is not None]
    paused = [0.0 if math.isnan(one.time_s) else one.time_s for one in known if one.status == "paused"]
    over = sum(one.ended is not None for one in known)
    if not took or over >= total:
        return None
    found = estimate(took, running, [*paused, *[0.0] * (total - over - len(running) - len(paused))], places)
    if budget is None:
        return found
    return TimeLeft(*(min(max(0.0, budget), seconds) for seconds in (found.low, found.likely, found.high)))


def estimate(took: Sequence[float], running: Sequence[float], waiting: Sequence[float], places: int) -> TimeLeft:
    """Return the time until all trials are over.

    Args:
        took: seconds that trials took which are over; one at least.
        running: seconds that each of those that run has had so far.
        waiting: the same of those that wait for a place, in their order: 0 for those that are new.
        places: how many run at once.
    """
    drawn = random.Random(0)  # noqa: S311 - no secret; the same each time, so that the answer does not flicker
    mean = statistics.fmean(took)
    of_one = statistics.pstdev(took) / mean if mean > 0 else 0.0
    # How well the mean is known: the first trials say little of the others.
    unsure = math.sqrt((_SPREAD**2 + len(took) * of_one**2) / len(took) / max(1, len(took) - 1))
    ordered, slots = sorted(took), max(1, places, len(running))
    bulk, tail = waiting[:-_TAIL], waiting[-_TAIL:]
    ends = []
    for _ in range(_TIMES):
        pace = math.exp(drawn.gauss(0, unsure))
        free = [_rest(ordered, had, pace, drawn) for had in running]
        free += [0.0] * (slots - len(free))
        if bulk:
            work = len(bulk) * mean + math.sqrt(len(bulk)) * of_one * mean * drawn.gauss(0, 1) - sum(bulk)
            free = [at + max(0.0, work) * pace / slots for at in free]
        heapify(free)
        for had in tail:
            heapreplace(free, free[0] + _rest(ordered, had, pace, drawn))
        ends.append(max(free))
    ends.sort()
    return TimeLeft(ends[_TIMES // 10], ends[_TIMES // 2], ends[-1 - _TIMES // 10])


def _rest(ordered: Sequence[float], had: float, pace: float, drawn: random.Random) -> float:
    """Return how much longer a trial takes that has had some time, as one drawn from those which took longer.

    One that has had more than any of them is taken to need a part of a usual time once more.
    """
    if not had:
        return drawn.choice(ordered) * pace
    first = bisect_right(ordered, had / pace)
    if first < len(ordered):
        return ordered[drawn.randrange(first, len(ordered))] * pace - had
    return drawn.choice(ordered) * pace * drawn.random()
