"""The function `tune`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbtune.launch.code import remember
from nbtune.launch.prepare import prepare_function
from nbtune.launch.rerun import namesake_note
from nbtune.launch.start import launch_prepared, should_wait, wait_for_end
from nbtune.spec.options.options import OPTIONS

if TYPE_CHECKING:
    from nbtune.results.experiment import Experiment

__all__ = ["tune"]


def tune(
    train: Callable[..., Any],
    space: Any,
    *,
    name: str | None = None,
    metric: str | None = None,
    mode: str | None = None,
    scope: str | None = None,
    samples: int | None = None,
    search: Any = None,
    scheduler: Any = None,
    cpus: float | None = None,
    gpus: float | None = None,
    memory: int | str | None = None,
    resources: Any = None,
    max_concurrent: int | None = None,
    max_failures: int | None = None,
    reuse_actors: bool | None = None,
    time_budget: float | str | None = None,
    stop: Any = None,
    keep_checkpoints: int | None = None,
    storage: str | None = None,
    storage_filesystem: Any = None,
    seed: int | None = None,
    points: Any = None,
    env: Mapping[str, str] | str | None = None,
    wait: bool | None = None,
    driver_resources: Mapping[str, float] | str | None = None,
    workers: int | tuple[int, int] | str | None = None,
    scaling: Any = None,
    framework: str | None = None,
    backend: Any = None,
    aggregate: str | None = None,
    placement_strategy: str | None = None,
    accelerator_type: str | None = None,
    label_selector: Any = None,
    topology: str | None = None,
    trial_resources: Mapping[str, float] | str | None = None,
    worker_env: Mapping[str, str] | str | None = None,
) -> Experiment:
    """Start an experiment and return its handle at once.

    Args:
        train: the training function. It takes the parameters as one `config` dictionary, as Ray Tune's do, or as
            arguments of their names, and calls `nbtune.report`; a dictionary that it returns is its last report.
        space: a dictionary, name -> `nbtune.loguniform(…)`, `nbtune.choice(…)`… or a constant; or a `Space` or a form.
        name: the experiment's name; "experiment" if None.
        metric: the metric to optimise. Required unless every trial of a random or grid search runs to its end.
        mode: "min" or "max".
        scope: the value of the metric by which trials are compared, as in Ray Tune's `ExperimentAnalysis`: "all" is the
            best that a trial has ever reported (also if None), "last" the last one, "avg" the mean of all,
            "last-5-avg" and "last-10-avg" the mean of the last ones. `Trial.value` is that value.
        samples: the number of trials; with `grid_search` in the space, the number of passes over the grid. 1 if None.
        search: "random" (also if None), "grid", "optuna", or an object from `ray.tune.search`.
        scheduler: "fifo" (also if None), "asha", or an object from `ray.tune.schedulers`.
        cpus: CPUs of one trial, fractions allowed; 1 if None. Used for scheduling only: Ray does not enforce it.
        gpus: GPUs of one trial, fractions allowed. A trial sees only its own GPUs.
        memory: memory of one trial, in bytes or as "2GiB". Used for scheduling only.
        resources: custom resources of one trial, name -> amount, or "safe_node=1". Or a
            `ray.tune.PlacementGroupFactory` with all resources, in place of `cpus`, `gpus` and `memory`.
        max_concurrent: the maximum number of trials that run at once; None for as many as fit.
        max_failures: how often a failed trial is retried from its last checkpoint; -1 for no limit.
        reuse_actors: whether the processes of trials and workers run several trials, since they are slow to start. A
            trial then finds what the code of an earlier one has set for the process (PyTorch's default type,
            environment variables, log handlers), and random numbers without a seed continue. True if None.
        time_budget: the time after which the experiment ends, in seconds or as "30m".
        stop: when a trial ends: {"accuracy": 0.98}, "iterations=50", a `ray.tune.Stopper`, or a function
            (trial_id, result) -> bool. The experiment's own metric ends a trial when it is at or below the number if
            `mode` is "min"; any other metric when it is at or above.
        keep_checkpoints: how many checkpoints of a trial are kept, the best by `metric`; all if None.
        storage: the folder or URI in which experiments are stored; ``~/ray_results`` if None. On a cluster of several
            nodes, checkpoints require a folder that all nodes share.
        storage_filesystem: a `pyarrow.fs.FileSystem` on which `storage` is a path, for object stores that a URI cannot
            describe; an fsspec one wrapped: ``pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(filesystem))``.
        seed: makes the parameters reproducible, and seeds `random`, NumPy and PyTorch in each trial. With "optuna" and
            "asha", which depend on the order of results, only ``max_concurrent=1`` is reproducible.
        points: configurations to evaluate first (Ray Tune's `points_to_evaluate`): a list of dictionaries, or a
            DataFrame.
        env: environment variables of the trials, name -> value, in addition to those that the notebook's code has
            changed. Packages that are imported ahead, such as PyTorch, may not read them any more.
        wait: whether to wait for the end; None waits only where nobody can interact (nbclient, papermill,
            ``nbconvert --execute``).
        driver_resources: custom resources of the node that runs the experiment's driver, name -> amount or
            "safe_node=0.01", so that the driver is not on a node that may be removed. The head node if None.
        workers: makes each trial a Ray Train run with so many workers. Each worker calls `train` and has the `cpus`,
            `gpus`, `memory` and `resources` of above. (minimum, maximum) for an elastic run, or the name of a
            parameter that is the number. One process without Ray Train if None.
        scaling: the same as a `ray.train.ScalingConfig`, or a `ScalingForm`.
        framework: the framework of the workers: "torch" (also if None), also for Lightning.
        backend: how the workers communicate: "gloo", "nccl", or a `ray.train.torch.TorchConfig`. If None, NCCL for
            workers with GPUs, else gloo.
        aggregate: how the metrics of a trial are computed from those of its workers: "rank0" (also if None), "mean",
            "min", "max". `Trial.workers` has the metrics of each worker.
        placement_strategy: how Ray places the workers: "PACK" (also if None), "SPREAD", "STRICT_PACK",
            "STRICT_SPREAD".
        accelerator_type: the accelerator type that the workers need, by Ray's name: "A100".
        label_selector: the labels that the workers' nodes must have: a dictionary, or a list with one for each worker.
        topology: the TPU slice that the workers need: "4x4".
        trial_resources: the resources of the process that starts the workers of a trial and waits for them, name ->
            amount or "safe_node=0.01". None if None, since that process computes nothing. It is placed together with
            the workers, by the same strategy.
        worker_env: environment variables of the workers, name -> value.

    Raises:
        SpecError: the request is invalid; nothing was started. It names every mistake.
        ClusterError: no cluster can be reached or started.
        ExperimentError: the experiment failed while waiting for its end, or its storage cannot be written.
    """
    given = dict(locals())
    options = {option: given[option] for option in OPTIONS}
    prepared = prepare_function(train, space, options)
    remember(prepared)
    if note := namesake_note(prepared.spec.name):
        prepared = replace(prepared, notes=(*prepared.notes, note))
    experiment = launch_prepared(prepared)
    if should_wait(prepared):
        wait_for_end(experiment)
    return experiment
