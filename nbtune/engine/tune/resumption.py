"""Brings a resumed experiment up to date before its first step: Tune's snapshot is older than the event log.

The log decides which trials there are. Tune writes the files of its snapshot one after the other, so that a driver that
was killed meanwhile leaves a list of trials and a state of the search of different moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbtune.engine.protocol.replay import Past
from nbtune.engine.tune.recorder import Recorder
from nbtune.engine.tune.requested import RequestedTrial
from nbtune.engine.tune.scheduler import SteerableScheduler
from nbtune.engine.tune.searcher import SteerableSearch

__all__ = ["Resumption"]


class Resumption:
    """Brings the parts of a run up to date with the event log.

    Args:
        scheduler: the user's, wrapped.
        search_alg: the user's search algorithm, wrapped.
        recorder: writes events.
        failed: whether failed trials are resumed, too.
    """

    def __init__(
        self, scheduler: SteerableScheduler, search_alg: SteerableSearch, recorder: Recorder, *, failed: bool
    ) -> None:
        self._scheduler, self._search_alg, self._recorder, self._failed = scheduler, search_alg, recorder, failed

    def catch_up(self, earlier: Past, restored: Sequence[Any]) -> None:
        """Bring them up to date.

        Args:
            earlier: the earlier run according to the log.
            restored: the trials of Tune's snapshot.
        """
        if earlier.is_damaged:
            self._recorder.recover(restored, earlier)
        by_id = {trial.trial_id: trial for trial in restored}
        trials = sorted(earlier.trials.values(), key=lambda past: past.number)
        self._scheduler.remember(trials)
        added = [past.ray_id for past in trials if past.by == "user" and not past.repeat]
        self._search_alg.forget_created(added, earlier.trials.keys() | by_id.keys())
        self._search_alg.restore_repeats(trials, failed=self._failed)
        for past in trials:
            trial = by_id.get(past.ray_id)
            if past.by == "search" and not past.repeat:
                self._search_alg.skip_proposal(past)
            if not past.is_resumed(failed=self._failed):
                self._search_alg.add_past(past)
                self._stop(trial)
                continue
            self._search_alg.go_on(past)
            self._scheduler.go_on(past)
            if trial is None or trial.is_finished():
                self._recorder.on_waiting(past)  # it may be created much later
                start = self._search_alg.start_of(past.ray_id)
                self._search_alg.request(RequestedTrial(past.config, past=past, start=start, by=past.by))
            elif past.ray_id in self._recorder.ended_by_scheduler:
                self._stop(trial)

    def _stop(self, trial: Any) -> None:
        """Stop a trial that was over before, if Tune's snapshot has it, and has it as one that goes on."""
        if trial is not None and not trial.is_finished():
            self._scheduler.controller.stop_trial(trial)
