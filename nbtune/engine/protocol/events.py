"""Events: what happens in an experiment, one class for each kind, and the JSON object that the event log keeps of each.

An experiment is a sequence of events, numbered from 0 and never changed. `nbtune.engine.protocol.chunk` has the columns
in which they are sent and stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict

from nbtune.engine.protocol.metadata import Metadata, decode_metadata, encode_metadata
from nbtune.engine.protocol.metrics import plain
from nbtune.engine.protocol.trust import NOTHING, Trust
from nbtune.engine.protocol.typed_values import from_typed_json
from nbtune.engine.protocol.valid_fields import inside, is_name, is_number, valid_reads
from nbtune.spec.space.values import is_plain

__all__ = [
    "CPU",
    "EVENT_TYPES",
    "SECONDS",
    "WAITED",
    "AttemptFailed",
    "CheckpointSaved",
    "DataRead",
    "Event",
    "ExperimentUpdated",
    "RungReached",
    "TrialAdded",
    "TrialEnded",
    "TrialPaused",
    "TrialQueued",
    "TrialReconfigured",
    "TrialReported",
    "TrialStarted",
    "WorkerInfo",
    "WorkerReported",
    "WorkersStarted",
    "event_data",
    "make_event",
]

SECONDS, WAITED, CPU = "seconds", "waited", "cpu"
"""What is measured of a worker's report, in seconds; see `WorkerReported`."""


class WorkerInfo(TypedDict):
    """A worker of a distributed trial."""

    rank: int
    node: str
    """The address of its node."""
    node_id: str
    """Ray's id of its node."""
    pid: int
    gpus: list[str]
    """Ray's ids of its GPUs."""


@dataclass(frozen=True)
class Event:
    """What all events have.

    Attributes:
        trial: the trial's number, counted from 0 as trials are added, or -1 for the experiment as a whole.
        time: seconds since the epoch.
        iteration: the number of reports that the trial had made, including this one; 0 where it does not apply.
        time_s: seconds that the trial had trained over all its attempts, or NaN.
    """

    trial: int = -1
    time: float = 0.0
    iteration: int = 0
    time_s: float = math.nan


@dataclass(frozen=True, kw_only=True)
class ExperimentUpdated(Event):
    """The experiment's metadata: complete in the first event, and what has changed in later ones."""

    metadata: Metadata


@dataclass(frozen=True, kw_only=True)
class TrialAdded(Event):
    """A trial exists.

    Attributes:
        ray_id: Tune's id.
        config: its parameters as `nbtune.engine.protocol.typed_values.to_typed_json` encodes them, with signatures.
        folder: the name of its folder in the experiment's. Empty if it was no name of a folder there, but a path
            elsewhere: a log may come from others.
        by: who has added it, "user" or "search".
        configuration: the number of its configuration, where each is trained several times; else -1.
        repeat: the number of this training of it, counted from 0.
    """

    ray_id: str
    config: Mapping[str, Any]
    folder: str
    by: str = "search"
    configuration: int = -1
    repeat: int = 0

    def __post_init__(self) -> None:
        if not is_name(self.folder):
            object.__setattr__(self, "folder", "")
        if not (is_number(self.configuration) and is_number(self.repeat)):
            object.__setattr__(self, "configuration", -1)
            object.__setattr__(self, "repeat", 0)

    def parameters(self, trust: Trust = NOTHING) -> dict[str, Any]:
        """Return the parameters, equal to the trial's and of the same types. `NotLoaded` stands for an object that is
        not trusted, or that cannot be unpickled in this process.

        Args:
            trust: which objects are unpickled.
        """
        return _decode_config(self.config, trust)


@dataclass(frozen=True, kw_only=True)
class TrialReconfigured(Event):
    """A trial is about to go on with other parameters, from a checkpoint of another trial, or both.

    Population based training does so. A clone starts from a checkpoint of another trial. Later reports are made with
    the parameters.

    Attributes:
        config: all of its parameters, encoded as in `TrialAdded`.
        source: the number of the trial whose checkpoint it starts from; -1 for its own checkpoint, or an unknown trial.
        source_iteration: the number of reports that that trial had made at the checkpoint, including its own.
        path: the checkpoint's path, as in `CheckpointSaved`; empty for its own checkpoint.
    """

    config: Mapping[str, Any]
    source: int = -1
    source_iteration: int = 0
    path: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", inside(self.path))

    def parameters(self, trust: Trust = NOTHING) -> dict[str, Any]:
        """Return the parameters, decoded as those of `TrialAdded`."""
        return _decode_config(self.config, trust)


@dataclass(frozen=True)
class TrialStarted(Event):
    """A trial has got a process."""


@dataclass(frozen=True, kw_only=True)
class TrialReported(Event):
    """A trial has reported metrics.

    Attributes:
        metrics: metric -> value.
    """

    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved(Event):
    """A checkpoint of a trial is in storage.

    Attributes:
        path: its path relative to the experiment's folder, which may be moved: TRIAL/CHECKPOINT. Empty if it was no
            path inside that folder, as for `TrialAdded.folder`.
    """

    path: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", inside(self.path))


