"""Configurations that are trained several times: which repeats there are, and the mean that the search algorithm gets.

Ray Tune's `Repeater` does not know trials that were restored from a log, counts a failed trial's last number, and puts
the number of the repeat among the parameters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.engine.protocol.replay import PastTrial
from nbtune.spec.options.repeat import mean_of

__all__ = ["Configuration", "Outcome", "Repeats"]


@dataclass
class Configuration:
    """A configuration that is trained several times.

    Attributes:
        number: its number, counted from 0.
        config: its parameters, nested; empty once the search algorithm has its result.
        by: who has added it, "user" or "search".
        start: the checkpoint of another trial that its trials start from, as a result of Tune, or None.
        trials: number of the repeat -> Tune's id of its trial.
        results: Tune's id -> the numbers of the last result of a trial that is over; None if it has failed.
        is_over: whether its result is known.
        is_dropped: whether it gets no further trials.
    """

    number: int
    config: Mapping[str, Any]
    by: str = "search"
    start: Any = None
    trials: dict[int, str] = field(default_factory=dict)
    results: dict[str, dict[str, float] | None] = field(default_factory=dict)
    is_over: bool = False
    is_dropped: bool = False

    @property
    def first(self) -> str:
        """Tune's id of the first trial that it has got."""
        return next(iter(self.trials.values()))


@dataclass(frozen=True)
class Outcome:
    """The result of a configuration, whose trials are all over.

    Attributes:
        trial_id: Tune's id of its first trial.
        config: the parameters.
        result: the mean of each number over the trials that have one; None if all have failed.
    """

    trial_id: str
    config: Mapping[str, Any]
    result: dict[str, float] | None


class Repeats:
    """The configurations of an experiment that are trained several times. It is part of Tune's snapshot.

    Args:
        times: how often each is trained.
    """

    def __init__(self, times: int) -> None:
        self.times = times
        self._known: dict[int, Configuration] = {}
        self._next = 0  # the number of the next configuration
        self._places: dict[str, tuple[int, int]] = {}  # Tune's id -> the configuration's number, and the repeat's
        self._due: deque[int] = deque()  # the configurations that do not have all of their trials

    def begin(self, trial_id: str, config: Mapping[str, Any], *, by: str, start: Any = None) -> None:
        """Note a new configuration by its first trial.

        Args:
            trial_id: Tune's id.
            config: the parameters, nested.
            by: as in `Configuration`.
            start: as in `Configuration`.
        """
        number, self._next = self._next, self._next + 1
        self._known[number] = Configuration(number, config, by, start)
        self._due.append(number)
        self.add(number, 0, trial_id)

    def add(self, number: int, repeat: int, trial_id: str) -> None:
        """Note the trial of a repeat.

        Args:
            number: the configuration's number.
            repeat: the number of the repeat.
            trial_id: Tune's id.
        """
        self._known[number].trials[repeat] = trial_id
        self._places[trial_id] = number, repeat
        if len(self._known[number].trials) >= self.times:
            self._due = deque(other for other in self._due if other != number)

    def due(self) -> tuple[Configuration, int] | None:
        """Return the next repeat that has no trial yet: its configuration, and its number; or None."""
        if not self._due:
            return None
        known = self._known[self._due[0]]
        return known, next(repeat for repeat in range(self.times) if repeat not in known.trials)

    def drop_due(self) -> None:
        """Create no further repeats."""
        for number in self._due:
            self._known[number].is_dropped = True
        self._due.clear()

    def place(self, trial_id: str) -> tuple[int, int] | None:
        """Return the number of a trial's configuration, and the number of its repeat; None for an unknown trial.

        Args:
            trial_id: Tune's id.
        """
        return self._places.get(trial_id)

    def end(self, trial_id: str, result: Mapping[str, Any] | None) -> Outcome | None:
        """Note the end of a trial.

        Args:
            trial_id: Tune's id.
            result: its last result; None if it has failed.

        Returns:
            The result of the configuration, once all of its trials are over.
        """
        known = self._known[self._places[trial_id][0]]
        if known.is_over:  # a failed trial that was tried again
            return None
        known.results[trial_id] = None if result is None else _numbers(result)
        return self._outcome(known)

    def _outcome(self, known: Configuration) -> Outcome | None:
        if len(known.trials) < self.times or any(trial_id not in known.results for trial_id in known.trials.values()):
            return None
        found = [result for result in known.results.values() if result is not None]
        names = [name for name in (found[0] if found else ()) if all(name in result for result in found)]
        means = {name: mean_of([result[name] for result in found]) for name in names}
        outcome = Outcome(known.first, known.config, means if found else None)
        known.is_over, known.config, known.results = True, {}, {}
        return outcome

    def start_of(self, trial_id: str) -> Any:
        """Return what a known trial starts from, as in `Configuration`.

        Args:
            trial_id: Tune's id.
        """
        return self._known[self._places[trial_id][0]].start

    def due_starts(self) -> list[Any]:
        """Return what the repeats start from that have no trial yet, as in `Configuration`. Called on any thread."""
        return [self._known[number].start for number in list(self._due)]

    def move(self, moved: Callable[[Any], Any]) -> None:
        """Let repeats start from checkpoints in another folder.

        Args:
            moved: as in `RequestState.move`.
        """
        for known in self._known.values():
            known.start = None if known.start is None else moved(known.start)

    def restore(self, earlier: Iterable[PastTrial], starts: Mapping[str, Any], *, failed: bool) -> None:
        """Bring the configurations up to date with the event log, which may be ahead of Tune's snapshot.

        Args:
            earlier: the trials of the earlier run, in the order in which they were created. `end` is called of those
                that have ended since.
            starts: Tune's id -> the checkpoint of another trial that a trial starts from, as a result of Tune.
            failed: whether failed trials are resumed, too.
        """
        for past in earlier:
            if (number := past.configuration) is None:
                continue
            if number not in self._known:
                self._known[number] = Configuration(number, dict(past.config), past.by, starts.get(past.ray_id))
                self._next = max(self._next, number + 1)
            known = self._known[number]
            known.trials[past.repeat] = past.ray_id
            self._places[past.ray_id] = number, past.repeat
            if past.is_resumed(failed=failed):
                known.results.pop(past.ray_id, None)
        incomplete = [one for one in self._known.values() if len(one.trials) < self.times and not one.is_dropped]
        self._due = deque(sorted(one.number for one in incomplete))


def _numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a result, of which there is a mean."""
    return {
        name: value
        for name, value in result.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
    }
