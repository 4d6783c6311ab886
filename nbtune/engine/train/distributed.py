"""A trial that is a Ray Train run: starts its workers, and brings what they report to Tune."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pyarrow.fs as pafs
import ray
from ray.exceptions import RayActorError
from ray.train import Checkpoint, DataConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from nbtune.engine._ray.train import ReportCallback, WorkerGroupCallback
from nbtune.engine._ray.tune import report_result
from nbtune.engine.protocol.environment import set_at_start
from nbtune.engine.protocol.failures import Failure, TrialError, describe, without_colors
from nbtune.engine.protocol.metrics import Report, Share
from nbtune.engine.protocol.result import REPORT
from nbtune.engine.train.payload import Training, TrialPayload
from nbtune.engine.train.reserved import reserved_trainer
from nbtune.engine.train.worker import SHARE, Preparation, Start, Worker, silence_ray_train, work
from nbtune.engine.train.worker_group import GroupSettings
from nbtune.engine.trial.datasets import Datasets, ingesting
from nbtune.engine.trial.last_words import note_path, why_ended
from nbtune.engine.trial.output import RANK_FOLDER
from nbtune.engine.trial.reservation import reserved_group
from nbtune.engine.trial.session import Context
from nbtune.frameworks import environment_of, framework_of
from nbtune.passwords import without_passwords
from nbtune.spec.plan.workers import Workers

__all__ = ["aggregated", "run_workers"]

_ITERATION = "nbtune_iteration"  # in a checkpoint's metadata: the number of reports before it
_SNAPSHOT = "checkpoint_manager_snapshot.json"  # Ray Train's file about a run's checkpoints

_TRIAL_ENVIRONMENT = {
    # Seconds between two polls of the workers. Each poll waits for news.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.01",
    # It would start another process for each trial, which announces nodes that are about to end.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
}
"""Variables of the trial's process."""

_WORKER_ENVIRONMENT = {
    # Otherwise Ray Train converts the output of workers to log records.
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # Otherwise it configures their loggers.
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
}
"""Variables of its workers."""


def run_workers(config: Mapping[str, Any], payload: TrialPayload, place: Context, storage: Any) -> None:
    """Run the workers of one trial until they end.

    Args:
        config: the trial's parameters.
        payload: that of a trial with workers.
        place: the context of this process.
        storage: the trial's folder, as Tune's `StorageContext`.

    Raises:
        TrialError: the program of a worker raised, or its process has died.
    """
    training = payload.training
    assert training is not None, "a trial without workers"
    for name, value in _TRIAL_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    silence_ray_train()
    group = reserved_group()
    assert group is not None
    _check_places(training.workers, config, group)
    start = _start(storage)
    framework, elastic = framework_of(training.framework), training.workers.elastic is not None
    # Before Ray Train initializes the workers: settings of Ray Train, and credentials of the storage.
    variables = {**payload.environment, **_environment(training)}
    preparation = Preparation(variables, framework.WORKER_IMPORTS)
    settings = GroupSettings(preparation, group, storage.experiment_fs_path, training.framework)
    reports = _Reports(start, training.aggregate, partial(_notify, payload.driver, place.get_trial_id()))
    datasets = Datasets.in_trial(payload.datasets)
    tell = partial(payload.driver.call, "read", place.get_trial_id())
    own: dict[str, Any] = {}
    if datasets.names:
        own["datasets"], config_of_data, _ = datasets.load()
        own["dataset_config"] = _data_config(config_of_data)
    trainer = reserved_trainer(
        [reports, Worker(start, datasets.names, tell)], settings, elastic=elastic, data_cpus=training.data_cpus
    )(
        partial(work, dict(config), payload.program, place, storage.trial_working_directory, payload.key),
        scaling_config=_scaling(training.workers, config),
        run_config=RunConfig(  # type: ignore[call-arg]  # mypy takes it for that of Ray Train V1
            name=storage.trial_dir_name,
            storage_path=storage.experiment_fs_path,
            storage_filesystem=storage.storage_filesystem,
            # Tune tries the whole trial again, from its latest checkpoint, and counts that.
            # Only an elastic run reserves resources, and retries until they are available.
            failure_config=FailureConfig(  # type: ignore[call-arg]
                max_failures=0, controller_failure_limit=-1 if elastic else 0
            ),
            # The others are set later, since Ray shows these in the list of processes and in its logs.
            worker_runtime_env={"env_vars": early} if (early := set_at_start(training.variables)) else {},
        ),
        backend_config=framework.config(training.backend),
        **own,
    )
    try:
        with ingesting(datasets):
            trainer.fit()
    except WorkerGroupError as error:
        raise _cause(error, partial(_why_ended, storage)) from None
    except ControllerError as error:
        raise _not_connected(error.controller_failure) from None


