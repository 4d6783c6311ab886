"""Events: what happens in an experiment, and the one encoding they travel and are kept in.

An experiment is a sequence of events, numbered from 0 and never changed. A `Chunk` is a run of
them in columns. It is encoded as one Arrow IPC stream, which is what the driver sends, what the
log's files hold (streams one after another) and what the store in the kernel reads.

    experiment    its state and metadata: the first event, and again whenever the state changes
    added         a trial exists, with its configuration
    started       a trial has got a process
    reported      a trial has reported metrics
    checkpointed  a checkpoint of a trial is in storage
    failed        a trial's attempt raised or its process was lost; `final` unless it is tried again
    ended         a trial is over, with its final status and the reason
    paused        a trial has given up its place until it is resumed, by the user or the scheduler
    queued        a trial waits for a place again: after a pause, or because the experiment is resumed
    workers       a distributed trial's workers have started, or started again: `data` says which they are
    worked        one worker's share of a report, by its rank; right after the report itself, which is the trial's

Beside its metrics a "worked" event may tell what its report took: `SECONDS` of this worker's own since its
previous report, `WAITED` then for the others, and `CPU` of its process.
"""

from __future__ import annotations

import io
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from nbtune.engine.protocol.metrics import plain

__all__ = ["CPU", "KINDS", "SECONDS", "WAITED", "Chunk", "Event", "decode", "encode"]

KINDS = (
    "experiment",
    "added",
    "started",
    "reported",
    "checkpointed",
    "failed",
    "ended",
    "paused",
    "queued",
    "workers",
    "worked",
)
"""The kinds of events; their positions are what a chunk holds, so new ones come last."""
SECONDS, WAITED, CPU = "seconds", "waited", "cpu"


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        kind: one of `KINDS`.
        trial: the trial's number, counted from 0 as trials are added, or -1.
        time: seconds since the epoch.
        iteration: how many reports the trial had made, this one included, or 0.
        time_s: seconds that the trial had trained, over all its attempts, or NaN.
        metrics: metric -> value, of a report.
        data: the rest, JSON-like.
        pickled: what JSON cannot hold: a configuration with objects in it.
        rank: which worker of a distributed trial, or -1.
        took: what a worker's share of a report took: `SECONDS`, `WAITED`, `CPU`.
    """

    kind: str
    trial: int = -1
    time: float = 0.0
    iteration: int = 0
    time_s: float = math.nan
    metrics: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] | None = None
    pickled: bytes | None = None
    rank: int = -1
    took: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Chunk:
    """A run of events in columns.

    Attributes:
        first: the number of the first event.
        kind: positions in `KINDS`, int8, shape (n,).
        trial: shape (n,), int32.
        time: shape (n,), float64.
        iteration: shape (n,), int32.
        time_s: shape (n,), float64.
        rank: shape (n,), int16.
        metrics: metric -> (rows, values): in which rows it was reported, and what. The values are an
            int64, float64 or bool array, or a list where they are of other or mixed types.
        data: row -> data, for the rows that have any.
        pickled: row -> bytes, for the rows that have any.
        took: what shares of workers took, as `metrics`: the name -> (rows, values), float64.
    """

    first: int
    kind: np.ndarray
    trial: np.ndarray
    time: np.ndarray
    iteration: np.ndarray
    time_s: np.ndarray
    rank: np.ndarray
    metrics: dict[str, tuple[np.ndarray, Any]]
    data: dict[int, dict[str, Any]]
    pickled: dict[int, bytes]
    took: dict[str, tuple[np.ndarray, Any]]

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def end(self) -> int:
        """The number of the event after the last."""
        return self.first + len(self)

    def since(self, number: int) -> Chunk:
        """Return this chunk without the events below `number`."""
        return self._part(min(max(number - self.first, 0), len(self)), len(self))

    def until(self, number: int) -> Chunk:
        """Return this chunk without the events from `number` on."""
        return self._part(0, min(max(number - self.first, 0), len(self)))

    def metrics_of(self, kind: str) -> Iterator[tuple[str, np.ndarray, Any]]:
        """Yield what events of one kind have reported: each metric's name, in which rows, and the values."""
        wanted = self.kind == KINDS.index(kind)
        for name, (rows, values) in self.metrics.items():
            here = wanted[rows]
            if here.all():
                yield name, rows, values
            elif here.any():
                some = values[here] if isinstance(values, np.ndarray) else list(itertools.compress(values, here))
                yield name, rows[here], some

    def _part(self, skip: int, stop: int) -> Chunk:
        if not skip and stop == len(self):
            return self
        return Chunk(
            self.first + skip,
            self.kind[skip:stop],
            self.trial[skip:stop],
            self.time[skip:stop],
            self.iteration[skip:stop],
            self.time_s[skip:stop],
            self.rank[skip:stop],
            _between(self.metrics, skip, stop),
            {row - skip: data for row, data in self.data.items() if skip <= row < stop},
            {row - skip: data for row, data in self.pickled.items() if skip <= row < stop},
            _between(self.took, skip, stop),
        )


