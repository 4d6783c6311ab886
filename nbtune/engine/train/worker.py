"""One worker of a trial that is a Ray Train run: what runs in its process."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from nbtune.engine._ray.train import (
    DistributedTrainFnUtils,
    LocalTrainFnUtils,
    RayTrainWorker,
    TrainContextCallback,
    WorkerCallback,
    get_train_context,
    get_train_fn_utils,
    join_training_thread,
    set_train_fn_utils,
)
from nbtune.engine.protocol.events import CPU, SECONDS, WAITED
from nbtune.engine.protocol.metrics import Share, reported
from nbtune.engine.trial import output, session
from nbtune.engine.trial.checkpoint import Checkpoint, as_ray_checkpoint
from nbtune.engine.trial.payload import ProgramPayload
from nbtune.engine.trial.program import run_program

__all__ = ["SHARE", "Start", "TrainWorker", "Worker", "alone", "put_environment", "quiet", "tidied", "work"]

SHARE = "share"
"""Where a worker's share is in what it hands to Ray Train."""
_SETTLED = ("accelerate", "deepspeed", "horovod")
_ANSWER = 1.0  # seconds after which a worker that has nothing to tell says so


class TrainWorker(RayTrainWorker):
    """The actor of a worker. Asked for its status it answers as soon as there is something to tell.

    Ray Train's own answers at once, and is asked again and again: that takes time from the training, and a report is
    heard of only when it is asked the next time.
    """

    def run_train_fn(self, train_fn_ref: Any) -> None:
        """Start the training code on its thread."""
        super().run_train_fn(train_fn_ref)
        threading.Thread(target=_tell_end, args=(get_train_context().execution_context,), daemon=True).start()

    def poll_status(self) -> Any:
        """Return the status, after a moment if there is no news."""
        here = get_train_context().execution_context
        reports = here.result_queue
        with reports.not_empty:
            reports.not_empty.wait_for(
                lambda: reports.queue or not here.training_thread_runner.is_running(), timeout=_ANSWER
            )
        return super().poll_status()


def _tell_end(execution: Any) -> None:
    join_training_thread(execution)
    with execution.result_queue.not_empty:
        execution.result_queue.not_empty.notify_all()


def quiet() -> None:
    """Keep what Ray Train tells of its own work out of what the training code prints."""
    logging.getLogger("ray.train").setLevel(logging.ERROR)


def put_environment(variables: Mapping[str, str]) -> None:
    """Set environment variables in this process: a pickled `os.environ.update` would set those of a copy."""
    os.environ.update(variables)


def tidied() -> bool:
    """Ready this process, whose training code has come to its end, for that of the next trial.

    Returns:
        Whether it can have one: some packages keep a run's settings for as long as their process lives.
    """
    if any(name in sys.modules for name in _SETTLED):
        return False
    # Ray Train leaves the process group of a single worker.
    dist = sys.modules.get("torch.distributed")
    if dist is not None and dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
    gc.collect()  # what the trial has left, which may hold memory and data loading processes
    return True


@dataclass(frozen=True)
class Start:
    """Where workers begin.

    Attributes:
        iteration: how many reports there were before.
        checkpoint: what they go on from, a `ray.train.Checkpoint`, or None.
    """

    iteration: int = 0
    checkpoint: Any = None


