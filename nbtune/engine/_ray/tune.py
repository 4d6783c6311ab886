"""Private APIs of Ray Tune: the session of a trial's process, and the state of the controller and its search."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray

# The functions that Ray calls when it is initialized, see `forget_parameters`.
from ray._private.worker import _post_init_hooks

# Tune deletes checkpoints through a function of this module. There is no hook.
from ray.train._internal import checkpoint_manager

# The rule which checkpoints are kept.
from ray.train._internal.checkpoint_manager import _CheckpointManager as CheckpointManager

# The pair of a checkpoint and its metrics: what Tune keeps as `Trial.latest_checkpoint_result`, and what a session
# takes. The public `ray.tune.report` makes one too, but uploads the checkpoint again.
from ray.train._internal.session import _TrainingResult as TrainingResult

# The session itself, since `ray.tune.report` uploads a checkpoint again.
from ray.train._internal.session import get_session

# Where Tune looks up the class of the trials by its name, whenever a trial starts. The public functions only write it.
from ray.tune.registry import _global_registry as registry

# What `ray.tune.with_parameters` keeps its values in.
from ray.tune.registry import _ParameterRegistry as Parameters
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.search_generator import SearchGenerator

__all__ = [
    "CheckpointManager",
    "TrainingResult",
    "add_samples",
    "convert_task_errors",
    "forget_parameters",
    "forget_transient",
    "is_copying",
    "is_end_of_trial",
    "move_to_present_folder",
    "name_after",
    "own_registry",
    "points_of",
    "report_result",
    "restart_generator",
    "set_checkpoint_deletion",
    "set_checkpoint_manager",
    "set_latest_checkpoint",
    "set_resource_manager",
    "set_start_checkpoint",
    "tune_controller",
    "without_actor_reuse",
]


def report_result(checkpoint: Any, metrics: dict[str, Any]) -> None:
    """Report to Tune from a trial's process, without what `ray.tune.report` adds to it.

    Args:
        checkpoint: a `ray.tune.Checkpoint` that is in the trial's storage already, or None.
        metrics: the result.
    """
    session = get_session()
    assert session is not None
    session._report_training_result(TrainingResult(checkpoint=checkpoint, metrics=metrics))


@contextmanager
def own_registry() -> Iterator[None]:
    """Keep what Tune registers inside to this actor.

    Tune registers the class of the trials on the cluster, under the id of the job and a name, which are the same for
    all experiments that a kernel starts. A trial would get the program of the experiment that was started last.
    """
    registry._prefix = ray.get_runtime_context().get_actor_id()
    try:
        with _remembered_classes():
            yield
    finally:
        with suppress(Exception):  # the cluster may have ended
            registry.unregister_all()


def forget_parameters() -> None:
    """Release what `ray.tune.with_parameters` has put into the object store for an experiment that is over.

    It remains as long as the process: each call registers a function that Ray calls when it is initialized.
    """
    _post_init_hooks[:] = [hook for hook in _post_init_hooks if type(getattr(hook, "__self__", None)) is not Parameters]


@contextmanager
def _remembered_classes() -> Iterator[None]:
    """Let Tune read the class of the trials from the cluster once, and not six times for each trial.

    What is registered again inside is not seen, but Tune registers the class before it asks for it.
    """
    changed: Any = registry
    kind, found = type(registry), dict[tuple[str, str], Any]()

    def get(category: str, key: str) -> Any:
        if (category, key) not in found:
            found[category, key] = kind.get(registry, category, key)
        return found[category, key]

    def contains(category: str, key: str) -> bool:
        return (category, key) in found or bool(kind.contains(registry, category, key))

    changed.get, changed.contains = get, contains
    try:
        yield
    finally:
        del changed.get, changed.contains


def is_end_of_trial(error: BaseException) -> bool:
    """Tell whether an exception is the `SystemExit` with which a report of Tune's session ends a stopped trial.

    No public name tells it from a `sys.exit()` of the user's code.

    Args:
        error: what training code has raised.
    """
    if not isinstance(error, SystemExit):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") == TrainingResult.__module__


def set_checkpoint_deletion(delete: Callable[[Any, str], None]) -> None:
    """Replace the function with which Tune deletes superseded checkpoints in this process.

    Args:
        delete: takes a filesystem and a path on it.
    """
    checkpoint_manager._delete_fs_path = lambda fs, fs_path: delete(fs, fs_path)


def set_checkpoint_manager(trial: Any, manager: CheckpointManager) -> None:
    """Replace what Tune knows about the checkpoints of a trial.

    Args:
        trial: one of Tune's.
        manager: its checkpoints.
    """
    trial.run_metadata.checkpoint_manager = manager
    trial.run_metadata.invalidate_cache()
    trial.invalidate_json_state()


def set_latest_checkpoint(manager: CheckpointManager, result: TrainingResult) -> None:
    """Let a trial continue from a checkpoint of another trial, as `ray.tune.schedulers.PopulationBasedTraining` does.

    Args:
        manager: the trial's checkpoints.
        result: the checkpoint with its metrics.
    """
    manager._latest_checkpoint_result = result


def tune_controller(wrapped: Any) -> Any:
    """Return Tune's controller itself; schedulers are given one that warns about all that is not meant for them.

    Args:
        wrapped: the controller as a scheduler gets it.
    """
    return wrapped._tune_controller


def move_to_present_folder(trial: Any, controller: Any) -> None:
    """Give a trial the experiment's present folder.

    Search algorithms make trials from what they have saved, with the folder of the earlier run, which may have been
    moved. Tune itself only does this for the trials of its snapshot.

    Args:
        trial: one of Tune's.
        controller: Tune's controller.
    """
    present = controller._storage
    storage = copy.copy(trial.storage)
    storage._timestamp = present._timestamp  # the folder on this machine from which files are copied is named after it
    storage.storage_filesystem, storage.syncer = present.storage_filesystem, present.syncer
    storage.storage_fs_path, storage.experiment_dir_name = present.storage_fs_path, present.experiment_dir_name
    trial.set_storage(storage)


@contextmanager
def without_actor_reuse(controller: Any) -> Iterator[None]:
    """Keep the process of a trial that is stopped inside from being given to another trial.

    `reuse_actors` is public, but for all trials of a run.

    Args:
        controller: Tune's controller.
    """
    before, controller._reuse_actors = controller._reuse_actors, False
    try:
        yield
    finally:
        controller._reuse_actors = before


def forget_transient(trial: Any) -> None:
    """Forget what Tune needs of a trial only while it runs: 20 kB that it keeps, and stores with each snapshot.

    Args:
        trial: one that is about to end, and is not tried again.
    """
    trial.run_metadata.metric_n_steps = {}  # the last values of all numbers, for the averages of the next result
    trial._default_result_or_future = None  # what Tune asks the process for whenever it starts or is reused


def is_copying(storage: Any) -> bool:
    """Tell whether Tune copies the files on this machine to storage at this moment.

    Args:
        storage: the storage context of a trial.
    """
    process = storage.syncer._sync_process
    return process is not None and bool(process.is_running)


def set_resource_manager(controller: Any, manager: Any) -> None:
    """Replace what requests placement groups for trials.

    The controller has a parameter for it, which neither `ray.tune.Tuner` nor `ray.tune.run` passes on.

    Args:
        controller: Tune's controller, before its first request.
        manager: a `ray.air.execution.ResourceManager`.
    """
    controller._actor_manager._resource_manager = manager


def convert_task_errors(controller: Any, convert: Callable[[Exception], Exception]) -> None:
    """Convert the errors of calls to trials' processes before Tune handles them. There is no hook for this.

    Args:
        controller: Tune's controller.
        convert: takes an error and returns that which Tune is to handle.
    """
    manager = controller._actor_manager
    handle = manager._actor_task_failed

    def converted(tracked_actor_task: Any, exception: Exception) -> None:
        handle(tracked_actor_task=tracked_actor_task, exception=convert(exception))

    manager._actor_task_failed = converted


def set_start_checkpoint(trial: Any, result: TrainingResult) -> None:
    """Let a new trial start from the checkpoint of another one.

    A checkpoint that is registered as the trial's own would be deleted with `num_to_keep`. Tune has this attribute for
    ``tune.run(restore=PATH)``, which knows no iteration.

    Args:
        trial: one of Tune's.
        result: the checkpoint with its metrics.
    """
    trial._restore_checkpoint_result = result


def name_after(generator: BasicVariantGenerator, trial_id: str, repeat: int) -> None:
    """Let the ids of the trials of a generator begin with that of another trial, of which they are repeats.

    Its random seed depends on the end of its id, which has to be another one for each repeat, and the same in each run.

    Args:
        generator: Tune's grid and random search, before its first trial.
        trial_id: the id of the other trial.
        repeat: the number of the repeat.
    """
    generator._uuid_prefix = f"{trial_id}_{repeat}_"


def points_of(generator: BasicVariantGenerator) -> list[dict[str, Any]]:
    """Return the `points_to_evaluate` of a generator of variants.

    Args:
        generator: Tune's grid and random search.
    """
    points: list[dict[str, Any]] = generator._points_to_evaluate
    return points


def restart_generator(generator: BasicVariantGenerator, experiments: list[Any], points: list[dict[str, Any]]) -> None:
    """Let a generator of variants, which has come to its end, generate those of other experiments.

    `add_configurations` is public, but the generator would stay at its end, and repeat its first points.

    Args:
        generator: Tune's grid and random search.
        experiments: each a `ray.tune.Experiment`.
        points: the `points_to_evaluate` of each of them.
    """
    generator._points_to_evaluate = points
    for experiment in experiments:
        generator.add_configurations([experiment])
    generator._trial_iter, generator._finished = None, False


def add_samples(generator: SearchGenerator, samples: int) -> None:
    """Let a search algorithm suggest more trials than `num_samples`, which is fixed when a run begins.

    Args:
        generator: Tune's wrapper of the algorithm.
        samples: how many more.
    """
    generator._total_samples += samples
    generator._finished = False