def _between(columns: Mapping[str, tuple[np.ndarray, Any]], skip: int, stop: int) -> dict[str, tuple[np.ndarray, Any]]:
    found = {}
    for name, (rows, values) in columns.items():
        start, end = (int(place) for place in np.searchsorted(rows, [skip, stop]))
        if start < end:
            found[name] = (rows[start:end] - skip, values[start:end])
    return found


def to_json(value: Any) -> str:
    """Return JSON of a plain value; what JSON does not know becomes its `repr`. NaN and infinity are kept."""
    return json.dumps(value, default=_shown)


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # one such value must not keep the others from being written
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"


_HEAD = pa.schema(
    [
        pa.field("kind", pa.int8()),
        pa.field("trial", pa.int32()),
        pa.field("time", pa.float64()),
        pa.field("iteration", pa.int32()),
        pa.field("time_s", pa.float64()),
        pa.field("rank", pa.int16()),
        pa.field("data", pa.string()),
        pa.field("pickled", pa.binary()),
    ]
)
# Keep a metric called "kind" apart from the columns above, and one called "seconds" from what a share took.
_METRIC, _TOOK = "metric:", "took:"


def encode(first: int, events: Sequence[Event]) -> bytes:
    """Return the chunk of `events`, of which the first has the number `first`."""
    columns = [
        pa.array([KINDS.index(event.kind) for event in events], pa.int8()),
        pa.array([event.trial for event in events], pa.int32()),
        pa.array([event.time for event in events], pa.float64()),
        pa.array([event.iteration for event in events], pa.int32()),
        pa.array([event.time_s for event in events], pa.float64()),
        pa.array([event.rank for event in events], pa.int16()),
        pa.array([None if event.data is None else to_json(plain(event.data)) for event in events], pa.string()),
        pa.array([event.pickled for event in events], pa.binary()),
    ]
    fields = list(_HEAD)
    for prefix, told in ((_METRIC, [event.metrics for event in events]), (_TOOK, [event.took for event in events])):
        for name in dict.fromkeys(name for one in told for name in one):
            column, kind = _column([one.get(name) for one in told], np.array([name in one for one in told]))
            columns.append(column)
            written = name.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair is no UTF-8
            fields.append(pa.field(prefix + written, column.type, metadata={"as": kind}))
    schema = pa.schema(fields, metadata={"first": str(first)})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))
    return sink.getvalue()


def _column(values: list[Any], present: np.ndarray) -> tuple[pa.Array, str]:
    """Return the narrowest column that holds the values that are present."""
    types = {type(value) for value, here in zip(values, present, strict=True) if here}
    absent = ~present
    try:
        if types == {bool}:
            return pa.array(values, pa.bool_(), mask=absent), "bool"
        if types == {int}:
            return pa.array(values, pa.int64(), mask=absent), "int"
        if types == {float}:
            return pa.array(values, pa.float64(), mask=absent), "float"
    except (OverflowError, pa.ArrowInvalid):
        pass  # an integer beyond 64 bits
    return pa.array(
        [to_json(value) if here else None for value, here in zip(values, present, strict=True)], pa.string()
    ), "json"


def decode(data: bytes) -> list[Chunk]:
    """Return the chunks in `data`: one encoded chunk, or several one after another.

    A last one that was cut off in writing is left out.
    """
    source = pa.BufferReader(data)
    chunks = []
    while source.tell() < source.size():
        try:
            with pa.ipc.open_stream(source) as reader:
                first = int(reader.schema.metadata[b"first"])
                chunks += [_chunk(first, batch) for batch in reader]
        except (pa.ArrowInvalid, OSError):  # OSError: the batch is cut off, not the schema
            break
    return chunks


def _chunk(first: int, batch: pa.RecordBatch) -> Chunk:
    numbers = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in _HEAD.names[:5]}
    # Logs that are older than distributed trials have no ranks.
    ranked = "rank" in batch.schema.names
    rank = batch.column("rank").to_numpy(zero_copy_only=False) if ranked else np.full(len(batch), -1, np.int16)
    told: dict[str, dict[str, tuple[np.ndarray, Any]]] = {_METRIC: {}, _TOOK: {}}
    for position, column in enumerate(batch.schema):
        prefix = next((prefix for prefix in told if column.name.startswith(prefix)), None)
        if prefix is None:
            continue
        values = batch.column(position)
        rows = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
        present = values.drop_null()
        kind = column.metadata[b"as"]
        found = (
            [json.loads(text) for text in present.to_pylist()]
            if kind == b"json"
            else present.to_numpy(zero_copy_only=False)
        )
        told[prefix][column.name[len(prefix) :]] = (rows, found)
    data = {row: json.loads(text) for row, text in _present(batch.column("data"))}
    pickled = dict(_present(batch.column("pickled")))
    return Chunk(first, **numbers, rank=rank, metrics=told[_METRIC], data=data, pickled=pickled, took=told[_TOOK])


def _present(column: pa.Array) -> Iterable[tuple[int, Any]]:
    return ((row, value) for row, value in enumerate(column.to_pylist()) if value is not None)