class Worker(WorkerCallback, TrainContextCallback):
    """Follows a worker; made in the trial's process, and used in each of its workers'.

    Args:
        start: where they begin.
    """

    def __init__(self, start: Start) -> None:
        self.start = start
        self._took: dict[str, float] = {}
        self._since = self._cpu = 0.0

    def after_init_train_context(self) -> None:
        """Take the place of what `ray.train`'s functions call in this process, which may have run a trial before."""
        set_train_fn_utils(_Functions(self))
        context = get_train_context()  # the default of each of these is one for all of a process's runs
        context.checkpoint_upload_threadpool = ThreadPoolExecutor(max_workers=1)
        context.report_order_condition = threading.Condition()
        quiet()

    def begin(self) -> None:
        """Note that the training code begins, or goes on after a report."""
        self._since, self._cpu = time.perf_counter(), time.process_time()

    def measured(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Return what Ray Train is to report: this worker's share, with what it has taken so far.

        Args:
            metrics: what the worker reports.
        """
        self._took = {SECONDS: time.perf_counter() - self._since, CPU: time.process_time() - self._cpu}
        return {SHARE: Share(metrics, self._took)}

    @contextmanager
    def on_checkpoint_sync(self) -> Iterator[None]:
        """Measure how long `report` waits for the other workers: it is called around that, once for each report."""
        began = time.perf_counter()
        yield
        self._took[WAITED] = time.perf_counter() - began


class _Functions(DistributedTrainFnUtils):
    """What `ray.train.report` and its like do in a worker: the same, measured, and on from where the trial is."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def report(self, metrics: Mapping[str, Any], *given: Any, **named: Any) -> None:
        self.send(reported(metrics), *given, **named)

    def send(self, metrics: Mapping[str, Any], *given: Any, **named: Any) -> None:
        """Report metrics that are plain already; the rest is as for ``ray.train.report``."""
        output.flush()  # before the scheduler can end the trial here
        super().report(self._worker.measured(metrics), *given, **named)
        self._worker.begin()

    def get_checkpoint(self) -> Any:
        return super().get_checkpoint() or self._worker.start.checkpoint

    def get_dataset_shard(self, dataset_info: Any) -> Any:
        if get_train_context().dataset_shard_provider is None:
            raise KeyError(f"there is no data set {dataset_info.dataset_name!r}: a trial of nbtune's has none of Ray's")
        return super().get_dataset_shard(dataset_info)

    def get_all_reported_checkpoints(self, *given: Any, **named: Any) -> Any:
        raise NotImplementedError(
            "ray.train.get_all_reported_checkpoints is not there in a trial of nbtune's; Trial.checkpoints has them"
        )


class _Alone(LocalTrainFnUtils):
    """What `ray.train`'s functions do where the code of workers runs without any."""

    def report(self, metrics: dict[str, Any], checkpoint: Any = None, *given: Any, **named: Any) -> None:
        session.report(metrics, checkpoint=checkpoint)


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Let `ray.train`'s functions work in this process, as in a run of one worker, and report to the session.

    Args:
        name: of the experiment.
    """
    set_train_fn_utils(_Alone(name))
    try:
        yield
    finally:
        set_train_fn_utils(None)


class _InWorker:
    """In a worker: what Ray Train's functions do there (ray.train.report, ray.train.get_checkpoint)."""

    def __init__(self, context: session.Context) -> None:
        self.context = context

    def report(self, metrics: Mapping[str, Any], checkpoint: Any) -> None:
        functions = get_train_fn_utils()
        assert isinstance(functions, _Functions)
        with as_ray_checkpoint(checkpoint, self.context.get_world_rank()) as ready:
            functions.send(metrics, checkpoint=ready)

    def get_checkpoint(self) -> Checkpoint | None:
        import ray.train

        found = ray.train.get_checkpoint()
        return None if found is None else Checkpoint(found.path, found.filesystem, self.context.get_world_rank())


def work(config: Mapping[str, Any], payload: ProgramPayload, place: session.Context) -> None:
    """Run the program in one worker: Ray Train's training function.

    Args:
        config: the trial's parameters.
        payload: the packed program.
        place: where the trial's own process runs.

    Raises:
        TrialError: the program raised.
    """
    train = get_train_context()
    here = replace(
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
    folder = f"{storage.experiment_fs_path}/{output.RANK_FOLDER.format(here.get_world_rank())}"
    with output.capture(storage.storage_filesystem, folder):
        run_program(config, payload, _InWorker(here))
