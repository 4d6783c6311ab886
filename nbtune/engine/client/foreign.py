"""Experiments of Ray Tune that nbtune has not run: their events, reconstructed from the data in their folders.

Only JSON and text is read. What Ray has pickled, inside the JSON as well, is not loaded here: the objects among the
parameters become those of the events, which are loaded if they are trusted, and everything else has a substitute.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow.fs as pafs

from nbtune.bad_input import shortened
from nbtune.engine.protocol.chunk import Chunk, decode, encode
from nbtune.engine.protocol.events import (
    AttemptFailed,
    CheckpointSaved,
    Event,
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialReported,
    TrialStarted,
)
from nbtune.engine.protocol.failures import describe, without_colors
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.metrics import flat, plain
from nbtune.engine.protocol.result import SUMMED_ENTRIES, TUNE_ENTRIES
from nbtune.engine.protocol.typed_values import TYPE, encoded_object, to_typed_json
from nbtune.engine.storage.log import is_file
from nbtune.engine.storage.repair import STATE_PREFIX
from nbtune.engine.storage.segments import read_file
from nbtune.errors import ExperimentError

__all__ = ["foreign_events"]

_PICKLED = "CLOUDPICKLE_FALLBACK"
"""The "_type" of an object in Tune's JSON that is pickled."""
_PROCESS = re.compile(r"\Aray::.*(?=\n)")
_CHECKPOINT = re.compile(r"checkpoint_\d+")
_FINAL = {"ERROR": "failed", "TERMINATED": "finished"}


@dataclass(frozen=True)
class _Trial:
    """One trial in Tune's snapshot.

    Attributes:
        id: Tune's id.
        status: Tune's status.
        config: its parameters in Tune's JSON.
        folder: the name of its folder; empty if it has none.
        started: its start in seconds since the epoch, or None.
        error: the name of the file with its error, or "".
    """

    id: str
    status: str
    config: dict[str, Any]
    folder: str
    started: float | None
    error: str


def foreign_events(path: str, filesystem: pafs.FileSystem, folder: str, objective: Metadata) -> list[Chunk]:
    """Return the events of an experiment.

    Args:
        path: its folder, as the user knows it.
        filesystem: the filesystem of its storage.
        folder: its folder on that.
        objective: its metric and its mode, if they are known.

    Raises:
        ExperimentError: its files cannot be read.
    """
    try:
        return decode(encode(0, list(_events(path, filesystem, folder, objective))))
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ExperimentError(
            f"the files of Ray Tune in {path} are damaged, or of a version of Ray that is not known:"
            f" {type(error).__name__}: {error}"
        ) from None


def _events(path: str, filesystem: pafs.FileSystem, folder: str, objective: Metadata) -> Iterator[Event]:
    entries = filesystem.get_file_info(pafs.FileSelector(folder))
    folders = {info.base_name for info in entries if info.type == pafs.FileType.Directory}
    state = max(info.base_name for info in entries if info.base_name.startswith(STATE_PREFIX))
    trials = _trials(json.loads(read_file(filesystem, f"{folder}/{state}")), folders)
    trials.sort(key=_position)
    first = min((trial.started for trial in trials if trial.started is not None), default=0.0)
    yield ExperimentUpdated(
        time=first,
        metadata={
            "status": "running", "name": PurePosixPath(folder).name, "path": path, "foreign": True, **objective
        },
    )  # fmt: skip
    last, damaged = first, 0
    for number, trial in enumerate(trials):
        start = first if trial.started is None else trial.started
        texts = _texts(filesystem, f"{folder}/{trial.folder}/params.json") if trial.folder else {}
        config = {name: _encoded(value, texts.get(name)) for name, value in trial.config.items()}
        yield TrialAdded(number, start, ray_id=trial.id, config=config, folder=trial.folder)
        if trial.status != "PENDING":
            yield TrialStarted(number, start)
        rows, unreadable = _rows(filesystem, f"{folder}/{trial.folder}") if trial.folder else ([], 0)
        damaged += unreadable
        ended = start
        for event in _reports(number, start, rows, trial.folder, _checkpoints(filesystem, f"{folder}/{trial.folder}")):
            ended = event.time
            yield event
        if trial.status == "ERROR":
            yield AttemptFailed(number, ended, **describe(_error(filesystem, folder, trial)), final=True)
        if trial.status in _FINAL:
            status = _FINAL[trial.status]
            yield TrialEnded(number, ended, status=status, reason="error" if status == "failed" else "done")
        last = max(last, ended)
    if damaged:
        warning = f"{damaged} lines of Ray Tune's files with the reports are damaged: those reports are lost"
        yield ExperimentUpdated(time=last, metadata={"warning": warning})
    statuses = {trial.status for trial in trials}
    if statuses <= _FINAL.keys():
        yield ExperimentUpdated(time=last, metadata={"status": "failed" if statuses == {"ERROR"} else "finished"})


