"""Experiments in storage: nbtune's own, and any other of Ray Tune's."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pyarrow.fs as pafs

from nbtune.engine.protocol.chunk import Chunk, decode, encode
from nbtune.engine.protocol.commands import Command
from nbtune.engine.protocol.events import (
    AttemptFailed,
    CheckpointSaved,
    Event,
    ExperimentUpdated,
    TrialEnded,
    TrialReported,
    TrialStarted,
)
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.source import SourceLostError
from nbtune.engine.storage.log import has_log, read_log
from nbtune.engine.storage.storage import Storage
from nbtune.errors import ExperimentError

__all__ = ["Recorded", "events_since", "open_experiment", "result_grid", "stored_experiments"]

_STATE = "experiment_state-"  # how Tune's own snapshot of an experiment begins


class Recorded:
    """Events that are all there already, as a source.

    Args:
        chunks: the events in order.
    """

    def __init__(self, chunks: list[Chunk]) -> None:
        self._chunks = chunks

    def read(self, since: int, timeout: float) -> list[Chunk]:
        rest = [chunk.since(since) for chunk in self._chunks if chunk.end > since]
        if not rest:
            raise SourceLostError("its log ends before its end: the driver or the cluster was lost")
        return rest

    def send(self, command: Command) -> None:
        raise SourceLostError("it is read from storage and does not run here")

    def close(self) -> None:
        """Nothing is held."""


def open_experiment(where: Storage) -> Recorded:
    """Return the events of a stored experiment.

    Args:
        where: its folder.

    Raises:
        ExperimentError: there is no experiment there.
    """
    filesystem, folder = where.open()
    if has_log(filesystem, folder):
        return Recorded(read_log(filesystem, folder))
    if not _has_state(filesystem, folder):
        raise ExperimentError(
            f"{where.redacted!r} holds no experiment: there is neither nbtune's event log nor an {_STATE}*.json of Ray"
            " Tune. Give the experiment's own folder, the one below the storage path"
        )
    return Recorded(decode(encode(0, list(_foreign(where.place, filesystem, folder)))))


def events_since(where: Storage, number: int) -> list[Chunk]:
    """Return the events in an experiment's storage from a number on.

    Args:
        where: the experiment's folder.
        number: the number of the first event that is wanted.
    """
    filesystem, folder = where.open()
    return [chunk.since(number) for chunk in read_log(filesystem, folder) if chunk.end > number]


def _has_state(filesystem: pafs.FileSystem, folder: str) -> bool:
    if filesystem.get_file_info(folder).type != pafs.FileType.Directory:
        return False
    found = filesystem.get_file_info(pafs.FileSelector(folder))
    return any(info.base_name.startswith(_STATE) for info in found)


def _foreign(path: str, filesystem: pafs.FileSystem, folder: str) -> Iterator[Event]:
    """Yield the events that another tool's experiment must have had, read by Ray's own analysis."""
    from ray.tune import ExperimentAnalysis

    from nbtune.engine.protocol.failures import describe
    from nbtune.engine.protocol.recorded_trial import added_event, error_of

    analysis = ExperimentAnalysis(folder, storage_filesystem=filesystem)
    trials = sorted(analysis.trials, key=_place)
    statuses = {trial.status for trial in trials}
    running = statuses - {"TERMINATED", "ERROR"}
    starts = [trial.run_metadata.start_time or time.time() for trial in trials]
    name, objective = PurePosixPath(folder).name, _compared_by(filesystem, folder)
    metadata: Metadata = {"status": "running", "name": name, "path": path, "foreign": True, **objective}
    yield ExperimentUpdated(time=min(starts, default=0.0), metadata=metadata)
    for number, trial in enumerate(trials):
        yield added_event(trial, number, starts[number], trial.storage.trial_dir_name)
        if trial.status != "PENDING":
            yield TrialStarted(number, starts[number])
        ended = starts[number]
        for row in analysis.trial_dataframes[trial.trial_id].to_dict("records"):
            ended = float(row.get("timestamp", ended))
            yield TrialReported(
                number,
                ended,
                int(row["training_iteration"]),
                float(row["time_total_s"]),
                metrics={
                    name: value
                    for name, value in _metrics_of(row).items()
                    if value == value or name in trial.last_result
                },
            )
        for result in trial.run_metadata.checkpoint_manager.best_checkpoint_results:
            reports = int(result.metrics.get("training_iteration", 0))
            yield CheckpointSaved(number, ended, reports, path=result.checkpoint.path)
        if trial.status == "ERROR":
            yield AttemptFailed(number, ended, **describe(error_of(trial)), final=True)
        if trial.status in {"ERROR", "TERMINATED"}:
            status = {"ERROR": "failed", "TERMINATED": "finished"}[trial.status]
            yield TrialEnded(number, ended, status=status, reason="error" if status == "failed" else "done")
    if not running:
        final = "failed" if statuses == {"ERROR"} else "finished"
        last = max((float(trial.last_result.get("timestamp", 0)) for trial in trials if trial.last_result), default=0.0)
        yield ExperimentUpdated(time=max([last, *starts]), metadata={"status": final})


def _metrics_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return what another tool's trial has reported, of a result that has it among Tune's own entries."""
    from ray.tune.result import AUTO_RESULT_KEYS

    from nbtune.engine.protocol.metrics import flat, plain
    from nbtune.engine.protocol.result import SUMMED_ENTRIES, TUNE_ENTRIES

    own = (TUNE_ENTRIES - SUMMED_ENTRIES) | set(AUTO_RESULT_KEYS)
    return {name: plain(value) for name, value in flat(row) if name.partition("/")[0] not in own}


