"""Chunks: runs of events in columns, and the one encoding in which events are sent and stored.

A chunk is encoded as one frame (`nbtune.engine.protocol.frames`) with an Arrow IPC stream. The driver sends such
frames, and the files of the event log are sequences of them.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from nbtune.engine.protocol.events import (
    EVENT_TYPES,
    Event,
    TrialReported,
    WorkerReported,
    event_data,
    make_event,
)
from nbtune.engine.protocol.frames import frames, make_frame

__all__ = ["CODES", "Chunk", "Decoded", "decode", "decode_damaged", "encode"]

CODES = {kind: code for code, kind in enumerate(EVENT_TYPES)}
"""The class of an event -> its number in `Chunk.kind`."""
_Columns = Mapping[str, tuple[np.ndarray, Any]]
_NONE: Mapping[str, Any] = {}
E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Chunk:
    """A run of events in columns. Reports are best read in columns, other events one by one.

    Attributes:
        first: the number of the first event.
        kind: `CODES` of the events' classes, int8, shape (n,).
        trial: shape (n,), int32.
        time: shape (n,), float64.
        iteration: shape (n,), int32.
        time_s: shape (n,), float64.
        rank: shape (n,), int16; -1 for events that are not a worker's.
        metrics: metric -> (rows, values): the rows of the events that have the metric, and its values there. The values
            are an int64, float64 or bool array, or a list if they have other or different types.
        data: row -> `event_data`, of the events that have any.
        took: the name of a measurement -> (rows, values), as for `metrics`; float64.
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

    def rows_of(self, *kinds: type[Event]) -> np.ndarray:
        """Return the rows of the events of some classes, in order.

        Args:
            kinds: the classes.
        """
        if len(kinds) == 1:  # much faster than `isin`
            return np.flatnonzero(self.kind == CODES[kinds[0]])
        return np.flatnonzero(np.isin(self.kind, [CODES[kind] for kind in kinds]))

    def metrics_of(self, kind: type[Event]) -> Iterator[tuple[str, np.ndarray, Any]]:
        """Yield each metric of the events of one class: its name, its rows and the values.

        Args:
            kind: `TrialReported` or `WorkerReported`.
        """
        is_kind = self.kind == CODES[kind]
        for name, (rows, values) in self.metrics.items():
            selected = is_kind[rows]
            if selected.all():
                yield name, rows, values
            elif selected.any():
                is_array = isinstance(values, np.ndarray)
                yield name, rows[selected], values[selected] if is_array else list(itertools.compress(values, selected))

    def events(self) -> Iterator[Event]:
        """Yield all events, in order."""
        return self.events_of(*EVENT_TYPES)

    def events_of(self, *kinds: type[E]) -> Iterator[E]:
        """Yield the events of some classes, in order.

        Args:
            kinds: the classes.
        """
        rows = self.rows_of(*kinds)
        metrics = _by_row(self.metrics) if TrialReported in kinds or WorkerReported in kinds else {}
        took = _by_row(self.took) if WorkerReported in kinds else {}
        columns = (self.kind, self.trial, self.time, self.iteration, self.time_s)
        for row, code, *common in zip(rows.tolist(), *(column[rows].tolist() for column in columns), strict=True):
            kind = EVENT_TYPES[code]
            own: dict[str, Any] = {}
            if kind is TrialReported:
                own = {"metrics": metrics.get(row, {})}
            elif kind is WorkerReported:
                own = {"rank": int(self.rank[row]), "metrics": metrics.get(row, {}), "took": took.get(row, {})}
            yield make_event(kind, self.data.get(row), common, **own)

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
            _between(self.took, skip, stop),
        )


def _between(columns: _Columns, skip: int, stop: int) -> dict[str, tuple[np.ndarray, Any]]:
    part = {}
    for name, (rows, values) in columns.items():
        start, end = (int(place) for place in np.searchsorted(rows, [skip, stop]))
        if start < end:
            part[name] = (rows[start:end] - skip, values[start:end])
    return part


def _by_row(columns: _Columns) -> dict[int, dict[str, Any]]:
    by_row: dict[int, dict[str, Any]] = {}
    for name, (rows, values) in columns.items():
        for row, value in zip(
            rows.tolist(), values.tolist() if isinstance(values, np.ndarray) else values, strict=True
        ):
            by_row.setdefault(row, {})[name] = value
    return by_row


def _to_json(value: Any) -> str:
    """Return JSON of a plain value. Values that JSON does not have become their `repr`; NaN and infinity are kept.

    Args:
        value: what `nbtune.engine.protocol.metrics.plain` has returned.
    """
    try:
        return json.dumps(value, default=_repr)
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits, or nested too deeply
        return json.dumps(_repr(value))


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # a single such value must not prevent the others from being written
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"


_HEADER = pa.schema(
    [
        pa.field("kind", pa.int8()),
        pa.field("trial", pa.int32()),
        pa.field("time", pa.float64()),
        pa.field("iteration", pa.int32()),
        pa.field("time_s", pa.float64()),
        pa.field("rank", pa.int16()),
        pa.field("data", pa.string()),
    ]
)
_EXTENSION = b"\x14\0\0\0ARROW:extension:name"
"""The key, in a column's metadata, that makes Arrow call Python code that is registered for its value. Ray Data
registers types whose values are pickles. No column of nbtune's has the key.
"""
# Keep a metric named "kind" apart from the columns above, and one named "seconds" from the measurements.
_METRIC, _TOOK = "metric:", "took:"