def _check_places(workers: Workers, config: Mapping[str, Any], group: Any) -> None:
    """Refuse more workers than the trial has bundles: a scheduler that changes their number keeps the bundles.

    Raises:
        TrialError: there are too many workers.
    """
    if workers.elastic is None:
        places, number = group.bundle_count - bool(workers.trainer_resources), workers.count(config)
        if number > places:
            raise TrialError(
                f"{number} workers, but resources for {places}",
                f"this trial has reserved resources for {places} workers, and now needs {number}. A scheduler cannot"
                " change the number of workers: exclude that parameter from its mutations",
            )


def _notify(driver: Any, *arguments: Any) -> None:
    with suppress(RayActorError):  # if the driver has died, this trial is about to end
        ray.get(driver.call("workers", *arguments))


def _scaling(workers: Workers, config: Mapping[str, Any]) -> ScalingConfig:
    return ScalingConfig(
        num_workers=workers.elastic or workers.count(config),  # type: ignore[arg-type]
        use_gpu=bool(workers.resources_per_worker.get("GPU")),
        resources_per_worker=dict(workers.resources_per_worker),
        placement_strategy=workers.strategy,
        **workers.scaling_fields,
    )


def _data_config(given: Any) -> DataConfig | None:
    """Return Ray Train's configuration of the option `dataset_config`."""
    return DataConfig(datasets_to_split=list(given)) if isinstance(given, tuple) else given


def _environment(training: Training) -> dict[str, str]:
    resources = training.workers.resources_per_worker
    # Ray does not hide the GPUs from a process that has requested none.
    hidden = {} if resources.get("GPU") else {"CUDA_VISIBLE_DEVICES": ""}
    of_framework = environment_of(training.framework, resources)
    return {**_WORKER_ENVIRONMENT, **hidden, **of_framework, **training.variables}


def _start(storage: Any) -> Start:
    """Return where the workers start: at Tune's checkpoint of the trial, not that of Ray Train's snapshot."""
    filesystem, folder = storage.storage_filesystem, storage.trial_fs_path
    with suppress(OSError):
        filesystem.delete_file(f"{folder}/{_SNAPSHOT}")
    for info in filesystem.get_file_info(pafs.FileSelector(folder, allow_not_found=True)):
        one = info.base_name.startswith("checkpoint_") and info.type == pafs.FileType.Directory
        if one and _is_incomplete(Checkpoint(info.path, filesystem)):
            with suppress(OSError):  # incomplete when the workers were killed, and not registered
                filesystem.delete_dir(info.path)
    found = ray.tune.get_checkpoint()
    if found is None:
        return Start()
    return Start(int(found.get_metadata().get(_ITERATION, 0)), Checkpoint(found.path, found.filesystem))


def _is_incomplete(checkpoint: Checkpoint) -> bool:
    try:
        return _ITERATION not in checkpoint.get_metadata()
    except OSError:  # the driver deletes it at this moment, since a later one supersedes it
        return False


