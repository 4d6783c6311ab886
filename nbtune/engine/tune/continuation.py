"""Tune's trials brought to where the event log says they were.

Tune's own snapshot of an experiment is some seconds old when a driver dies. What the log knows in
addition is given to the trials that Tune has restored, and trials that Tune does not know are made anew.
"""

from __future__ import annotations

from typing import Any

from ray.tune import Checkpoint

from nbtune.engine._ray.tune import TrainingResult, set_start_checkpoint
from nbtune.engine.protocol.replay import PastTrial
from nbtune.engine.protocol.result import tune_result

__all__ = ["catch_up", "last_result", "revive", "saved_result", "start_from"]


def saved_result(past: PastTrial, filesystem: Any) -> Any:
    """Return a trial's latest checkpoint as Tune keeps it: with the report that it belongs to; None without one.

    Args:
        past: the trial.
        filesystem: what the checkpoint's path is on.
    """
    if past.checkpoint is None:
        return None
    metrics = {
        **tune_result(past.checkpoint_metrics, past.checkpoint_iteration, past.checkpoint_time_s),
        "config": past.config,
    }
    return TrainingResult(checkpoint=Checkpoint(past.checkpoint, filesystem=filesystem), metrics=metrics)


def last_result(past: PastTrial) -> dict[str, Any]:
    """Return a trial's last report as a result of Tune's."""
    return tune_result(past.last_metrics, past.iterations, past.last_time_s) if past.iterations else {}


def catch_up(trial: Any, past: PastTrial) -> None:
    """Give a restored trial of Tune's the checkpoint that it has saved since Tune's snapshot."""
    known = trial.latest_checkpoint_result
    if past.checkpoint is None or (
        known is not None and known.metrics.get("training_iteration", 0) >= past.checkpoint_iteration
    ):
        return
    trial.on_checkpoint(saved_result(past, trial.storage.storage_filesystem))
    _count_on(trial, past.checkpoint)


def revive(trial: Any, past: PastTrial) -> None:
    """Make a new trial of Tune's the one that it was in an earlier run: its id, folder and checkpoint."""
    trial.trial_id = past.ray_id
    trial.custom_dirname = trial.relative_logdir = trial.storage.trial_dir_name = past.folder
    catch_up(trial, past)


def start_from(trial: Any, result: Any) -> None:
    """Let a new trial start from another one's checkpoint, which stays the other one's.

    Args:
        trial: one of Tune's.
        result: the checkpoint with its metrics.
    """
    set_start_checkpoint(trial, result)


def _count_on(trial: Any, path: str) -> None:
    """Number the next checkpoints from the latest on, so that none is written over."""
    number = path.rpartition("_")[2]
    if number.isdigit():
        trial.storage.current_checkpoint_index = max(trial.storage.current_checkpoint_index, int(number))
