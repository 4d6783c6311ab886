"""Experiments from recorded events, without Ray, for tests and demonstrations.

>>> from nbtune import testing
>>> experiment = testing.replay(testing.example(trials=20))
>>> experiment.best.metrics  # doctest: +SKIP
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nbtune.engine.protocol.chunk import Chunk, decode, encode
from nbtune.engine.protocol.commands import Command
from nbtune.engine.protocol.events import (
    AttemptFailed,
    Event,
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialReported,
    TrialStarted,
)
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.recorded_space import RecordedParameter
from nbtune.engine.protocol.source import SourceLostError
from nbtune.engine.storage.storage import Storage

if TYPE_CHECKING:
    from nbtune.results.experiment import Experiment

__all__ = ["Replay", "example", "recorded", "replay"]


def recorded(path: str | Path) -> list[Chunk]:
    """Return the events of a stored experiment.

    Args:
        path: the folder or URI of the experiment.

    Raises:
        OSError: the folder does not exist, or holds no event log of nbtune.
    """
    from nbtune.engine.storage.log import read_log

    filesystem, folder = Storage(str(path)).open()
    return read_log(filesystem, folder)


class Replay:
    """A source of recorded events (see `nbtune.engine.protocol.source`), at their original speed or faster.

    Args:
        chunks: the events, in order.
        speed: the factor by which the replay is faster than the recording; infinity delivers all events at once.

    Attributes:
        commands: the commands that were sent, in order.
    """

    def __init__(self, chunks: Iterable[Chunk], speed: float = math.inf) -> None:
        self._chunks = list(chunks)
        self._speed = speed
        self._started = time.monotonic()
        self._first = next((float(chunk.time[0]) for chunk in self._chunks if len(chunk)), 0.0)
        self._closed = threading.Event()
        self.commands: list[Command] = []

    def read(self, since: int, timeout: float) -> list[Chunk]:
        deadline = time.monotonic() + timeout
        while True:
            ready = [part for chunk in self._chunks if len(part := self._due(chunk.since(since)))]
            if ready:
                return ready
            if since >= self._chunks[-1].end:
                raise SourceLostError("the recording has ended")
            remaining = deadline - time.monotonic()
            if remaining <= 0 or self._closed.wait(min(remaining, 0.02)):
                return []

    def _due(self, chunk: Chunk) -> Chunk:
        """Return the events of a chunk that are due by now."""
        if math.isinf(self._speed):
            return chunk
        now = self._first + (time.monotonic() - self._started) * self._speed
        return chunk.until(chunk.first + int((chunk.time <= now).sum()))

    def send(self, command: Command) -> None:
        self.commands.append(command)

    def close(self) -> None:
        self._closed.set()


def replay(events: str | Path | Iterable[Event], *, speed: float = math.inf) -> Experiment:
    """Return an experiment that replays recorded events.

    Args:
        events: the folder of a stored experiment, or the events themselves.
        speed: as for `Replay`. With infinity, the experiment has all events when the function returns.
    """
    from nbtune.results.experiment import Experiment

    chunks = recorded(events) if isinstance(events, (str, Path)) else decode(encode(0, list(events)))
    experiment = Experiment(Replay(chunks, speed))
    if math.isinf(speed):
        experiment._wait()
    return experiment


def example(trials: int = 20, reports: int = 30, *, failing: int = 1, seed: int = 0) -> Iterator[Event]:
    """Yield the events of a made-up experiment with rising accuracies and some stopped and failed trials.

    Args:
        trials: the number of trials.
        reports: the number of reports of each trial that is not stopped early.
        failing: how many of the trials fail.
        seed: the random seed. Equal seeds give equal events.
    """
    numbers = random.Random(seed)  # noqa: S311 - not for cryptography
    clock = 1_700_000_000.0
    space: dict[str, RecordedParameter] = {
        "lr": {"kind": "loguniform", "text": "loguniform(0.0001, 0.1)", "lower": 1e-4, "upper": 1e-1},
        "hidden": {"kind": "choice", "text": "choice([32, 64, 128])", "values": [32, 64, 128]},
    }
    metadata: Metadata = {"name": "example", "metric": "accuracy", "mode": "max", "trials": trials, "space": space}
    yield ExperimentUpdated(time=clock, metadata={"status": "running", **metadata})
    for trial in range(trials):
        clock += 0.01
        config = {"lr": 10 ** numbers.uniform(-4, -1), "hidden": numbers.choice([32, 64, 128])}
        yield TrialAdded(trial, clock, ray_id=f"example_{trial:05}", config=config, folder=f"trial_{trial}")
        yield TrialStarted(trial, clock)
        limit = 0.98 - 0.1 * abs(math.log10(config["lr"]) + 2.5) - 2 / config["hidden"]
        fails = trial >= trials - failing
        count = reports // 2 if fails else reports if limit > 0.8 or trial % 3 else max(1, reports // 4)
        for step in range(1, count + 1):
            clock += 0.05
            accuracy = limit * (1 - math.exp(-step / 5)) + numbers.gauss(0, 0.005)
            yield TrialReported(trial, clock, step, 0.05 * step, metrics={"accuracy": accuracy, "loss": 1 - accuracy})
        if fails:
            error = "ValueError: the loss is not finite"
            shown = f"Traceback (most recent call last):\n  Cell In[3], line 7\n{error}"
            yield AttemptFailed(trial, clock, count, error=error, traceback=shown, final=True)
            yield TrialEnded(trial, clock, count, status="failed", reason="error")
        else:
            status, reason = ("finished", "done") if count == reports else ("stopped", "scheduler")
            yield TrialEnded(trial, clock, count, status=status, reason=reason)
    yield ExperimentUpdated(time=clock, metadata={"status": "finished"})