def encode(first: int, events: Sequence[Event]) -> bytes:
    """Return events as one encoded chunk.

    Args:
        first: the number of the first event.
        events: the events in order.
    """
    data = map(event_data, events)
    columns = [
        pa.array([CODES[type(event)] for event in events], pa.int8()),
        pa.array([event.trial for event in events], pa.int32()),
        pa.array([event.time for event in events], pa.float64()),
        pa.array([event.iteration for event in events], pa.int32()),
        pa.array([event.time_s for event in events], pa.float64()),
        pa.array([event.rank if isinstance(event, WorkerReported) else -1 for event in events], pa.int16()),
        pa.array([None if one is None else _to_json(one) for one in data], pa.string()),
    ]
    schema_fields = list(_HEADER)
    metrics = [event.metrics if isinstance(event, (TrialReported, WorkerReported)) else _NONE for event in events]
    took = [event.took if isinstance(event, WorkerReported) else _NONE for event in events]
    for prefix, mappings in ((_METRIC, metrics), (_TOOK, took)):
        for name in dict.fromkeys(name for mapping in mappings for name in mapping):
            column, kind = _column([one.get(name) for one in mappings], np.array([name in one for one in mappings]))
            columns.append(column)
            valid_name = name.encode("utf-8", "backslashreplace").decode()  # a lone surrogate is not valid UTF-8
            schema_fields.append(pa.field(prefix + valid_name, column.type, metadata={"as": kind}))
    schema = pa.schema(schema_fields)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))
    return make_frame(first, len(events), sink.getvalue())


def _column(values: list[Any], present: np.ndarray) -> tuple[pa.Array, str]:
    """Return the narrowest column that holds the values that are present, and its kind."""
    types = {type(value) for value, is_present in zip(values, present, strict=True) if is_present}
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
    texts = [_to_json(value) if is_present else None for value, is_present in zip(values, present, strict=True)]
    return pa.array(texts, pa.string()), "json"


class Decoded(NamedTuple):
    """What is readable of encoded chunks that may be damaged.

    Attributes:
        chunks: the readable chunks.
        end: the number after the last event, as far as it is known. Where the end is damaged, one more than that of
            the last event that is known. None if nothing is readable.
        is_damaged: whether anything is not readable.
    """

    chunks: list[Chunk]
    end: int | None
    is_damaged: bool


def decode(data: bytes) -> list[Chunk]:
    """Return the readable chunks in `data`. The numbers of the events tell which ones are missing.

    Args:
        data: what `encode` has returned, once or several times in sequence.

    Raises:
        ExperimentError: it was encoded by another version of nbtune.
    """
    return decode_damaged(data).chunks


def decode_damaged(data: bytes) -> Decoded:
    """Return the readable chunks in `data`, and whether anything in it is damaged.

    Args:
        data: what `encode` has returned, once or several times in sequence.

    Raises:
        ExperimentError: it was encoded by another version of nbtune.
    """
    chunks: list[Chunk] = []
    end, is_damaged, is_cut = 0, False, False
    for frame in frames(data):
        is_cut = frame.first is None
        chunk = None if frame.first is None or frame.stream is None else _read(frame.first, frame.count, frame.stream)
        if frame.first is not None:
            end = max(end, frame.first + frame.count)
        if chunk is None:
            is_damaged = True
        else:
            chunks.append(chunk)
    if is_damaged and not end:
        return Decoded([], None, True)
    return Decoded(chunks, end + is_cut, is_damaged)


def _read(first: int, count: int, stream: bytes) -> Chunk | None:
    """Return the chunk of an intact frame; None if it is not a chunk, which only a faulty or hostile writer makes."""
    if _EXTENSION in stream:
        return None
    try:
        with pa.ipc.open_stream(pa.BufferReader(stream)) as reader:
            (batch,) = reader
        batch.validate(full=True)
        chunk = _chunk(first, batch)
        intact = len(chunk) == count and (not count or 0 <= chunk.kind.min() <= chunk.kind.max() < len(EVENT_TYPES))
        return chunk if intact else None
    except Exception:  # Arrow, NumPy and JSON raise many kinds
        return None


def _chunk(first: int, batch: pa.RecordBatch) -> Chunk:
    numbers = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in _HEADER.names[:6]}
    named: dict[str, dict[str, tuple[np.ndarray, Any]]] = {_METRIC: {}, _TOOK: {}}
    for position, column in enumerate(batch.schema):
        prefix = next((prefix for prefix in named if column.name.startswith(prefix)), None)
        if prefix is None:
            continue
        values = batch.column(position)
        rows = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
        present = values.drop_null()
        is_json = column.metadata[b"as"] == b"json"
        decoded = (
            [json.loads(text) for text in present.to_pylist()] if is_json else present.to_numpy(zero_copy_only=False)
        )
        named[prefix][column.name[len(prefix) :]] = (rows, decoded)
    data = {row: json.loads(text) for row, text in _present(batch.column("data"))}
    return Chunk(first, **numbers, metrics=named[_METRIC], data=data, took=named[_TOOK])


def _present(column: pa.Array) -> Iterable[tuple[int, Any]]:
    return ((row, value) for row, value in enumerate(column.to_pylist()) if value is not None)
