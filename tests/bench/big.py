"""The events of a large experiment, generated as columns: finished trials, and two that continue to report."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from nbtune.engine.protocol.chunk import CODES, Chunk
from nbtune.engine.protocol.commands import Command
from nbtune.engine.protocol.events import Event, ExperimentUpdated, TrialAdded, TrialEnded, TrialReported, TrialStarted

__all__ = ["RUNNING", "GrowingSource", "finished", "values"]

RUNNING = 2
"""The number of trials that are still running, the last ones."""
_BEGAN = 1_700_000_000.0


def values(trial: int, first: int, last: int) -> np.ndarray:
    """Return the reported values of a trial for the iterations from `first` to `last` - 1."""
    step = np.arange(first, last)
    noise = np.random.default_rng([trial, first]).normal(0, 0.01, last - first)
    return np.asarray((0.5 + 0.4 * (trial * 37 % 101) / 101) * (1 - np.exp(-step / 150)) + noise)


def _chunk(
    first: int, kinds: list[type[Event]], trial: np.ndarray, iteration: np.ndarray, data: dict[int, dict[str, Any]]
) -> Chunk:
    kind = np.array([CODES[one] for one in kinds], np.int8)
    rows = np.flatnonzero(kind == CODES[TrialReported])
    seconds = 0.05 * iteration
    accuracy = np.empty(len(rows))
    for number in np.unique(trial[rows]):
        at = np.flatnonzero(trial[rows] == number)
        accuracy[at] = values(int(number), int(iteration[rows[at[0]]]), int(iteration[rows[at[-1]]]) + 1)
    metrics = {"accuracy": (rows, accuracy), "loss": (rows, 1 - accuracy)} if len(rows) else {}
    rank = np.full(len(kind), -1, np.int16)
    return Chunk(first, kind, trial, _BEGAN + seconds, iteration, seconds, rank, metrics, data, {})


def finished(trials: int, reports: int, *, over: bool = False) -> list[Chunk]:
    """Return the events of an experiment whose last two trials still run, one chunk for each trial.

    Args:
        trials: the number of trials.
        reports: the number of reports of each trial.
        over: whether the last two trials and the experiment have finished, too.
    """
    metadata = {"name": "big", "status": "running", "metric": "accuracy", "mode": "max", "trials": trials}
    nobody = np.array([-1], np.int32)
    chunks = [_chunk(0, [ExperimentUpdated], nobody, np.zeros(1, np.int32), {0: metadata})]
    for trial in range(trials):
        kinds = [TrialAdded, TrialStarted, *[TrialReported] * reports]
        config = {"lr": 10 ** -(1 + trial % 300 / 100), "hidden": 32 * (1 + trial % 4)}
        data = {0: {"ray_id": f"big_{trial:05}", "config": config, "folder": f"trial_{trial}", "by": "search"}}
        if over or trial < trials - RUNNING:
            kinds.append(TrialEnded)
            data[len(kinds) - 1] = {"status": "finished", "reason": "done"}
        iteration = np.clip(np.arange(len(kinds)) - 1, 0, reports).astype(np.int32)
        chunks.append(_chunk(chunks[-1].end, kinds, np.full(len(kinds), trial, np.int32), iteration, data))
    if over:
        chunks.append(
            _chunk(chunks[-1].end, [ExperimentUpdated], nobody, np.zeros(1, np.int32), {0: {"status": "finished"}})
        )
    return chunks


class GrowingSource:
    """A source of these events, whose running trials report again after `go`.

    Args:
        trials: the number of trials.
        reports: the number of reports of each trial at the start.

    Attributes:
        reported: the number of reports of each running trial so far.
    """

    def __init__(self, trials: int, reports: int) -> None:
        self._chunks = finished(trials, reports)
        self._numbers = np.arange(trials - RUNNING, trials, dtype=np.int32)
        self.reported = self._start = reports
        self._began, self._rate, self._most = 0.0, 0.0, reports
        self._going = threading.Event()

    @property
    def end(self) -> int:
        """The number of the next event."""
        return self._chunks[-1].end

    def go(self, seconds: float, rate: float = 50) -> None:
        """Let each running trial report for some seconds.

        Args:
            seconds: how long.
            rate: reports per second and trial.
        """
        self._start, self._began, self._rate = self.reported, time.monotonic(), rate
        self._most = self.reported + int(seconds * rate)
        self._going.set()

    def read(self, since: int, timeout: float) -> list[Chunk]:
        until = time.monotonic() + timeout
        while since >= self.end and time.monotonic() < until:
            if not self._going.wait(0.2):
                continue
            due = min(self._most, self._start + int((time.monotonic() - self._began) * self._rate))
            if due > self.reported:
                steps = np.arange(self.reported + 1, due + 1, dtype=np.int32)
                trial, iteration = np.tile(self._numbers, len(steps)), np.repeat(steps, RUNNING)
                self._chunks.append(_chunk(self.end, [TrialReported] * len(trial), trial, iteration, {}))
                self.reported = due
            if due == self._most:
                self._going.clear()
            time.sleep(0.005)
        return [part for chunk in self._chunks if chunk.end > since and len(part := chunk.since(since))]

    def send(self, command: Command) -> None: ...

    def close(self) -> None: ...
