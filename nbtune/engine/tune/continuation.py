"""Restores Tune's trials to their states according to the event log.

Tune's own snapshot of an experiment is some seconds old when a driver dies. Trials that Tune has restored are brought
up to date from the log, and trials that are missing in the snapshot are created again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow.fs as pafs
from ray.tune import Checkpoint
from ray.tune.result import TRAINING_ITERATION

from nbtune.engine._ray.tune import (
    CheckpointManager,
    TrainingResult,
    set_checkpoint_manager,
    set_latest_checkpoint,
    set_start_checkpoint,
)
from nbtune.engine.protocol.replay import PastTrial, SavedCheckpoint
from nbtune.engine.protocol.result import tune_result
from nbtune.engine.storage.storage import is_inside

__all__ = [
    "ForeignStart",
    "catch_up",
    "foreign_start",
    "in_folder",
    "last_results",
    "relative_path",
    "revive",
    "start_from_checkpoint",
]

_NAME = "checkpoint_"


def relative_path(trial: Any, checkpoint: Any) -> str:
    """Return the path of a checkpoint relative to the experiment's folder, which may be moved.

    Args:
        trial: the trial of Tune's that has the checkpoint, its own or that of another trial.
        checkpoint: a `ray.tune.Checkpoint`.
    """
    path, folder = str(checkpoint.path), f"{trial.storage.experiment_fs_path}/"
    # Tune does not update the path of another trial's checkpoint when the folder was moved. TRIAL/CHECKPOINT remains.
    return path.removeprefix(folder) if path.startswith(folder) else "/".join(path.split("/")[-2:])


@dataclass(frozen=True)
class ForeignStart:
    """A checkpoint of another trial, from which a trial is about to start.

    Attributes:
        path: the path of the checkpoint relative to the experiment's folder.
        iteration: the number of reports that the other trial had made at the checkpoint, including its own.
    """

    path: str
    iteration: int


def foreign_start(trial: Any) -> ForeignStart | None:
    """Return the checkpoint that a trial is about to start from, if it is another trial's.

    Args:
        trial: one of Tune's.
    """
    result = trial.latest_checkpoint_result
    if result is None or result.checkpoint is None:
        return None
    path = relative_path(trial, result.checkpoint)
    if path.startswith(f"{trial.storage.trial_dir_name}/"):
        return None
    return ForeignStart(path, int((result.metrics or {}).get(TRAINING_ITERATION, 0)))


def last_results(past: PastTrial) -> list[dict[str, Any]]:
    """Return results of Tune of a trial, in order: the last one with numbers for some metrics is among them.

    Args:
        past: the trial.
    """
    return [tune_result(one.metrics, one.iteration, one.time_s) for one in past.reports.values()]


def catch_up(trial: Any, past: PastTrial) -> None:
    """Give a restored trial the parameters, last report and checkpoints that it has according to the log.

    Tune restores parameters from JSON, which loses the types of some. Its snapshot may be older than the log, and name
    checkpoints that were deleted since, or that were lost.

    Args:
        trial: Tune's trial.
        past: the same trial according to the log.
    """
    trial.set_config(dict(past.config))
    if past.iterations:
        trial.run_metadata.last_result = tune_result(past.last_metrics, past.iterations, past.last_time_s)
    storage = trial.storage
    filesystem, root = storage.storage_filesystem, storage.experiment_fs_path
    folders = pafs.FileSelector(storage.trial_fs_path, allow_not_found=True)
    existing = {
        f"{past.folder}/{info.base_name}"
        for info in filesystem.get_file_info(folders)
        if info.type == pafs.FileType.Directory
        and info.base_name.startswith(_NAME)
        and is_inside(filesystem, root, info.path)
    }
    known = trial.run_metadata.checkpoint_manager
    results = [_result(saved, past, root, filesystem) for saved in past.checkpoints if saved.path in existing]
    if not results:  # the log may be damaged
        results = _existing_results(trial, known, existing)
    # It has the same rule as before which checkpoints are kept. A deletion that was under way is completed.
    manager = CheckpointManager(known.checkpoint_config)
    for result in results:
        manager.register_checkpoint(result)
    if past.start is not None and _exists(filesystem, f"{root}/{past.start.path}"):
        set_latest_checkpoint(manager, _result(past.start, past, root, filesystem))
    set_checkpoint_manager(trial, manager)
    _continue_numbering(trial, existing)
    if not past.is_damaged:
        _delete_lost(
            filesystem, [f"{root}/{path}" for path in existing.difference(one.path for one in past.checkpoints)]
        )


def _delete_lost(filesystem: pafs.FileSystem, paths: Iterable[str]) -> None:
    """Delete checkpoints that the log does not have: the driver was killed while they were saved, or just after.

    They may be incomplete, nothing refers to them, and they would not count for `keep_checkpoints`.
    """
    for path in paths:
        with suppress(Exception):  # a custom filesystem may raise anything; nothing refers to what stays
            filesystem.delete_dir(path)


def _result(saved: SavedCheckpoint, past: PastTrial, root: str, filesystem: Any) -> TrainingResult:
    """Return a checkpoint with the report that it belongs to, as Tune stores it."""
    metrics = {**tune_result(saved.metrics, saved.iteration, saved.time_s), "config": past.config}
    return TrainingResult(checkpoint=Checkpoint(f"{root}/{saved.path}", filesystem=filesystem), metrics=metrics)


def _existing_results(trial: Any, manager: Any, existing: Collection[str]) -> list[TrainingResult]:
    """Return the trial's own checkpoints in Tune's snapshot that exist, the latest last."""
    results = {relative_path(trial, one.checkpoint): one for one in manager.best_checkpoint_results}
    if (latest := manager.latest_checkpoint_result) is not None:
        results[relative_path(trial, latest.checkpoint)] = latest
    return [results[path] for path in sorted(results.keys() & existing)]


def _exists(filesystem: pafs.FileSystem, path: str) -> bool:
    return bool(filesystem.get_file_info(path).type == pafs.FileType.Directory)


def revive(trial: Any, past: PastTrial) -> None:
    """Give a new trial the id, folder and checkpoint of a trial of an earlier run.

    Args:
        trial: a new trial of Tune.
        past: the trial of the earlier run.
    """
    trial.trial_id = past.ray_id
    trial.custom_dirname = trial.relative_logdir = trial.storage.trial_dir_name = past.folder
    if trial.trial_name_creator is not None:
        trial.custom_trial_name = trial.trial_name_creator(trial)
    catch_up(trial, past)


def in_folder(result: TrainingResult, filesystem: pafs.FileSystem, folder: str) -> TrainingResult:
    """Return a checkpoint of a trial as it is in the experiment's present folder.

    Args:
        result: the checkpoint with its metrics.
        filesystem: the filesystem of the experiment's storage.
        folder: the experiment's folder on it.
    """
    assert result.checkpoint is not None
    path = "/".join(str(result.checkpoint.path).split("/")[-2:])  # TRIAL/CHECKPOINT
    return TrainingResult(checkpoint=Checkpoint(f"{folder}/{path}", filesystem=filesystem), metrics=result.metrics)


def start_from_checkpoint(trial: Any, result: Any) -> None:
    """Let a new trial start from a checkpoint that belongs to another trial.

    Args:
        trial: one of Tune's.
        result: the checkpoint with its metrics.
    """
    set_start_checkpoint(trial, result)


def _continue_numbering(trial: Any, existing: Iterable[str]) -> None:
    """Continue the numbers of checkpoints after those in storage, which may be incomplete, so that none is overwritten.

    One number is left out: the process of the earlier run may live for a moment, and save one more.
    """
    numbers = [int(number) for path in existing if (number := path.rpartition("_")[2]).isdigit()]
    if numbers:
        trial.storage.current_checkpoint_index = max(trial.storage.current_checkpoint_index, max(numbers) + 1)
