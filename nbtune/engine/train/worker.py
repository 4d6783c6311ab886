"""The process of a worker, in a trial that is a Ray Train run."""

from __future__ import annotations

import gc
import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from nbtune.engine._ray.train_worker import (
    DistributedTrainFnUtils,
    RayTrainWorker,
    TrainContextCallback,
    WorkerCallback,
    get_train_context,
    get_train_fn_utils,
    join_training_thread,
    set_train_fn_utils,
)
from nbtune.engine.protocol.environment import set_variables
from nbtune.engine.protocol.events import CPU, SECONDS, WAITED
from nbtune.engine.protocol.metrics import Share, reported
from nbtune.engine.protocol.trust import NOTHING, ExperimentKey
from nbtune.engine.trial import output, session, tidy
from nbtune.engine.trial.checkpoint import Checkpoint, as_ray_checkpoint, stored_checkpoint
from nbtune.engine.trial.datasets import Progress, check_name
from nbtune.engine.trial.directory import working_directory
from nbtune.engine.trial.last_words import note_path, noting_the_end
from nbtune.engine.trial.payload import ProgramPayload, surroundings
from nbtune.engine.trial.program import run_program
from nbtune.engine.trial.reservation import set_threads
from nbtune.frameworks import reset

__all__ = [
    "SHARE",
    "Preparation",
    "Start",
    "TrainWorker",
    "Worker",
    "prepare_process",
    "reset_process",
    "silence_ray_train",
    "work",
]

SHARE = "share"
"""Where a worker's share is in what it hands to Ray Train."""
_MAX_WAIT = 1.0  # seconds after which a worker without news answers a poll


class TrainWorker(RayTrainWorker):
    """The actor of a worker, which answers a poll of its status as soon as there is news.

    Ray Train's own class answers at once and is polled repeatedly, which takes time from the training, and delays each
    report until the next poll.
    """

    def run_train_fn(self, train_fn_ref: Any) -> None:
        """Start the training code on its thread."""
        super().run_train_fn(train_fn_ref)
        threading.Thread(target=_notify_at_end, args=(get_train_context().execution_context,), daemon=True).start()

    def poll_status(self) -> Any:
        """Return the status, after at most `_MAX_WAIT` without news."""
        execution = get_train_context().execution_context
        reports = execution.result_queue
        with reports.not_empty:
            reports.not_empty.wait_for(
                lambda: reports.queue or not execution.training_thread_runner.is_running(), timeout=_MAX_WAIT
            )
        return super().poll_status()


def _notify_at_end(execution: Any) -> None:
    join_training_thread(execution)
    with execution.result_queue.not_empty:
        execution.result_queue.not_empty.notify_all()


def silence_ray_train() -> None:
    """Keep Ray Train's log messages out of the output of the training code."""
    logging.getLogger("ray.train").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Preparation:
    """What the process of a worker needs before Ray Train uses it.

    Attributes:
        environment: its environment variables, None for those to delete; they may be secret.
        imports: modules that it imports.
        cpus: the CPUs that are reserved for it, if Ray does not know of them; else None.
    """

    environment: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    imports: tuple[str, ...] = ()
    cpus: float | None = None


_is_prepared = False  # whether this process has been prepared once


def prepare_process(preparation: Preparation) -> None:
    """Prepare this process for a trial: set its environment, and import what takes long.

    Args:
        preparation: what it needs.
    """
    global _is_prepared
    if not _is_prepared:
        _is_prepared = True
        tidy.remember()
    if preparation.cpus is not None:
        set_threads(preparation.cpus)
    set_variables(preparation.environment)
    for name in preparation.imports:
        with suppress(Exception):  # whoever uses the module next reports the error
            importlib.import_module(name)


def reset_process(framework: str) -> bool:
    """Prepare this process, whose training code has finished, for that of the next trial.

    Args:
        framework: a module of `nbtune.frameworks`.

    Returns:
        Whether it can run another trial.
    """
    gc.collect()  # the trial's objects, which may own memory, connections and data loading processes
    return reset(framework)


@dataclass(frozen=True)
class Start:
    """Where workers start.

    Attributes:
        iteration: number of reports before.
        checkpoint: the `ray.train.Checkpoint` to start from, or None.
    """

    iteration: int = 0
    checkpoint: Any = None