class _Reports(ReportCallback, WorkerGroupCallback):
    """Reports to Tune what the workers report, in the trial's process.

    Args:
        start: where the workers start.
        aggregate: how their metrics become the trial's.
        on_start: called when the workers have started, with the number of reports before, and their descriptions.
    """

    def __init__(self, start: Start, aggregate: str, on_start: Callable[[int, list[dict[str, Any]]], None]) -> None:
        self._aggregate, self._on_start = aggregate, on_start
        self._iteration = self._saved_at = start.iteration

    def after_worker_group_start(self, worker_group: Any) -> None:
        """Continue to count reports from the latest checkpoint: after a resize the workers have restarted from it."""
        self._iteration = self._saved_at
        workers = [
            {
                "rank": worker.distributed_context.world_rank,
                "node": worker.metadata.node_ip,
                "node_id": worker.metadata.node_id,
                "pid": worker.metadata.pid,
                "gpus": [str(gpu) for gpu in worker.metadata.gpu_ids],
            }
            for worker in worker_group.get_workers()
        ]
        self._on_start(self._iteration, workers)

    def after_report(self, training_report: Any, metrics: list[dict[str, Any]]) -> None:
        """Report to Tune, after all workers have reported."""
        self._iteration += 1
        shares: tuple[Share, ...] = tuple(of_rank[SHARE] for of_rank in metrics)
        metrics_of_trial = aggregated([share.metrics for share in shares], self._aggregate)
        result = {REPORT: Report(metrics_of_trial, shares, self._iteration)}
        checkpoint = training_report.checkpoint
        if checkpoint is not None:
            checkpoint.update_metadata({_ITERATION: self._iteration})
            self._saved_at = self._iteration
        # As `tune.report`, but the checkpoint is in storage already: "to report results from Train to Tune without
        # persisting checkpoints to storage 2 times".
        report_result(checkpoint, result)


def aggregated(ranks: Sequence[Mapping[str, Any]], how: str) -> dict[str, Any]:
    """Return a trial's metrics from those of its workers.

    Args:
        ranks: what each has reported.
        how: one of `nbtune.spec.plan.workers.AGGREGATES`. What is no number is rank 0's.
    """
    first = dict(ranks[0])
    if how == "rank0":
        return first
    names = dict.fromkeys(name for rank in ranks for name in rank)
    result = {}
    for name in names:
        values = [rank[name] for rank in ranks if name in rank]
        if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
            result[name] = first.get(name, values[0])
        elif how == "mean":
            result[name] = math.fsum(values) / len(values)
        else:
            result[name] = _extreme(values, how)
    return result


def _extreme(values: Sequence[float], how: str) -> float:
    """Return the least or most of numbers, NaN if one of them is: it would be hidden otherwise."""
    if any(math.isnan(value) for value in values):
        return math.nan
    return min(values) if how == "min" else max(values)


def _why_ended(storage: Any, rank: int) -> Failure:
    folder = f"{storage.trial_fs_path}/{RANK_FOLDER.format(rank)}"
    note = note_path(storage.trial_working_directory, rank)
    return why_ended(f"the process of worker {rank}", note, storage.storage_filesystem, folder)


def _cause(error: WorkerGroupError, why: Callable[[int], Failure]) -> TrialError:
    """Return the failure that came first: when one worker fails, others fail because they wait for it.

    Args:
        error: Ray Train's error.
        why: returns why the process of a worker has ended, given its rank.
    """
    failures: list[tuple[float, int, TrialError]] = []
    for rank, failure in error.worker_failures.items():
        own = getattr(failure, "_base_exc", failure)
        if isinstance(own, TrialError):
            failures.append(
                (own.at, rank, type(own)(f"worker {rank}: {own.summary}", own.text, own.unsaved, own.pruned))
            )
        else:  # the process is gone, so it did not fail because of another worker
            died = getattr(failure, "health_check_failure", own)
            described = describe(died, f"the process of worker {rank}", partial(why, rank))
            failures.append((0.0, rank, TrialError(described["error"], described["traceback"])))
    if not failures:
        return TrialError("the workers failed", str(error))
    return min(failures, key=lambda failure: failure[:2])[2]


def _not_connected(error: Exception) -> TrialError:
    """Return the failure of what Ray Train does before the training code runs: to start workers, and to connect them.

    Args:
        error: the exception in this process, or that of a worker as Ray raises it here.
    """
    summary = f"the workers could not be connected: {describe(getattr(error, 'cause', None) or error)['error']}"
    return TrialError(summary, f"{summary}\n\n{without_passwords(without_colors(str(error)))}")