@dataclass(frozen=True, kw_only=True)
class RungReached(Event):
    """A scheduler that halves, such as ASHA or HyperBand, has compared a trial with others at a rung.

    Attributes:
        rung: where the rung is.
        unit: the entry of the results in which that is counted, such as "training_iteration".
        bracket: the number of the bracket, counted from 0.
        goes_on: whether the trial goes on after it.
    """

    rung: float
    unit: str
    bracket: int
    goes_on: bool


@dataclass(frozen=True, kw_only=True)
class AttemptFailed(Event):
    """A trial has raised an exception, or its process was lost.

    Attributes:
        error: one line.
        traceback: the full text.
        final: whether the trial is not retried.
    """

    error: str
    traceback: str
    final: bool


@dataclass(frozen=True, kw_only=True)
class TrialEnded(Event):
    """A trial is over.

    Attributes:
        status: "finished", "stopped" or "failed".
        reason: "done", "condition" (the option `stop`), "user", "scheduler", "max_t" (it has had all the time that the
            scheduler gives to any trial), "pruned" (by its own code), "experiment" (it was ended with the experiment)
            or "error".
        condition: the stop condition that it has fulfilled, as text; empty for any other reason.
    """

    status: str
    reason: str
    condition: str = ""


@dataclass(frozen=True, kw_only=True)
class TrialPaused(Event):
    """A trial has released its resources until it is resumed.

    Attributes:
        reason: who has paused it, "user" or "scheduler".
    """

    reason: str


@dataclass(frozen=True)
class TrialQueued(Event):
    """A trial waits for resources again: after a pause, or because the experiment is resumed."""


@dataclass(frozen=True, kw_only=True)
class WorkersStarted(Event):
    """The workers of a distributed trial have started, or were started again.

    Attributes:
        workers: all workers that the trial has now.
    """

    workers: Sequence[WorkerInfo]


@dataclass(frozen=True, kw_only=True)
class WorkerReported(Event):
    """One worker's part of a report. It follows the `TrialReported` of the same report.

    Attributes:
        rank: the worker's rank.
        metrics: metric -> value.
        took: `SECONDS` since the worker's previous report, without the time that it then `WAITED` for the other
            workers, and the `CPU` time of its process.
    """

    rank: int
    metrics: Mapping[str, Any] = field(default_factory=dict)
    took: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataRead(Event):
    """What a process of a trial has read of the experiment's data sets since it has begun the trial.

    Attributes:
        worker: the rank of the worker; 0 for a trial without workers.
        reads: name of the data set -> rows, passes over it, and seconds that the code has waited for rows.
    """

    worker: int = 0
    reads: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", valid_reads(self.reads))
        object.__setattr__(self, "worker", self.worker if is_number(self.worker) else 0)


EVENT_TYPES: tuple[type[Event], ...] = (
    ExperimentUpdated,
    TrialAdded,
    TrialStarted,
    TrialReported,
    CheckpointSaved,
    AttemptFailed,
    TrialEnded,
    TrialPaused,
    TrialQueued,
    WorkersStarted,
    WorkerReported,
    TrialReconfigured,
    RungReached,
    DataRead,
)
"""The classes of events. The event log refers to them by their positions, so new ones are appended."""
_IN_COLUMNS = {"trial", "time", "iteration", "time_s", "rank", "metrics", "took"}
_IN_DATA = {kind: [name for one in fields(kind) if (name := one.name) not in _IN_COLUMNS] for kind in EVENT_TYPES}


def _decode_config(config: Mapping[str, Any], trust: Trust) -> dict[str, Any]:
    return {name: value if is_plain(value) else from_typed_json(value, trust) for name, value in config.items()}


def event_data(event: Event) -> dict[str, Any] | None:
    """Return what the event log keeps of an event beside its columns.

    Args:
        event: any event.

    Returns:
        The fields without a column, as a JSON object; None if there are none.
    """
    if isinstance(event, ExperimentUpdated):
        return encode_metadata(event.metadata)
    names = _IN_DATA[type(event)]
    return {name: plain(getattr(event, name)) for name in names} if names else None


def make_event(kind: type[Event], data: Mapping[str, Any] | None, common: Iterable[Any], **columns: Any) -> Any:
    """Return an event as it was before `event_data`.

    Args:
        kind: its class.
        data: what `event_data` has returned, after its way through JSON.
        common: the fields that all events have, in their order.
        columns: the other fields that have a column.
    """
    if data is None:
        return kind(*common, **columns)
    if kind is ExperimentUpdated:
        return ExperimentUpdated(*common, metadata=decode_metadata(data))
    # A log of an earlier version does not have all of them.
    columns.update((name, data[name]) for name in _IN_DATA[kind] if name in data)
    return kind(*common, **columns)
