"""What trials tell their driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbtune.engine.protocol.events import WorkerInfo
    from nbtune.engine.tune.recorder import Recorder

__all__ = ["TrialMessages"]


class TrialMessages:
    """The methods of the driver's actor that trials call."""

    _recorder: Recorder | None = None

    async def workers(self, trial_id: str, iteration: int, workers: list[WorkerInfo]) -> None:
        """Record that the workers of a trial have started.

        Args:
            trial_id: Tune's id.
            iteration: the number of reports before.
            workers: all workers that the trial has now.
        """
        assert self._recorder is not None, "trials exist after the recorder"
        self._recorder.on_workers(trial_id, iteration, workers)

    async def pruned(self, trial_id: str) -> None:
        """Record that a trial that is about to end has stopped early by itself.

        Args:
            trial_id: Tune's id.
        """
        assert self._recorder is not None, "trials exist after the recorder"
        self._recorder.pruned.add(trial_id)
