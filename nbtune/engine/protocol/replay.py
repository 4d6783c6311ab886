"""What an experiment's event log tells of its trials: what a driver needs in order to go on with it."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nbtune.engine.protocol.events import KINDS, Chunk
from nbtune.engine.protocol.metadata import Metadata, decode_metadata

__all__ = ["Past", "PastTrial", "past_of"]

_REPORTED = KINDS.index("reported")


@dataclass
class PastTrial:
    """One trial, as its events have left it.

    Attributes:
        number: its number.
        ray_id: Tune's id.
        folder: the name of its folder in the experiment's.
        config: its parameters.
        by: who has wanted it, "user" or "search".
        status: the final status of its last attempt, or "" where it has not come to an end.
        reason: why it ended.
        iterations: how many reports it has made.
        checkpoint: the path of its latest checkpoint, or None.
        at: the iteration of that checkpoint.
        result: the report that came with the checkpoint, or the last one before it: metric -> value.
        time_s: seconds that it had trained by then.
        last: the last report of all.
        last_time_s: seconds that it had trained by that.
    """

    number: int
    ray_id: str = ""
    folder: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    by: str = "search"
    status: str = ""
    reason: str = ""
    iterations: int = 0
    checkpoint: str | None = None
    at: int = 0
    result: dict[str, Any] = field(default_factory=dict)
    time_s: float = 0.0
    last: dict[str, Any] = field(default_factory=dict)
    last_time_s: float = 0.0

    def goes_on(self, *, failed: bool) -> bool:
        """Tell whether the trial is to go on when the experiment is resumed.

        Args:
            failed: whether trials that have failed are.
        """
        if self.status == "failed":
            return failed
        return self.status == "" or self.reason == "experiment"


@dataclass(frozen=True)
class Past:
    """An experiment up to now.

    Attributes:
        metadata: from its own events; the latest value of each entry.
        trials: every trial by Tune's id.
    """

    metadata: Metadata
    trials: Mapping[str, PastTrial]


def past_of(chunks: Iterable[Chunk]) -> Past:
    """Return what events tell.

    Args:
        chunks: all events of an experiment, in order.
    """
    metadata = Metadata()
    trials: dict[int, PastTrial] = {}
    for chunk in chunks:
        metrics = _by_row(chunk)
        for row in range(len(chunk)):
            number = int(chunk.trial[row])
            if number < 0:
                metadata.update(decode_metadata(chunk.data.get(row, {})))
                continue
            trial = trials.setdefault(number, PastTrial(number))
            if chunk.kind[row] == _REPORTED:
                trial.iterations = int(chunk.iteration[row])
                trial.last, trial.last_time_s = metrics.get(row, {}), _seconds(chunk.time_s[row])
            else:
                _apply(trial, KINDS[chunk.kind[row]], chunk, row)
    return Past(metadata, {trial.ray_id: trial for trial in trials.values()})


def _apply(trial: PastTrial, kind: str, chunk: Chunk, row: int) -> None:
    data = chunk.data.get(row, {})
    if kind == "added":
        trial.ray_id, trial.folder = data["id"], data["folder"]
        trial.by = data.get("by", trial.by)
        pickled = chunk.pickled.get(row)
        trial.config = dict(data["config"] if pickled is None else pickle.loads(pickled))
    elif kind == "checkpointed":
        trial.checkpoint, trial.at = data["path"], int(chunk.iteration[row])
        trial.result, trial.time_s = trial.last, trial.last_time_s
    elif kind == "ended":
        trial.status, trial.reason = data["status"], data["reason"]
    elif kind in ("started", "queued"):
        trial.status = trial.reason = ""


def _by_row(chunk: Chunk) -> dict[int, dict[str, Any]]:
    """Return the metrics of each report of a chunk, by row."""
    found: dict[int, dict[str, Any]] = {}
    for name, rows, values in chunk.metrics_of("reported"):
        plain = values.tolist() if isinstance(values, np.ndarray) else values
        for row, value in zip(rows.tolist(), plain, strict=True):
            found.setdefault(row, {})[name] = value
    return found


def _seconds(value: float) -> float:
    return 0.0 if math.isnan(value) else float(value)
