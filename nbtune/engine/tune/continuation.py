"""Restores Tune's trials to their states according to the event log.

Tune's own snapshot of an experiment is some seconds old when a driver dies. Trials that Tune has restored are brought
up to date from the log, and trials that are missing in the snapshot are created again.
"""

from __future__ import annotations

from typing import Any

from ray.tune import Checkpoint

from nbtune.engine._ray.tune import TrainingResult, set_start_checkpoint
from nbtune.engine.protocol.replay import PastTrial
from nbtune.engine.protocol.result import tune_result

__all__ = ["catch_up", "last_result", "revive", "saved_result", "start_from_checkpoint"]


def saved_result(past: PastTrial, filesystem: Any) -> Any:
    """Return a trial's latest checkpoint with the report that it belongs to, as Tune stores it; None without one.

    Args:
        past: the trial.
        filesystem: the filesystem of the checkpoint's path.
    """
    if past.checkpoint is None:
        return None
    metrics = {
        **tune_result(past.checkpoint_metrics, past.checkpoint_iteration, past.checkpoint_time_s),
        "config": past.config,
    }
    return TrainingResult(checkpoint=Checkpoint(past.checkpoint, filesystem=filesystem), metrics=metrics)


def last_result(past: PastTrial) -> dict[str, Any]:
    """Return the last report of a trial as a result of Tune; empty if it has made none.

    Args:
        past: the trial.
    """
    return tune_result(past.last_metrics, past.iterations, past.last_time_s) if past.iterations else {}


def catch_up(trial: Any, past: PastTrial) -> None:
    """Give a restored trial its parameters, and the checkpoint that it has saved after Tune's snapshot, if any.

    Tune restores parameters from JSON, which loses the types of some.

    Args:
        trial: Tune's trial.
        past: the same trial according to the log.
    """
    trial.set_config(dict(past.config))
    known = trial.latest_checkpoint_result
    if past.checkpoint is None or (
        known is not None and known.metrics.get("training_iteration", 0) >= past.checkpoint_iteration
    ):
        return
    trial.on_checkpoint(saved_result(past, trial.storage.storage_filesystem))
    _continue_numbering(trial, past.checkpoint)


def revive(trial: Any, past: PastTrial) -> None:
    """Give a new trial the id, folder and checkpoint of a trial of an earlier run.

    Args:
        trial: a new trial of Tune.
        past: the trial of the earlier run.
    """
    trial.trial_id = past.ray_id
    trial.custom_dirname = trial.relative_logdir = trial.storage.trial_dir_name = past.folder
    catch_up(trial, past)


def start_from_checkpoint(trial: Any, result: Any) -> None:
    """Let a new trial start from a checkpoint that belongs to another trial.

    Args:
        trial: one of Tune's.
        result: the checkpoint with its metrics.
    """
    set_start_checkpoint(trial, result)


def _continue_numbering(trial: Any, path: str) -> None:
    """Continue the numbers of checkpoints after the latest, so that none is overwritten."""
    number = path.rpartition("_")[2]
    if number.isdigit():
        trial.storage.current_checkpoint_index = max(trial.storage.current_checkpoint_index, int(number))
