"""The checkpoints of a trial: those that exist in storage, with the reports that they belong to."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

from nbtune.engine.protocol.trust import Trust
from nbtune.engine.storage.storage import Storage
from nbtune.engine.trial.checkpoint import Checkpoint, stored_checkpoint
from nbtune.errors import ExperimentError
from nbtune.results.state import TrialState

__all__ = ["best_checkpoint", "existing_checkpoints"]


def existing_checkpoints(
    where: Storage, state: TrialState, metrics_at: Callable[[Collection[int]], dict[int, dict[str, Any]]], trust: Trust
) -> list[Checkpoint]:
    """Return the checkpoints of a trial that exist, the latest last.

    Args:
        where: the experiment's folder.
        state: the trial.
        metrics_at: returns the metrics of the trial's reports at iterations.
        trust: whose dictionaries are loaded.

    Raises:
        ExperimentError: the storage cannot be read.
    """
    import pyarrow.fs as pafs

    if not state.checkpoints:
        return []
    filesystem, root = where.open()
    folders = {saved.path.rpartition("/")[0] for saved in state.checkpoints}
    existing: set[str] = set()
    try:
        for folder in folders:
            selector = pafs.FileSelector(f"{root}/{folder}" if folder else root, allow_not_found=True)
            entries = filesystem.get_file_info(selector)
            existing |= {f"{folder}/{entry.base_name}".lstrip("/") for entry in entries}
    except OSError as error:
        text = f"{where.redacted}: the checkpoints of trial {state.number} cannot be listed: {error}"
        raise ExperimentError(text) from error
    saved = [checkpoint for checkpoint in state.checkpoints if checkpoint.path in existing]
    metrics = metrics_at({iteration for _, iteration in saved})
    return [
        stored_checkpoint(where.path_of(path), filesystem, trust, iteration=iteration, metrics=metrics[iteration])
        for path, iteration in saved
    ]


def best_checkpoint(
    checkpoints: list[Checkpoint], state: TrialState, metric: str | None, mode: str | None
) -> Checkpoint:
    """Return the checkpoint that belongs to the trial's value; without it, the one with the best metric.

    Args:
        checkpoints: those that exist, the latest last; at least one.
        state: the trial.
        metric: the experiment's metric, or None. Then the latest checkpoint is returned, also if none has a value.
        mode: "min" or "max".
    """
    if metric is None:
        return checkpoints[-1]
    latest_first = checkpoints[::-1]
    for checkpoint in latest_first:
        if checkpoint.iteration == state.single.iteration:
            return checkpoint
    sign = 1 if mode == "max" else -1
    scores: list[tuple[float, Checkpoint]] = []
    for checkpoint in latest_first:
        value: Any = checkpoint.metrics.get(metric)
        if type(value) in (int, float) and math.isfinite(value):
            scores.append((sign * value, checkpoint))
    return max(scores, key=lambda score: score[0])[1] if scores else checkpoints[-1]
