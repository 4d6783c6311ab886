"""One worker of a trial that is a Ray Train run: what runs in its process."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ray.train.v2._internal.execution.callback import TrainContextCallback, WorkerCallback
from ray.train.v2._internal.execution.context import get_train_context
from ray.train.v2._internal.execution.train_fn_utils import (
    DistributedTrainFnUtils,
    LocalTrainFnUtils,
    set_train_fn_utils,
)

from nbtune.engine import output, session
from nbtune.engine.checkpoint import Checkpoint, saved
from nbtune.engine.events import CPU, SECONDS, WAITED, plain
from nbtune.engine.program import run_program

__all__ = ["Start", "Worker", "alone", "quiet", "work"]


def quiet() -> None:
    """Keep what Ray Train tells of its own work out of what the training code prints."""
    logging.getLogger("ray.train").setLevel(logging.ERROR)


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
        self._report: dict[str, Any] = {}
        self._since = self._cpu = 0.0

    def after_init_train_context(self) -> None:
        """Take the place of what `ray.train`'s functions call in this process."""
        set_train_fn_utils(_Functions(self))
        quiet()

    def begin(self) -> None:
        """Note that the training code begins, or goes on after a report."""
        self._since, self._cpu = time.perf_counter(), time.process_time()

    def measured(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is reported, with what it has taken so far."""
        took = {SECONDS: time.perf_counter() - self._since, CPU: time.process_time() - self._cpu}
        self._report = {**{str(name): plain(value) for name, value in metrics.items()}, **took}
        return self._report

    @contextmanager
    def on_checkpoint_sync(self) -> Iterator[None]:
        """Measure how long `report` waits for the other workers: it is called around that, once for each report."""
        began = time.perf_counter()
        yield
        self._report[WAITED] = time.perf_counter() - began


class _Functions(DistributedTrainFnUtils):
    """What `ray.train.report` and its like do in a worker: the same, measured, and on from where the trial is."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def report(self, metrics: dict[str, Any], *given: Any, **named: Any) -> None:
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
    """In a worker: Ray Train's functions (ray.train.report, ray.train.get_checkpoint)."""

    def __init__(self, context: session.Context) -> None:
        self.context = context

    def report(self, metrics: Mapping[str, Any], checkpoint: Any) -> None:
        import ray.train

        with saved(checkpoint, self.context.get_world_rank()) as ready:
            ray.train.report(dict(metrics), checkpoint=ready)

    def get_checkpoint(self) -> Checkpoint | None:
        import ray.train

        found = ray.train.get_checkpoint()
        return None if found is None else Checkpoint(found.path, found.filesystem, self.context.get_world_rank())


def work(config: Mapping[str, Any], payload: Mapping[str, Any], place: session.Context) -> None:
    """Run the program in one worker: Ray Train's training function.

    Args:
        config: the trial's parameters.
        payload: as for `nbtune.engine.trainable.run_trial`.
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
    folder = f"{storage.experiment_fs_path}/{output.OF_RANK.format(here.get_world_rank())}"
    with output.kept(storage.storage_filesystem, folder):
        run_program(config, payload, _InWorker(here))