class Worker(WorkerCallback, TrainContextCallback):
    """Measures a worker; created in the trial's process, and used in that of each worker.

    Args:
        start: where the workers start.
        datasets: the names of the experiment's data sets.
        tell: is called with the rank, and what the worker has read of the data sets.
    """

    def __init__(
        self, start: Start, datasets: Sequence[str] = (), tell: Callable[[int, Any], object] = lambda rank, reads: None
    ) -> None:
        self.start, self.datasets, self.tell = start, tuple(datasets), tell
        self._times: dict[str, float] = {}
        self._since = self._cpu = 0.0

    def after_init_train_context(self) -> None:
        """Replace what `ray.train`'s functions call in this process, which may have run another trial before."""
        set_train_fn_utils(_WorkerFunctions(self))
        context = get_train_context()  # by default each of these is shared by all runs of a process
        context.checkpoint_upload_threadpool = ThreadPoolExecutor(max_workers=1)
        context.report_order_condition = threading.Condition()
        silence_ray_train()

    def begin(self) -> None:
        """Start to measure, at the start of the training code and after each report."""
        self._since, self._cpu = time.perf_counter(), time.process_time()

    def measured(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the worker reports to Ray Train: its share, with the times since the last report.

        Args:
            metrics: what the worker reports.
        """
        self._times = {SECONDS: time.perf_counter() - self._since, CPU: time.process_time() - self._cpu}
        return {SHARE: Share(metrics, self._times)}

    @contextmanager
    def on_checkpoint_sync(self) -> Iterator[None]:
        """Measure how long a report waits for the other workers; Ray Train enters it once for each report."""
        started = time.perf_counter()
        yield
        self._times[WAITED] = time.perf_counter() - started


class _WorkerFunctions(DistributedTrainFnUtils):
    """The functions behind `ray.train.report` and others in a worker: measured, and from the trial's checkpoint on.

    Attributes:
        has_reported: whether the training code has reported; what it returns then is its own, as in Ray Train.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker, self.has_reported = worker, False
        self.reads: dict[str, Any] = {}  # name of a data set -> what was read of it

    def report(self, metrics: Mapping[str, Any], *given: Any, **named: Any) -> None:
        self.send(reported(metrics), *given, **named)

    def send(self, metrics: Mapping[str, Any], *given: Any, **named: Any) -> None:
        """Report metrics that `reported` has already converted.

        Args:
            metrics: the worker's metrics.
            *given: as for ``ray.train.report``.
            **named: as for ``ray.train.report``.
        """
        output.flush()  # before the scheduler can stop the trial
        super().report(self._worker.measured(metrics), *given, **named)
        self.has_reported = True
        self._worker.begin()

    def get_checkpoint(self) -> Any:
        return super().get_checkpoint() or self._worker.start.checkpoint

    def get_dataset_shard(self, dataset_info: Any) -> Any:
        name = dataset_info.dataset_name
        check_name(name, self._worker.datasets)  # before it waits for the other workers
        shard = super().get_dataset_shard(dataset_info)  # the same one each time
        if name not in self.reads:
            from nbtune.engine._ray.data import Read, count_reads

            self.reads[name] = Read()
            count_reads(shard, self.reads[name])
        return shard

    @contextmanager
    def telling(self, rank: int) -> Iterator[None]:
        """Tell the driver what is read of the data sets inside.

        Args:
            rank: the worker's rank.
        """
        if not self._worker.datasets:
            yield
            return
        with Progress(partial(self._worker.tell, rank), self.reads):
            yield

    def get_all_reported_checkpoints(self, *given: Any, **named: Any) -> Any:
        raise NotImplementedError(
            "ray.train.get_all_reported_checkpoints is not available in trials of nbtune; use Trial.checkpoints"
        )


class _WorkerSession:
    """The session of a worker, which uses Ray Train's functions."""

    def __init__(self, context: session.Context, key: ExperimentKey | None, functions: _WorkerFunctions) -> None:
        self.context, self._key, self._functions = context, key, functions

    def report(self, metrics: Mapping[str, Any], checkpoint: Any) -> None:
        with as_ray_checkpoint(checkpoint, self.context.get_world_rank(), self._key) as ready:
            self._functions.send(metrics, checkpoint=ready)

    def get_checkpoint(self) -> Checkpoint | None:
        import ray.train

        found = ray.train.get_checkpoint()
        if found is None:
            return None
        return stored_checkpoint(found.path, found.filesystem, self._key or NOTHING, self.context.get_world_rank())

    def get_dataset_shard(self, name: str) -> Any:
        import ray.train

        return ray.train.get_dataset_shard(name)


def work(
    config: Mapping[str, Any],
    payload: ProgramPayload,
    place: session.Context,
    artifacts: str,
    key: ExperimentKey | None,
) -> None:
    """Run the program in one worker: Ray Train's training function.

    Args:
        config: the trial's parameters.
        payload: the packed program.
        place: the context of the trial's own process.
        artifacts: Tune's own working directory of the trial.
        key: signs checkpoints, and tells which ones are loaded.

    Raises:
        TrialError: the program raised.
    """
    train = get_train_context()
    context = replace(
        place,
        world_size=train.get_world_size(),
        world_rank=train.get_world_rank(),
        local_rank=train.get_local_rank(),
        local_world_size=train.get_local_world_size(),
        node_rank=train.get_node_rank(),
    )
    storage = train.get_storage()
    for callback in train.get_context_callbacks():
        if isinstance(callback, Worker):
            callback.begin()
    folder = f"{storage.experiment_fs_path}/{output.RANK_FOLDER.format(context.get_world_rank())}"
    around, stored = surroundings(payload.data), (storage.storage_filesystem, storage.experiment_fs_path)
    with (
        output.capture(storage.storage_filesystem, folder),
        working_directory(place.trial_dir, around, *stored),
        noting_the_end(note_path(artifacts, context.get_world_rank()), around.sources),
    ):
        functions = get_train_fn_utils()
        assert isinstance(functions, _WorkerFunctions)
        own = _WorkerSession(context, key, functions)
        with functions.telling(context.get_world_rank()):
            run_program(config, payload, own, is_own=lambda result: functions.has_reported)
