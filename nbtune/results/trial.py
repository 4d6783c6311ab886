"""The handle of a trial: its parameters, results, checkpoints, error and commands."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from nbtune.engine.protocol.commands import AddTrial, Command, PauseTrial, ResumeTrial, StopTrial
from nbtune.engine.protocol.not_loaded import refused_names
from nbtune.engine.protocol.trust import Trust
from nbtune.engine.trial.checkpoint import Checkpoint
from nbtune.errors import ExperimentError, UntrustedError
from nbtune.results.checkpoints import best_checkpoint, existing_checkpoints
from nbtune.results.data import read_frame
from nbtune.results.no_value import no_value_note
from nbtune.results.state import NO_VALUE, TrialState
from nbtune.results.store import Store
from nbtune.results.values import adjective
from nbtune.results.why_ended import why_ended
from nbtune.shell import say
from nbtune.shown import shown

if TYPE_CHECKING:
    import pandas as pd

    from nbtune.engine.storage.storage import Storage

__all__ = ["Host", "Trial"]


_OVER = frozenset({"finished", "stopped", "failed"})


class Host(Protocol):
    """The part of an experiment that its trials use."""

    _store: Store
    _trust: Trust

    @property
    def name(self) -> str: ...
    @property
    def where(self) -> Storage | None: ...
    @property
    def history(self) -> pd.DataFrame: ...
    def _check_parameters(self, config: Mapping[str, Any]) -> None: ...
    def _execute(self, command: Command) -> None: ...


class Trial:
    """One trial. Its attributes have the present state, also after the experiment was resumed.

    Between the resumption and the first events that are read again it is pending, without parameters and results.

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
        state, scope, metric = self._state, self._experiment._store.scope, self._experiment._store.metric
        parts = [f"{name}={value!r}" for name, value in state.metrics.items()]
        if metric is not None and state.value is not None and state.value != state.metrics.get(metric):
            at = f" at iteration {state.single.iteration}" if scope == "all" else ""
            parts.append(f"{adjective(scope)} {metric} {state.value!r}{at}")
        status = f"{state.status}, {why_ended(state)}" if state.condition else state.status
        if state.configuration is not None:
            status = f"{status}; repeat {state.repeat} of configuration {state.configuration}"
        return shown(f"Trial {self.id} ({status}): {state.config} -> {', '.join(parts) or 'nothing reported'}")

    @property
    def status(self) -> str:
        """Return "pending", "running", "paused", "finished", "stopped" or "failed"."""
        return self._state.status

    @property
    def reason(self) -> str:
        """Why it is over or paused, in a few words, such as "stop condition: accuracy >= 0.99"; else empty."""
        return why_ended(self._state)

    @property
    def config(self) -> dict[str, Any]:
        """Its parameters; those of its last report, if the scheduler changes them."""
        return self._state.config

    @property
    def metrics(self) -> dict[str, Any]:
        """The last value of each metric."""
        return self._state.metrics

    @property
    def value(self) -> float | None:
        """The value of the experiment's metric by which trials are compared, according to its `scope`.

        By default the best value that the trial has ever reported. None if there is no finite one, or if there are
        several objectives: see `values`.
        """
        return self._state.value

    @property
    def configuration(self) -> int | None:
        """The number of its configuration, where the option `repeat` trains each several times; else None."""
        return self._state.configuration

    @property
    def repeat(self) -> int:
        """Which training of its configuration it is, counted from 0."""
        return self._state.repeat

    @property
    def mean(self) -> float | None:
        """The mean of `value` over the trials of its configuration that have one and have not failed.

        None without any. Without the option `repeat` these are this trial alone.
        """
        return self._experiment._store.configuration_of(self._state).mean

    @property
    def values(self) -> dict[str, float | None]:
        """Metric -> the value by which trials are compared, for each objective of the experiment.

        With several objectives it is by default the last one. None where there is no finite one.
        """
        objectives, values = self._experiment._store.objectives, self._state.values
        found = values or (NO_VALUE,) * len(objectives)
        return {objective.metric: one.value for objective, one in zip(objectives, found, strict=True)}

    @property
    def value_iteration(self) -> int | None:
        """The iteration at which `value` was reached, or None."""
        return self._state.single.iteration

    @property
    def value_config(self) -> dict[str, Any]:
        """The parameters with which `value` was reached. They are `config`, unless the scheduler changes parameters."""
        return self._experiment._store.value_configuration(self._state).nested

    @property
    def history(self) -> pd.DataFrame:
        """One row for each report: iteration, time_s and the metrics."""
        frame = self._experiment.history
        return frame[frame["trial"] == self.id].drop(columns="trial").reset_index(drop=True)

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint that belongs to `value`; without it, the best by the metric. None without any checkpoint.

        In an experiment without a metric, or with several objectives, the latest one.

        Raises:
            ExperimentError: the storage cannot be read.
        """
        store, checkpoints = self._experiment._store, self.checkpoints
        mode = store.metadata.get("mode")
        return best_checkpoint(checkpoints, self._state, store.metric, mode) if checkpoints else None

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Its checkpoints that exist, the latest last, each with its `iteration` and `metrics`.

        Raises:
            ExperimentError: the storage cannot be read.
        """
        where, trust, reports = self._experiment.where, self._experiment._trust, self._experiment._store.reports
        if where is None:
            return []
        return existing_checkpoints(where, self._state, partial(reports.metrics_at, self.id), trust)

    @property
    def files(self) -> dict[str, str]:
        """The files that its code has written to its working directory: name -> the path or URI where they are kept.

        They are kept when the code ends, also by an exception or when it is stopped early at a report. Of a trial in an
        object store at most 100 MB are kept.

        Raises:
            ExperimentError: the storage cannot be read.
        """
        from nbtune.results.files import files

        where, folder = self._experiment.where, self._state.folder
        return files(where, folder) if where and folder else {}

    @property
    def error(self) -> str | None:
        """The traceback of its failure, with the lines of the cell; None if it has not failed."""
        state = self._state
        return state.traceback or state.error

    @property
    def note(self) -> str:
        """Why it has no value of the experiment's metric, if it is over without one and has not failed; else empty."""
        return no_value_note(self._state, self._experiment._store.objectives)

    @property
    def workers(self) -> pd.DataFrame:
        """One row for each present worker of a distributed trial; none if it is not distributed.

        The index "rank" is the worker's rank. Columns: `node`, `pid` and `gpus`, where it runs; `iteration`; the
        medians over its last ten reports of `seconds`, the time from one report to the next without waiting, `waited`,
        the time that it then waited for the other workers, and `cpu`, the CPU time of its process; `straggler`; the
        last value of each metric. A straggler is a worker whose `seconds` are more than 1.2 times the median over the
        workers, and at least 0.05 s above it, after three reports of each.

        Workers that wait for each other at every step, as in PyTorch's DDP, have the same `seconds` whichever of them
        is slow. Then `cpu` shows more, and there are no stragglers.
        """
        store = self._experiment._store
        return store.workers.frame(self.id, store.expected_metrics())

    @property
    def worker_history(self) -> pd.DataFrame:
        """One row for each report of each worker: rank, iteration, time_s, seconds, waited, cpu and the metrics."""
        store = self._experiment._store
        return store.workers.history(self.id, store.expected_metrics())

    @property
    def data(self) -> pd.DataFrame:
        """What its processes have read of the experiment's data sets since they have begun it, one row for each.

        Columns: `worker`, the rank, 0 without workers; `dataset`, its name; `rows` that were read; `passes`, how often
        it was begun from its start; `waited`, the seconds that the code has waited for rows. While the trial runs, it
        is a few seconds old.
        """
        return read_frame(self._state)

    def logs(self, tail: int | None = None, rank: int | None = None) -> str:
        """Return its output so far: stdout and stderr, including logging and warnings.

        The output is read from storage. While the trial runs, it is one or two seconds old, up to five in an object
        store. The attempts of a retried trial follow one another. Progress bars are shown as in a terminal. Of very
        long outputs the first megabyte and the last ones are stored. The output of the trial's own subprocesses
        (DataLoader workers) is only in Ray's logs. The output of each worker of a distributed trial follows a line with
        its rank.

        Args:
            tail: the number of lines from the end, for each worker; None for all.
            rank: the rank of one worker of a distributed trial; None for all workers.

        Raises:
            ExperimentError: the storage cannot be read, or there is no such worker.
        """
        from nbtune.results.logs import logs

        where, folder = self._experiment.where, self._state.folder
        return (
            logs(where, folder, self._experiment._store.workers.ranks(self.id), tail, rank) if where and folder else ""
        )

    def _end_of_log(self, lines: int, rank: int | None) -> tuple[str, int]:
        """Return the last lines of its output, for each worker, and about how many bytes of it are before them."""
        from nbtune.results.logs import size

        text = self.logs(lines, rank)
        where, folder, ranks = (
            self._experiment.where,
            self._state.folder,
            self._experiment._store.workers.ranks(self.id),
        )
        if not where or not folder or text.count("\n") < lines:
            return text, 0
        return text, max(0, size(where, folder, ranks, rank) - len(text.encode("utf-8", "replace")))

    def stop(self) -> None:
        """End this trial. Its resources become available to the next one. Nothing happens if it is over.

        Raises:
            ExperimentError: the experiment cannot be reached.
        """
        self._unless_needless(StopTrial(self.id), "stop")

    def pause(self) -> None:
        """Pause this trial after its next checkpoint, until `resume`. Its resources become available to other trials.

        Nothing happens if it is over or already paused. One that the scheduler has paused stays so until `resume`.

        Raises:
            ExperimentError: it is pending, or no trial of the experiment has saved a checkpoint, so that it would lose
                what it has trained.
        """
        self._unless_needless(PauseTrial(self.id), "pause")

    def resume(self) -> None:
        """Resume this trial from its checkpoint after `pause`, as soon as resources are available.

        Raises:
            ExperimentError: it was not paused by `pause`.
        """
        self._experiment._execute(ResumeTrial(self.id))

    def needless(self, verb: str) -> str | None:
        """Return a sentence if the trial's status fulfils a command already, else None.

        Args:
            verb: the command, "stop" or "pause".
        """
        status = self.status
        # A scheduler lets a trial go on that it has paused by itself.
        is_paused = status == "paused" and self._state.reason == "user"
        if status not in _OVER and not (verb == "pause" and is_paused):
            return None
        return f"trial {self.id} of {self._experiment.name} is {status}: there is nothing to {verb}"

    def _unless_needless(self, command: Command, verb: str) -> None:
        if sentence := self.needless(verb):
            say(sentence)
        else:
            self._experiment._execute(command)

    def clone(self, point: Mapping[str, Any] | None = None, /, *, checkpoint: bool = False, **parameters: Any) -> None:
        """Try this trial's point again with changes, next, also after the experiment's end.

        Args:
            point: parameter -> value, for names that are not Python identifiers ("a/b"), or "checkpoint".
            checkpoint: whether the new trial starts from the latest checkpoint of this one, as in population based
                training.
            parameters: parameter=value.

        Raises:
            ExperimentError: there is no such parameter, no checkpoint, the experiment cannot be reached, or it was just
                resumed and has not read this trial yet.
            UntrustedError: one of its parameters is an object that is not trusted.
        """
        experiment, changes = self._experiment, {**(point or {}), **parameters}
        experiment._check_parameters(changes)
        state = experiment._store.state(self.id)
        if state is None:  # without its parameters, all would be sampled
            raise ExperimentError(f"trial {self.id} of {experiment.name} is not known yet: the experiment was resumed")
        config = {**state.parameters, **changes}
        if refused := refused_names(config):
            raise UntrustedError(
                f"trial {self.id} of {experiment.name} cannot be cloned: {', '.join(refused)} has an object that was"
                f" not loaded, since it is not signed with your key; give another value, clone({refused[0]}=…)"
            )
        experiment._execute(AddTrial(config, start_from=self.id if checkpoint else None))
