"""The trials that the user has requested, and what Tune's snapshot keeps of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nbtune.engine.protocol.replay import PastTrial
from nbtune.engine.tune.repeats import Repeats

__all__ = ["RequestState", "RequestedTrial"]


@dataclass(frozen=True)
class RequestedTrial:
    """A trial that is created whatever the search algorithm proposes.

    Attributes:
        config: all of its parameters.
        past: the trial in an earlier run, or None for a new trial.
        start: the checkpoint of another trial that it starts from, as a result of Tune, or None.
        by: who has added it: "user", or "search" for a trial that the algorithm had proposed in an earlier run.
    """

    config: dict[str, Any]
    past: PastTrial | None = None
    start: Any = None
    by: str = "user"


@dataclass
class RequestState:
    """What a search with requested trials keeps in Tune's snapshot."""

    experiment: Any = None
    requested: deque[RequestedTrial] = field(default_factory=deque)
    user_trials: set[str] = field(default_factory=set)  # ids of the trials that the user has added
    max_concurrent: int | None = None
    added: int = 0
    proposed: set[str] = field(default_factory=set)  # ids of the trials that the algorithm has proposed
    # Of trials of an earlier run: their ids for the algorithm; None if it does not wait for them.
    names: dict[str, str | None] = field(default_factory=dict)
    over: dict[str, bool] = field(default_factory=dict)  # the trials that have ended: Tune's id -> whether by an error
    starts: dict[str, Any] = field(default_factory=dict)  # Tune's id -> `start`, as above, of trials that may go on
    drawn: int = 0  # samples that have replaced rejected ones
    decoded: int = 0  # configurations of the algorithm, and samples that have replaced some of them
    repeats: Repeats | None = None  # None where each configuration is trained once

    def forget_created(self, user_trials: Sequence[str], known: Collection[str]) -> None:
        """Drop the requests of trials that exist.

        These are the new ones of which trials were created after the snapshot, in the order in which they were made,
        and the trials of an earlier run that had not been created yet: what the log tells of them is newer.

        Args:
            user_trials: the ids of the trials that were created at the user's request, according to the event log, in
                the order in which they were created.
            known: the ids of all trials that the event log or Tune's snapshot has.
        """
        created = deque(trial_id for trial_id in user_trials if trial_id not in self.user_trials)
        self.user_trials.update(user_trials)
        queued, self.requested = self.requested, deque()
        for one in queued:
            if one.past is None and created:
                self.note_start(created.popleft(), one.start)
                self.added += 1
            elif one.past is None or one.past.ray_id not in known:
                self.requested.append(one)
                if one.past is not None:  # the log has lost it, perhaps with checkpoints that it has saved since
                    one.past.is_damaged = True

    def needed_checkpoints(self) -> set[str]:
        """Return the paths of other trials' checkpoints that queued trials start from. Called on another thread.

        A failed trial may be tried again.
        """
        starts = [one.start for one in list(self.requested)]
        starts += [start for trial_id, start in list(self.starts.items()) if self.over.get(trial_id)]
        if self.repeats is not None:
            starts += self.repeats.due_starts()
        return {str(start.checkpoint.path) for start in starts if start is not None}

    def move(self, moved: Callable[[Any], Any]) -> None:
        """Let trials start from checkpoints in another folder: the experiment's may have been moved.

        Args:
            moved: takes a checkpoint as in `RequestedTrial`, and returns it as it is in that folder.
        """
        self.requested = deque(
            one if one.start is None else replace(one, start=moved(one.start)) for one in self.requested
        )
        self.starts = {trial_id: moved(start) for trial_id, start in self.starts.items()}
        if self.repeats is not None:
            self.repeats.move(moved)

    def note_start(self, trial_id: str, start: Any) -> None:
        """Note the checkpoint of another trial that a trial starts from. The log has it only once it has started.

        Args:
            trial_id: Tune's id of the trial.
            start: the checkpoint, as in `RequestedTrial`.
        """
        if start is not None:
            self.starts[trial_id] = start
