"""What trials tell their driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtune.engine.protocol.events import DataRead, WorkersStarted

if TYPE_CHECKING:
    from nbtune.engine.protocol.events import WorkerInfo
    from nbtune.engine.protocol.failures import NotUnpackedError
    from nbtune.engine.tune.recorder import Recorder
    from nbtune.engine.tune.user_part import Failures

__all__ = ["TrialMessages"]


class TrialMessages:
    """The methods of the driver's actor that trials call."""

    _recorder: Recorder | None = None
    _failures: Failures | None = None
    _is_unpacked = False  # whether a trial has unpickled the program

    async def workers(self, trial_id: str, iteration: int, workers: list[WorkerInfo]) -> None:
        """Record that the workers of a trial have started.

        Args:
            trial_id: Tune's id.
            iteration: the number of reports before.
            workers: all workers that the trial has now.
        """
        assert self._recorder is not None, "trials exist after the recorder"
        self._recorder.on_told(trial_id, WorkersStarted, iteration=iteration, workers=workers)

    async def read(self, trial_id: str, worker: int, reads: dict[str, list[float]]) -> None:
        """Record what a process of a trial has read of the data sets.

        Args:
            trial_id: Tune's id.
            worker: the rank of the worker; 0 for a trial without workers.
            reads: as in `nbtune.engine.protocol.events.DataRead`.
        """
        assert self._recorder is not None, "trials exist after the recorder"
        self._recorder.on_told(trial_id, DataRead, late=True, worker=worker, reads=reads)

    async def unpacked(self) -> None:
        """Note that a trial's process has the program and its variables."""
        self._is_unpacked = True

    async def not_unpacked(self, error: NotUnpackedError) -> bool:
        """Note that a trial's process cannot unpickle the program or its variables.

        The first trials find that out, since only their processes have the modules, devices and environment variables
        of a trial.

        Args:
            error: the error.

        Returns:
            Whether the experiment ends with this error; otherwise only the trial fails, since another one could.
        """
        assert self._recorder is not None, "trials exist after the recorder"
        assert self._failures is not None
        if self._is_unpacked or self._recorder.has_reports:
            return False
        self._failures.add_final(error)
        return True

    async def pruned(self, trial_id: str) -> None:
        """Record that a trial that is about to end has stopped early by itself.

        Args:
            trial_id: Tune's id.
        """
        assert self._recorder is not None, "trials exist after the recorder"
        self._recorder.pruned.add(trial_id)
