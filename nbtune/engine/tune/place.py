"""Where the user's code runs in a trial's process: its variables, its working directory, its context."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import ray

from nbtune.engine.protocol.environment import set_variables
from nbtune.engine.protocol.failures import NotUnpackedError
from nbtune.engine.train.payload import TrialPayload
from nbtune.engine.trial.datasets import Datasets, Progress, provided
from nbtune.engine.trial.directory import own_folder, working_directory
from nbtune.engine.trial.last_words import note_path, noting_the_end
from nbtune.engine.trial.payload import Surroundings
from nbtune.engine.trial.session import Context

__all__ = ["await_end", "context_of", "in_place", "prepare_process", "with_datasets"]

_MAX_END_S = 60.0  # seconds in which an experiment ends its trials


def prepare_process(payload: TrialPayload) -> None:
    """Set the environment variables of the trial in this process, and keep Ray's messages out of its output.

    Args:
        payload: what the driver gives to each trial.
    """
    set_variables(payload.environment)
    logging.getLogger("ray.train").setLevel(logging.WARNING)  # it logs each checkpoint that was created
    if not ray.get_runtime_context().get_accelerator_ids().get("GPU"):
        # Ray leaves all GPUs visible to a process that requests none, including those of other trials.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def context_of(trial_id: str, storage: Any, resources: Any, around: Surroundings) -> Context:
    """Return the context of a trial.

    Args:
        trial_id: Tune's id of the trial.
        storage: its folder, as Tune's `StorageContext`.
        resources: its `ray.tune.PlacementGroupFactory`.
        around: where the program was packed.
    """
    folder = own_folder(storage.trial_working_directory, around)
    return Context(trial_id, folder, storage.experiment_dir_name, dict(resources.required_resources))


@contextmanager
def in_place(place: Context, storage: Any, around: Surroundings) -> Iterator[None]:
    """Run the code inside in the working directory of a trial, which keeps its files.

    Args:
        place: the context of the trial.
        storage: its folder, as Tune's `StorageContext`.
        around: where the program was packed.
    """
    with (
        working_directory(place.trial_dir, around, storage.storage_filesystem, storage.trial_fs_path),
        noting_the_end(note_path(storage.trial_working_directory), around.sources),
    ):
        yield


@contextmanager
def with_datasets(payload: TrialPayload, place: Context) -> Iterator[None]:
    """Let the code inside have the data sets of the experiment, as a whole. Without any, nothing is imported.

    Args:
        payload: what the driver gives to each trial.
        place: the context of the trial.
    """
    datasets = Datasets.in_trial(payload.datasets)
    if not datasets.names:
        with provided(datasets):
            yield
        return
    from nbtune.engine.train.alone import without_workers

    tell = partial(payload.driver.call, "read", place.get_trial_id(), 0)
    with (
        provided(datasets),
        Progress(tell, datasets.reads),
        without_workers(place.experiment_name),  # for `ray.train.get_dataset_shard`
    ):
        yield


def await_end(payload: TrialPayload, error: NotUnpackedError) -> None:
    """Tell the driver that this process cannot unpickle the program. If that ends the experiment, wait for it.

    Args:
        payload: what the driver gives to each trial.
        error: the error.
    """
    if ray.get(payload.driver.call("not_unpacked", error)):
        time.sleep(_MAX_END_S)  # this trial is stopped meanwhile
