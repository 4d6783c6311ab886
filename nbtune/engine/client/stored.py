"""Experiments in storage: those of nbtune, and any other of Ray Tune."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
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
from nbtune.engine.protocol.source import ElsewhereError, SourceLostError
from nbtune.engine.storage.log import read_log
from nbtune.engine.storage.segments import has_log
from nbtune.engine.storage.storage import Storage
from nbtune.errors import ExperimentError

__all__ = ["Recorded", "events_since", "open_experiment", "result_grid", "stored_experiments"]

_STATE = "experiment_state-"  # the beginning of the name of Tune's own snapshot


class Recorded:
    """A source of recorded events, which are complete.

    Args:
        chunks: the events in order.
        elsewhere: takes the time of the last event; returns a sentence on the driver if that lives elsewhere, or may;
            else None.
    """

    def __init__(self, chunks: list[Chunk], elsewhere: Callable[[float], str | None] = lambda last_event: None) -> None:
        self._chunks, self._elsewhere = chunks, elsewhere

    def read(self, since: int, timeout: float) -> list[Chunk]:
        remaining = [chunk.since(since) for chunk in self._chunks if chunk.end > since]
        if not remaining:
            last = next((float(chunk.time[-1]) for chunk in reversed(self._chunks) if len(chunk)), 0.0)
            if (sentence := self._elsewhere(last)) is not None:
                raise ElsewhereError(sentence)
            raise SourceLostError("its log ends before the experiment does: the driver or the cluster was lost")
        return remaining

    def send(self, command: Command) -> None:
        raise SourceLostError("it was read from storage and does not run")

    def close(self) -> None:
        """Nothing has to be released."""


def open_experiment(where: Storage, elsewhere: Callable[[float], str | None] = lambda last_event: None) -> Recorded:
    """Return the events of a stored experiment.

    Args:
        where: its folder.
        elsewhere: as for `Recorded`.

    Raises:
        ExperimentError: it contains no experiment.
    """
    filesystem, folder = where.open()
    if has_log(filesystem, folder):
        return Recorded(read_log(filesystem, folder), elsewhere)
    if not _has_state(filesystem, folder):
        raise ExperimentError(
            f"{where.redacted!r} contains no experiment: neither nbtune's event log nor an {_STATE}*.json of Ray Tune."
            " Give the folder of the experiment, which is inside the storage path"
        )
    return Recorded(decode(encode(0, list(_foreign(where.place, filesystem, folder)))))


def events_since(where: Storage, number: int) -> list[Chunk]:
    """Return the events of a stored experiment from a number on.

    Args:
        where: the experiment's folder.
        number: the number of the first event.
    """
    filesystem, folder = where.open()
    return [chunk.since(number) for chunk in read_log(filesystem, folder) if chunk.end > number]


def _has_state(filesystem: pafs.FileSystem, folder: str) -> bool:
    if filesystem.get_file_info(folder).type != pafs.FileType.Directory:
        return False
    files = filesystem.get_file_info(pafs.FileSelector(folder))
    return any(info.base_name.startswith(_STATE) for info in files)


def _foreign(path: str, filesystem: pafs.FileSystem, folder: str) -> Iterator[Event]:
    """Yield the events of another tool's experiment, reconstructed with Ray's `ExperimentAnalysis`."""
    from ray.tune import ExperimentAnalysis

    from nbtune.engine.protocol.failures import describe
    from nbtune.engine.protocol.recorded_trial import added_event, error_of

    analysis = ExperimentAnalysis(folder, storage_filesystem=filesystem)
    trials: list[Any] = sorted(analysis.trials, key=_position)
    statuses = {trial.status for trial in trials}
    running = statuses - {"TERMINATED", "ERROR"}
    starts = [trial.run_metadata.start_time or time.time() for trial in trials]
    name, objective = PurePosixPath(folder).name, _objective(filesystem, folder)
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
            saved = PurePosixPath(result.checkpoint.path)
            inside = str(saved.relative_to(folder)) if saved.is_relative_to(folder) else str(saved)
            yield CheckpointSaved(number, ended, reports, path=inside)
        if trial.status == "ERROR":
            yield AttemptFailed(number, ended, **describe(error_of(trial)), final=True)
        if trial.status in {"ERROR", "TERMINATED"}:
            status = {"ERROR": "failed", "TERMINATED": "finished"}[trial.status]
            yield TrialEnded(number, ended, status=status, reason="error" if status == "failed" else "done")
    if not running:
        final = "failed" if statuses == {"ERROR"} else "finished"
        last = max((float(trial.last_result.get("timestamp", 0)) for trial in trials if trial.last_result), default=0.0)
        yield ExperimentUpdated(time=max([last, *starts]), metadata={"status": final})


def _metrics_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the metrics that another tool's trial has reported: the entries of a result that are not Tune's own."""
    from ray.tune.result import AUTO_RESULT_KEYS

    from nbtune.engine.protocol.metrics import flat, plain
    from nbtune.engine.protocol.result import SUMMED_ENTRIES, TUNE_ENTRIES

    own = (TUNE_ENTRIES - SUMMED_ENTRIES) | set(AUTO_RESULT_KEYS)
    return {name: plain(value) for name, value in flat(row) if name.partition("/")[0] not in own}


def _objective(filesystem: pafs.FileSystem, folder: str) -> Metadata:
    """Return the metric and mode of another tool's experiment, if its tuner has them."""
    import ray.cloudpickle as cloudpickle

    try:
        with filesystem.open_input_stream(f"{folder}/tuner.pkl") as file:
            config = cloudpickle.loads(file.read())["_tune_config"]
        return {"metric": config.metric, "mode": config.mode} if config.metric and config.mode else {}
    except Exception:  # it is missing, or refers to classes that this process does not have
        return {}


def _position(trial: Any) -> tuple[float, str]:
    """Return the sort key of a trial: Ray's snapshot has no order."""
    number = trial.trial_id.rpartition("_")[2]  # the ids of the basic variant generator end with a number
    return (float(number) if number.isdigit() else trial.run_metadata.start_time or math.inf, trial.trial_id)


def result_grid(where: Storage, metric: str | None, mode: str | None) -> Any:
    """Return Ray Tune's `ResultGrid` of a stored experiment.

    Args:
        where: the experiment's folder.
        metric: the metric for ``get_best_result``, or None.
        mode: "min", "max" or None.

    Raises:
        ExperimentError: Tune's own snapshot of it is missing or broken.
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
            f"{where.redacted} has no readable snapshot of Ray Tune: {error}. df and history have all reports even if"
            " the storage has failed"
        ) from error
    return ResultGrid(analysis)


def stored_experiments(storage: Storage) -> list[Storage]:
    """Return the folders of the experiments in a storage, those of nbtune and others.

    Args:
        storage: the folder that contains those of the experiments.
    """
    filesystem, root = storage.open()
    if filesystem.get_file_info(root).type != pafs.FileType.Directory:
        return []
    folders = [
        info for info in filesystem.get_file_info(pafs.FileSelector(root)) if info.type == pafs.FileType.Directory
    ]
    experiments = [info for info in folders if has_log(filesystem, info.path) or _has_state(filesystem, info.path)]
    return [storage.join(info.base_name) for info in sorted(experiments, key=lambda info: info.path)]
