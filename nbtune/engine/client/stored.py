"""Experiments in storage: those of nbtune, and any other of Ray Tune."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pyarrow.fs as pafs

from nbtune.engine.protocol.chunk import Chunk
from nbtune.engine.protocol.commands import Command
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.source import ElsewhereError, SourceLostError
from nbtune.engine.protocol.trust import NOTHING, Trust
from nbtune.engine.search.own_settings import own_metric, own_mode
from nbtune.engine.storage.log import read_log
from nbtune.engine.storage.repair import STATE_PREFIX, TUNER
from nbtune.engine.storage.segments import has_log, read_file
from nbtune.engine.storage.signatures import accepts_file, read_signatures
from nbtune.engine.storage.storage import Storage
from nbtune.errors import ExperimentError, UntrustedError

__all__ = ["Recorded", "events_since", "open_experiment", "result_grid", "stored_experiments"]


class Recorded:
    """A source of recorded events, which are complete.

    Args:
        chunks: the events in order.
        elsewhere: takes the time of the last event; returns a sentence on the driver if that lives elsewhere, or may;
            else None.
    """

    def __init__(self, chunks: list[Chunk], elsewhere: Callable[[float], str | None] = lambda last_event: None) -> None:
        self._chunks, self._elsewhere = chunks, elsewhere

    def read(self, since: int, timeout: float) -> list[Chunk]:
        remaining = [chunk.since(since) for chunk in self._chunks if chunk.end > since]
        if not remaining:
            last = next((float(chunk.time[-1]) for chunk in reversed(self._chunks) if len(chunk)), 0.0)
            if (sentence := self._elsewhere(last)) is not None:
                raise ElsewhereError(sentence)
            raise SourceLostError("its log ends before the experiment does: the driver or the cluster was lost")
        return remaining

    def send(self, command: Command) -> None:
        raise SourceLostError("it was read from storage and does not run")

    def close(self) -> None:
        """Nothing has to be released."""


def open_experiment(
    where: Storage, elsewhere: Callable[[float], str | None] = lambda last_event: None, trust: Trust = NOTHING
) -> Recorded:
    """Return the events of a stored experiment.

    Args:
        where: its folder.
        elsewhere: as for `Recorded`.
        trust: whether the metric of an experiment that nbtune has not run, which is in a pickle, is loaded.

    Raises:
        ExperimentError: it contains no experiment.
    """
    filesystem, folder = where.open()
    if has_log(filesystem, folder):
        return Recorded(read_log(filesystem, folder), elsewhere)
    if not _has_state(filesystem, folder):
        raise ExperimentError(
            f"{where.redacted!r} contains no experiment: neither nbtune's event log nor an {STATE_PREFIX}*.json of"
            " Ray Tune. Give the folder of the experiment, which is inside the storage path"
        )
    from nbtune.engine.client.foreign import foreign_events

    return Recorded(foreign_events(where.place, filesystem, folder, _objective(filesystem, folder, trust)))


def events_since(where: Storage, number: int) -> list[Chunk]:
    """Return the events of a stored experiment from a number on.

    Args:
        where: the experiment's folder.
        number: the number of the first event.
    """
    filesystem, folder = where.open()
    return [chunk.since(number) for chunk in read_log(filesystem, folder) if chunk.end > number]


def _has_state(filesystem: pafs.FileSystem, folder: str) -> bool:
    if filesystem.get_file_info(folder).type != pafs.FileType.Directory:
        return False
    files = filesystem.get_file_info(pafs.FileSelector(folder))
    return any(info.base_name.startswith(STATE_PREFIX) for info in files)


def _objective(filesystem: pafs.FileSystem, folder: str, trust: Trust) -> Metadata:
    """Return the metric and mode of another tool's experiment, if its tuner has them and is trusted."""
    try:
        if not accepts_file(filesystem, folder, TUNER, trust, {}):
            return {}
        config = pickle.loads(read_file(filesystem, f"{folder}/{TUNER}"))["_tune_config"]
        metric, mode = config.metric or own_metric(config.search_alg), config.mode or own_mode(config.search_alg)
        if isinstance(metric, list) and isinstance(mode, list):
            return {"objectives": [list(pair) for pair in zip(metric, mode, strict=True)], "scope": "last"}
        return {"metric": metric, "mode": mode} if metric and mode else {}
    except Exception:  # it refers to classes that this process does not have
        return {}


def result_grid(where: Storage, metric: str | None, mode: str | None, trust: Trust) -> Any:
    """Return Ray Tune's `ResultGrid` of a stored experiment.

    Args:
        where: the experiment's folder.
        metric: the metric for ``get_best_result``, or None.
        mode: "min", "max" or None.
        trust: whose files of Tune are loaded.

    Raises:
        ExperimentError: Tune's own snapshot of it is missing or broken.
        UntrustedError: it is not trusted.
    """
    from ray.tune import ExperimentAnalysis, ResultGrid

    from nbtune.engine.protocol.result import tune_name

    filesystem, folder = where.open()
    is_own = has_log(filesystem, folder)
    if metric is not None and is_own:
        metric = tune_name(metric)
    signatures = read_signatures(filesystem, folder)
    try:
        infos = filesystem.get_file_info(pafs.FileSelector(folder))
        state = max((info.base_name for info in infos if info.base_name.startswith(STATE_PREFIX)), default=None)
        if state is not None and not accepts_file(filesystem, folder, state, trust, signatures):
            raise UntrustedError(
                f"{where.redacted}: a ResultGrid consists of objects that Ray Tune has pickled, and they are not signed"
                " with your key. If you trust the folder, nbtune.load(path, trust=True).results loads them; df and"
                " history have all reports, and load no objects"
            )
        analysis = ExperimentAnalysis(folder, storage_filesystem=filesystem, default_metric=metric, default_mode=mode)
        for trial in analysis.trials:
            assert trial.storage is not None
            error = f"{trial.storage.trial_dir_name}/{trial.run_metadata.pickled_error_filename}"
            if not accepts_file(filesystem, folder, error, trust, signatures):
                trial.run_metadata.pickled_error_filename = None  # its text takes the place of the exception
    except (OSError, ValueError) as error:
        raise ExperimentError(
            f"{where.redacted} has no readable snapshot of Ray Tune: {error}. df and history have all reports even if"
            " the storage has failed"
        ) from error
    return ResultGrid(analysis)


def stored_experiments(storage: Storage) -> list[Storage]:
    """Return the folders of the experiments in a storage, those of nbtune and others.

    Args:
        storage: the folder that contains those of the experiments.
    """
    filesystem, root = storage.open()
    if filesystem.get_file_info(root).type != pafs.FileType.Directory:
        return []
    folders = [
        info for info in filesystem.get_file_info(pafs.FileSelector(root)) if info.type == pafs.FileType.Directory
    ]
    experiments = [info for info in folders if has_log(filesystem, info.path) or _has_state(filesystem, info.path)]
    return [storage.join(info.base_name) for info in sorted(experiments, key=lambda info: info.path)]