def _trials(state: Any, folders: set[str]) -> list[_Trial]:
    trials = []
    for trial_json, run_json in state["trial_data"]:
        trial, run = json.loads(trial_json), json.loads(run_json)
        names = [trial.get("relative_logdir"), trial.get("custom_dirname")]
        trial_id = str(trial["trial_id"])
        names += sorted(name for name in folders if trial_id in name)
        folder = next((name for name in names if isinstance(name, str) and name in folders), "")
        started, error = run.get("start_time"), run.get("error_filename")
        trials.append(
            _Trial(
                trial_id,
                str(trial["status"]),
                dict(trial["config"]),
                folder,
                float(started) if isinstance(started, (int, float)) else None,
                error if isinstance(error, str) and "/" not in error else "",
            )
        )
    return trials


def _position(trial: _Trial) -> tuple[float, str]:
    """Return the sort key of a trial: Ray's snapshot has no order."""
    number = trial.id.rpartition("_")[2]  # the ids of the basic variant generator end with a number
    return (float(number) if number.isdecimal() else math.inf if trial.started is None else trial.started, trial.id)


def _texts(filesystem: pafs.FileSystem, path: str) -> dict[str, Any]:
    """Return a trial's parameters with objects as text; empty if they cannot be read."""
    with suppress(OSError, ValueError, RecursionError):
        texts = json.loads(read_file(filesystem, path))
        return texts if isinstance(texts, dict) else {}
    return {}


def _encoded(value: Any, text: Any) -> Any:
    """Return a value of Tune's JSON as the events have it.

    Args:
        value: the value.
        text: the same with objects as text; anything else if that is not known.
    """
    if isinstance(value, list):
        texts = text if isinstance(text, list) and len(text) == len(value) else [None] * len(value)
        return [_encoded(item, of) for item, of in zip(value, texts, strict=True)]
    if not isinstance(value, dict) or TYPE in value:
        return to_typed_json(value)
    if value.get("_type") == _PICKLED:
        shown = text if isinstance(text, str) else "an object"
        return encoded_object(shortened(shown), bytes.fromhex(value["value"]))
    known = text if isinstance(text, dict) else {}
    return {key: _encoded(item, known.get(key)) for key, item in value.items()}


def _rows(filesystem: pafs.FileSystem, folder: str) -> tuple[list[dict[str, Any]], int]:
    """Return the results in a trial's folder, and how many of them cannot be read."""
    if is_file(filesystem, f"{folder}/result.json"):
        lines = [line for line in read_file(filesystem, f"{folder}/result.json").splitlines() if line.strip()]
        results = [row for line in lines if (row := _result(line)) is not None]
        return results, len(lines) - len(results)
    if is_file(filesystem, f"{folder}/progress.csv"):
        text = read_file(filesystem, f"{folder}/progress.csv").decode("utf-8", "replace")
        rows = list(csv.DictReader(io.StringIO(text)))
        return [{name: _number(value) for name, value in row.items() if name and value} for row in rows], 0
    return [], 0


def _result(line: bytes) -> dict[str, Any] | None:
    """Return the result in a line of JSON, or None if it has none."""
    try:
        row = json.loads(line)
        is_result = isinstance(row, dict) and {"training_iteration", "time_total_s"} <= row.keys()
    except (ValueError, RecursionError):
        return None
    return row if is_result else None


def _number(text: Any) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except (ValueError, TypeError):
            continue
    return {"True": True, "False": False}.get(text, text)


def _reports(
    number: int, start: float, rows: list[dict[str, Any]], folder: str, checkpoints: set[str]
) -> Iterator[Event]:
    """Yield the reports of a trial, and those of its checkpoints that exist."""
    time = start
    for row in rows:
        time, saved = float(row.get("timestamp", time)), row.get("checkpoint_dir_name")
        iteration, time_s = int(row["training_iteration"]), float(row["time_total_s"])
        yield TrialReported(number, time, iteration, time_s, metrics=dict(_metrics_of(row)))
        if isinstance(saved, str) and saved in checkpoints:
            yield CheckpointSaved(number, time, iteration, path=f"{folder}/{saved}")


def _metrics_of(row: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the metrics that a trial has reported: the entries of a result that are not Tune's own."""
    from ray.tune.result import AUTO_RESULT_KEYS

    own = (TUNE_ENTRIES - SUMMED_ENTRIES) | set(AUTO_RESULT_KEYS)
    return ((name, plain(value)) for name, value in flat(row) if name.partition("/")[0] not in own)


def _checkpoints(filesystem: pafs.FileSystem, folder: str) -> set[str]:
    infos = filesystem.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    return {info.base_name for info in infos if _CHECKPOINT.fullmatch(info.base_name)}


def _error(filesystem: pafs.FileSystem, folder: str, trial: _Trial) -> str:
    """Return the text of a trial's error, without colours and without the lines of Ray before it."""
    path = f"{folder}/{trial.folder}/{trial.error or 'error.txt'}"
    if not trial.folder or not is_file(filesystem, path):
        return "Ray Tune has stored no error"
    text = without_colors(read_file(filesystem, path).decode("utf-8", "replace"))
    _, mark, last = text.rpartition("Failure # ")
    text = last.partition("\n")[2].strip() if mark else text.strip()
    # The process that has raised takes the place of the first line of a traceback.
    return _PROCESS.sub("Traceback (most recent call last):", text)
