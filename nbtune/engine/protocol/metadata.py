"""The metadata of an experiment, and its form in the event log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, cast

from nbtune.engine.protocol.metrics import plain
from nbtune.engine.protocol.recorded_space import RecordedParameter
from nbtune.engine.protocol.typed_values import from_typed_json, to_typed_json
from nbtune.spec.options.objectives import Objective
from nbtune.spec.plan.plan import Plan

__all__ = ["Metadata", "decode_metadata", "encode_metadata", "objectives_of"]


class Metadata(TypedDict, total=False):
    """The metadata of an experiment.

    An event has the entries that change; the latest value of each entry is the valid one.
    """

    status: str
    """ "pending", "running", "finished", "stopped" or "failed"; in the kernel also "lost", "unread" and "running
    elsewhere"."""
    error: str | None
    """Why the experiment as a whole has failed: one line."""
    traceback: str | None
    """The full text of `error`."""
    warning: str
    """A problem that does not end the experiment, for instance that it cannot be resumed after a crash."""
    id: str
    """Its unique id. A copied folder has that of the original until it is resumed."""
    parent: str
    """The id of the experiment that it is a copy of."""
    name: str
    """Its name."""
    path: str
    """Its folder in storage, without credentials."""
    detached: bool
    """Whether it continues when its kernel ends."""
    foreign: bool
    """Whether it was run by another tool, and only Ray Tune's own files are known."""
    notes: list[str]
    """Sentences for the user, from the plan."""
    metric: str | None
    """The metric that is optimized; None without one, or if there are several."""
    mode: str | None
    """ "min" or "max"; None without a metric, or if there are several."""
    objectives: list[list[str]]
    """The metrics that are optimized with their modes, [[metric, mode], …], if there are several."""
    scope: str
    """The value of the metric by which trials are compared: a key of `nbtune.spec.options.options.SCOPES`."""
    metrics: list[str]
    """The metrics that the code reports, as far as its source shows."""
    trials: int
    """The expected number of trials."""
    trials_per_sample: int
    """The number of trials of one sample: the size of the grid, 1 without one, times `repeat`."""
    repeat: int
    """How often each configuration is trained."""
    datasets: dict[str, dict[str, Any]]
    """The data sets that the options name: name -> `nbtune.spec.options.datasets.DatasetInfo.to_json`."""
    concurrent: int
    """The number of trials that run at once, according to the plan."""
    max_concurrent: int | None
    """The user's limit of trials that run at once, or None."""
    workers: str
    """The workers of each trial, as text; empty without any."""
    plan: Plan
    """The plan before it was started or resumed."""
    space: dict[str, RecordedParameter]
    """What views show of each parameter, by its name."""
    definition: dict[str, Any]
    """The space itself, as `nbtune.spec.space.json.space_to_json` encodes it."""
    options: dict[str, int | float | str]
    """The options that were given, as text where they are neither numbers nor text."""
    source: str
    """The text of the cell or function."""
    code: str
    """How the code differs from what a user expects, one sentence: it was changed since, or replaced; empty if not."""
    notebook: str
    """The id of the notebook in which it was started; empty if that is unknown. See `nbtune.shell.notebook_id`."""
    versions: dict[str, str]
    """Package -> version: of python, ray and nbtune."""
    started: float
    """Start, in seconds since the epoch."""
    ended: float | None
    """End, in seconds since the epoch; None while it runs."""
    interruptions_s: float
    """Seconds between a stop and a resumption, summed over all resumptions."""


_NAMES = frozenset(Metadata.__annotations__)


def objectives_of(metadata: Metadata) -> tuple[Objective, ...]:
    """Return the objectives of an experiment.

    Args:
        metadata: its metadata.
    """
    if (metric := metadata.get("metric")) is not None:
        return (Objective(metric, metadata.get("mode") or "min"),)
    return tuple(Objective(*pair) for pair in metadata.get("objectives", ()))


def encode_metadata(metadata: Metadata) -> dict[str, Any]:
    """Return metadata as the JSON object that the event log keeps."""
    return {name: _encode(name, value) for name, value in metadata.items()}


def decode_metadata(data: Mapping[str, Any]) -> Metadata:
    """Return metadata from the event log's JSON object. Unknown entries are left out.

    Args:
        data: what `encode_metadata` has returned, after its way through JSON.
    """
    return cast(Metadata, {name: _decode(name, value) for name, value in data.items() if name in _NAMES})


def _encode(name: str, value: Any) -> Any:
    if name == "space":
        return to_typed_json(value)
    return plain(value.to_json() if name == "plan" else value)


def _decode(name: str, value: Any) -> Any:
    if name == "space":
        return from_typed_json(value)
    return Plan.from_json(value) if name == "plan" else value
