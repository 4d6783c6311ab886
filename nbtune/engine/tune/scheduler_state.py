"""The state of a scheduler in Tune's snapshot. It refers to trials by their ids, and to checkpoints by their paths.

Tune does not save the state of schedulers.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import pyarrow.fs as pafs
import ray.cloudpickle as cloudpickle
from ray.tune import Checkpoint
from ray.tune.experiment import Trial

from nbtune.engine._ray.schedulers import FutureTrainingResult, catch_up_schedule, settle_population

__all__ = ["Restored", "dump_scheduler", "load_scheduler"]


class Restored(NamedTuple):
    """A scheduler as it was.

    Attributes:
        scheduler: the scheduler.
        known: the ids of the trials that it knew.
        ended: the ids of the trials that it had stopped -> why. Some may not have been over yet.
        missing: what stands for trials that it knew and that do not exist. They are over.
    """

    scheduler: Any
    known: Collection[str]
    ended: Mapping[str, str]
    missing: Collection[Any]


def dump_scheduler(scheduler: Any, known: Collection[str], ended: Mapping[str, str]) -> bytes:
    """Return the state of a scheduler.

    Args:
        scheduler: the scheduler.
        known: the ids of the trials that it knows.
        ended: the ids of the trials that it has stopped -> why.

    Raises:
        Exception: a scheduler of the user's own cannot be pickled.
    """
    settle_population(scheduler)
    file = io.BytesIO()
    _Pickler(file).dump((scheduler, list(known), dict(ended)))
    return file.getvalue()


def load_scheduler(state: bytes, trials: Mapping[str, Any], storage: Any) -> Restored:
    """Return a scheduler as it was. One that replays a schedule goes on where its trial is, which may be further.

    Args:
        state: what `dump_scheduler` has returned.
        trials: Tune's trials by their ids, with their latest checkpoints.
        storage: the storage context of any trial: the folder of the experiment may have been moved.
    """
    unpickler = _Unpickler(io.BytesIO(state), trials, storage)
    scheduler, known, ended = unpickler.load()
    for trial_id in set(known) & trials.keys():
        catch_up_schedule(scheduler, trials[trial_id])
    return Restored(scheduler, known, ended, list(unpickler.missing.values()))


class _Missing:
    """Stands for a trial that does not exist in Tune's snapshot."""

    status, is_saving = Trial.TERMINATED, False

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id

    def is_finished(self) -> bool:
        return True


class _Pickler(cloudpickle.CloudPickler):
    def persistent_id(self, value: Any) -> tuple[str, str] | None:
        if isinstance(value, Trial):
            return "trial", value.trial_id
        if isinstance(value, Checkpoint):  # with its filesystem, it may have a password
            return "checkpoint", "/".join(str(value.path).split("/")[-2:])
        return None

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, FutureTrainingResult):  # it is being saved at this moment
            return _nothing, ()
        return super().reducer_override(value)


def _nothing() -> None:
    return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, trials: Mapping[str, Any], storage: Any) -> None:
        super().__init__(file)
        self._trials, self._storage = trials, storage
        self.missing: dict[str, _Missing] = {}

    def persistent_load(self, reference: tuple[str, str]) -> Any:
        kind, name = reference
        if kind == "checkpoint":
            filesystem, path = self._storage.storage_filesystem, f"{self._storage.experiment_fs_path}/{name}"
            exists = filesystem.get_file_info(path).type == pafs.FileType.Directory
            return Checkpoint(path, filesystem=filesystem) if exists else None
        if name in self._trials:
            return self._trials[name]
        return self.missing.setdefault(name, _Missing(name))
