"""The handle on one trial: its parameters, results, checkpoints and error, and its stop button."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from nbtune.engine.protocol.commands import AddTrial, Command, PauseTrial, ResumeTrial, StopTrial
from nbtune.engine.trial.checkpoint import Checkpoint
from nbtune.errors import ExperimentError
from nbtune.results.state import TrialState
from nbtune.results.store import Store, flat

if TYPE_CHECKING:
    import pandas as pd

    from nbtune.engine.storage.storage import Storage

__all__ = ["Host", "Trial"]


class Host(Protocol):
    """The experiment, as far as its trials need it."""

    _store: Store

    @property
    def name(self) -> str: ...
    @property
    def where(self) -> Storage | None: ...
    @property
    def history(self) -> pd.DataFrame: ...
    def _check_parameters(self, config: Mapping[str, Any]) -> None: ...
    def _execute(self, command: Command) -> None: ...


class Trial:
    """One trial, as it is now. What it tells is looked up each time, so it is right after a resumption as well.

    In the moment between a resumption and the first events that are told anew it is pending, with nothing known.

    Attributes:
        id: its number, counted from 0 as trials were added; the index of `Experiment.df`.
    """

    def __init__(self, experiment: Host, number: int) -> None:
        self._experiment = experiment
        self.id = number

    @property
    def _state(self) -> TrialState:
        return self._experiment._store.state(self.id) or TrialState(self.id)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.metrics.items())
        return f"Trial {self.id} ({self.status}): {self.config} -> {shown or 'nothing reported'}"

    @property
    def status(self) -> str:
        """Return "pending", "running", "paused", "finished", "stopped" or "failed"."""
        return self._state.status

    @property
    def config(self) -> dict[str, Any]:
        """Its parameters."""
        return self._state.config

    @property
    def metrics(self) -> dict[str, Any]:
        """The last value of each metric."""
        return self._state.metrics

    @property
    def history(self) -> pd.DataFrame:
        """One row for each report: iteration, time_s and the metrics."""
        frame = self._experiment.history
        return frame[frame["trial"] == self.id].drop(columns="trial").reset_index(drop=True)

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Its latest checkpoint, or None."""
        found = self.checkpoints
        return found[-1] if found else None

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints that it has reported, the latest last; `keep_checkpoints` may have removed some."""
        where = self._experiment.where
        return [Checkpoint(path, where.open()[0]) for path in self._state.checkpoints] if where else []

    @property
    def error(self) -> str | None:
        """Why it failed: the traceback, with the cell's own lines. None if it did not."""
        state = self._state
        return state.traceback or state.error

    @property
    def workers(self) -> pd.DataFrame:
        """One row for each worker of a distributed trial, as they are now; none if it is not distributed.

        The index "rank" is the worker's. Columns: `node`, `pid` and `gpus`, where it runs; `iteration`; of its
        last ten reports the medians `seconds`, its own from one report to the next without waiting, `waited`,
        then for the others, and `cpu`, its process's seconds of CPU; `straggler`; the last value of each metric.
        A straggler is a worker whose `seconds` are more than 1.2 times the median over the workers, and at
        least 0.05 s above it, once they have reported three times.

        Workers that wait for each other at every step, as those of PyTorch's DDP do, have the same `seconds`
        whoever is slow: there `cpu` tells more, and no straggler is found.
        """
        return self._experiment._store.workers.frame(self.id)

    @property
    def worker_history(self) -> pd.DataFrame:
        """One row for each report of each worker: rank, iteration, time_s, seconds, waited, cpu and the metrics."""
        return self._experiment._store.workers.history(self.id)

    def logs(self, tail: int | None = None, rank: int | None = None) -> str:
        """Return what its code has printed so far: stdout and stderr as they came, also logging and warnings.

        While it runs this is a second or two behind, up to five where an object store keeps it. It is read
        from storage and stays there. The attempts of a trial that was tried again come one after another.
        Progress bars are shown as a terminal leaves them. Of very much text the first megabyte and the
        last ones are kept. What other processes of its own print (DataLoader workers) is only in Ray's logs.
        Of a distributed trial, what each worker has printed comes below a line with its rank.

        Args:
            tail: how many of the last lines, of each worker; all of them if None.
            rank: of which worker of a distributed trial; of all of them if None.

        Raises:
            ExperimentError: the storage cannot be read, or there is no such worker.
        """
        from nbtune.results.logs import logs

        where, folder = self._experiment.where, self._state.folder
        return (
            logs(where, folder, self._experiment._store.workers.ranks(self.id), tail, rank) if where and folder else ""
        )

    def stop(self) -> None:
        """End this trial. Its place goes to the next one.

        Raises:
            ExperimentError: the experiment does not run.
        """
        self._experiment._execute(StopTrial(self.id))

    def pause(self) -> None:
        """Let this trial give up its place after its next checkpoint, until `resume`.

        Raises:
            ExperimentError: it does not run, or no trial of the experiment keeps checkpoints: what it has
                trained would be lost.
        """
        self._experiment._execute(PauseTrial(self.id))

    def resume(self) -> None:
        """Let this trial go on from its checkpoint after `pause`, once there is a place.

        Raises:
            ExperimentError: it was not paused by `pause`.
        """
        self._experiment._execute(ResumeTrial(self.id))

    def clone(self, point: Mapping[str, Any] | None = None, /, *, checkpoint: bool = False, **parameters: Any) -> None:
        """Try this trial's point again with changes, next, also after the experiment's end.

        Args:
            point: parameter -> value, for names that are no Python identifiers ("a/b"), or "checkpoint".
            checkpoint: whether the new trial starts from this one's latest checkpoint, as population based
                training does; else it starts afresh.
            parameters: parameter=value.

        Raises:
            ExperimentError: there is no such parameter, no checkpoint, or the experiment cannot be reached or does
                not have this trial (yet) after a resumption.
        """
        experiment, changes = self._experiment, {**(point or {}), **parameters}
        experiment._check_parameters(changes)
        state = experiment._store.state(self.id)
        if state is None:  # without its parameters, all would be sampled
            raise ExperimentError(f"trial {self.id} of {experiment.name} is not known yet: the experiment was resumed")
        config = {**dict(flat(state.config)), **changes}
        experiment._execute(AddTrial(config, start_from=self.id if checkpoint else None))
