"""What a search with requested trials learns about the trials of an earlier run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from nbtune.engine.protocol.replay import PastTrial
from nbtune.engine.tune.continuation import last_results
from nbtune.engine.tune.proposals import Proposals
from nbtune.engine.tune.usable_results import UsableResults
from nbtune.engine.tune.user_part import HasUserPart, ends_experiment
from nbtune.spec.space.values import same

__all__ = ["Remembering"]


class Remembering(Proposals, HasUserPart):
    """Brings a search up to date with the event log."""

    _results: UsableResults

    @property
    @abstractmethod
    def metric(self) -> Any:
        """The metric of the search algorithm: None, a name or a list of names."""

    @abstractmethod
    def place(self, trial_id: str) -> tuple[int, int] | None:
        """Return the number of a trial's configuration, and that of its repeat; None if none is repeated."""

    @abstractmethod
    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Note the end of a trial."""

    def restore_repeats(self, earlier: Iterable[PastTrial], *, failed: bool) -> None:
        """Bring the repeats of configurations up to date with the event log.

        Args:
            earlier: the trials of the earlier run, in the order in which they were created.
            failed: whether failed trials are resumed, too.
        """
        if self._state.repeats is not None:
            self._state.repeats.restore(earlier, self._state.starts, failed=failed)

    def start_of(self, trial_id: str) -> Any:
        """Return the checkpoint of another trial that a trial starts from, as a result of Tune; None if there is none.

        Args:
            trial_id: Tune's id of a trial of an earlier run.
        """
        if (repeats := self._state.repeats) is not None and repeats.place(trial_id) is not None:
            return repeats.start_of(trial_id)
        return self._state.starts.get(trial_id)

    def go_on(self, past: PastTrial) -> None:
        """Note that a trial of an earlier run goes on, and its results, in case that it ends without another one.

        Args:
            past: the trial.
        """
        for result in last_results(past):
            self._results.add(past.ray_id, result, self.metric)
        # The result of a trial that has failed before is one that the algorithm has not asked for.
        if self._state.over.pop(past.ray_id, None) is not None and self.place(past.ray_id) is None:
            self._state.names[past.ray_id] = None
        if not self._is_awaited(past.ray_id, past.by):
            self._configs[past.ray_id] = past.config

    @ends_experiment(None)
    def add_past(self, past: PastTrial) -> None:
        """Give the algorithm the result of a trial that is over, unless it has it, if it supports that.

        Args:
            past: the trial.
        """
        has_failed = past.status == "failed"
        if self._state.over.get(past.ray_id) in (False, has_failed):
            return
        self.go_on(past)
        self.on_trial_complete(past.ray_id, error=has_failed)

    @ends_experiment(None)
    def skip_proposal(self, past: PastTrial) -> None:
        """Take the next proposal if the algorithm does not know that a trial was made of it in an earlier run.

        If it proposes the same point again, as it does with its state at that time, the trial's results are those of
        the proposal. Else the proposal is dropped, and the trial's point is one that it has not proposed.

        Args:
            past: the trial of the earlier run.
        """
        if past.ray_id in self._state.proposed:
            return
        self._state.proposed.add(past.ray_id)
        self._state.names[past.ray_id] = None
        if (trial := self._propose(wait=True)) is None:
            return
        if same(trial.config, past.config):
            self._state.names[past.ray_id] = trial.trial_id
        else:
            self._background.tell("on_trial_complete", trial.trial_id, error=True)