def _compared_by(filesystem: pafs.FileSystem, folder: str) -> Metadata:
    """Return the metric and mode that another tool's experiment had, as far as its tuner tells."""
    import ray.cloudpickle as cloudpickle

    try:
        with filesystem.open_input_stream(f"{folder}/tuner.pkl") as file:
            told = cloudpickle.loads(file.read())["_tune_config"]
        return {"metric": told.metric, "mode": told.mode} if told.metric and told.mode else {}
    except Exception:  # there is none, or it holds objects whose classes are not here
        return {}


def _place(trial: Any) -> tuple[float, str]:
    """Return where a trial stands among the others: Ray's snapshot has them in no order."""
    number = trial.trial_id.rpartition("_")[2]  # the basic variant generator's ids end with one
    return (float(number) if number.isdigit() else trial.run_metadata.start_time or math.inf, trial.trial_id)


def result_grid(where: Storage, metric: str | None, mode: str | None) -> Any:
    """Return Ray Tune's own view of a stored experiment.

    Args:
        where: the experiment's folder.
        metric: the metric for ``get_best_result``.
        mode: "min" or "max".

    Raises:
        ExperimentError: Tune's own snapshot of it is not there, or broken.
    """
    from ray.tune import ExperimentAnalysis, ResultGrid

    from nbtune.engine.protocol.result import tune_name

    filesystem, folder = where.open()
    if metric is not None and has_log(filesystem, folder):
        metric = tune_name(metric)
    try:
        analysis = ExperimentAnalysis(folder, storage_filesystem=filesystem, default_metric=metric, default_mode=mode)
    except (OSError, ValueError) as error:
        raise ExperimentError(
            f"{where.redacted} has no snapshot of Ray Tune's that can be read: {error}. Where its storage has failed,"
            " df and history have what was reported"
        ) from error
    return ResultGrid(analysis)


def stored_experiments(storage: Storage) -> list[Storage]:
    """Return the experiments in a storage, nbtune's own and others."""
    filesystem, root = storage.open()
    if filesystem.get_file_info(root).type != pafs.FileType.Directory:
        return []
    folders = [
        info for info in filesystem.get_file_info(pafs.FileSelector(root)) if info.type == pafs.FileType.Directory
    ]
    found = [info for info in folders if has_log(filesystem, info.path) or _has_state(filesystem, info.path)]
    return [storage.join(info.base_name) for info in sorted(found, key=lambda info: info.path)]
