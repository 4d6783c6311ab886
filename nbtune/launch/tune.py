"""The function `tune`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbtune.launch.code import remember
from nbtune.launch.given import prepare_given
from nbtune.launch.rerun import namesake_note
from nbtune.launch.start import launch_prepared, should_wait, wait_for_end
from nbtune.spec.options.options import OPTIONS

if TYPE_CHECKING:
    from nbtune.results.experiment import Experiment

__all__ = ["tune"]


def tune(
    train: Any,
    space: Any = None,
    *,
    name: str | None = None,
    metric: str | Sequence[str] | None = None,
    mode: str | Sequence[str] | None = None,
    scope: str | None = None,
    samples: int | None = None,
    repeat: int | None = None,
    search: Any = None,
    scheduler: Any = None,
    mutate: str | Sequence[str] | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
    memory: int | str | None = None,
    resources: Any = None,
    max_concurrent: int | None = None,
    max_failures: int | None = None,
    fail_fast: bool | None = None,
    reuse_actors: bool | None = None,
    time_budget: float | str | None = None,
    stop: Any = None,
    callbacks: Any = None,
    keep_checkpoints: int | None = None,
    keep_by: str | None = None,
    checkpoint_frequency: int | None = None,
    checkpoint_at_end: bool | None = None,
    storage: str | None = None,
    storage_filesystem: Any = None,
    trial_name_creator: Callable[[Any], str] | None = None,
    trial_dirname_creator: Callable[[Any], str] | None = None,
    seed: int | None = None,
    points: Any = None,
    warm_start: Any = None,
    try_best: int | None = None,
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
    datasets: Mapping[str, Any] | None = None,
    dataset_config: Any = None,
    data_cpus: float | None = None,
) -> Experiment:
    """Start an experiment and return its handle at once.

    Args:
        train: the training function. It takes the parameters as one `config` dictionary, as Ray Tune's do, or as
            arguments of their names, and calls `nbtune.report`; a dictionary that it returns is its last report. Or a
            subclass of `ray.tune.Trainable`, whose `step` returns the metrics of an iteration; either may be wrapped by
            `ray.tune.with_parameters` and `ray.tune.with_resources`. Or a `ray.tune.Tuner` as it was built, in place of
            ``tuner.fit()``: its settings are the options, and mean what they mean in Ray Tune; those that are given
            here replace them. A note says which of its settings have no effect. Or a trainer of Ray Train, such as
            `ray.train.torch.TorchTrainer`, in place of ``trainer.fit()``: each trial is a run of it.
        space: a dictionary, name -> `nbtune.loguniform(…)`, `nbtune.choice(…)`… or a constant; or a `Space` or a form.
            Required, but for a tuner, which has its own. That of a trainer is added to its ``train_loop_config``, which
            may have domains itself.
        name: the experiment's name; "experiment" if None.
        metric: the metric to optimise, or several, ["accuracy", "latency"] or "accuracy,latency": then no trial is the
            best one, and `Experiment.pareto` has those that no other one beats in all of them. Required unless every
            trial of a random or grid search runs to its end.
        mode: "min" or "max"; with several metrics one for each, ["max", "min"] or "max,min".
        scope: the value of the metric by which trials are compared, as in Ray Tune's `ExperimentAnalysis`: "all" is the
            best that a trial has ever reported (also if None), "last" the last one, "avg" the mean of all,
            "last-5-avg" and "last-10-avg" the mean of the last ones. `Trial.value` is that value. With several metrics
            it applies to each, and is "last" if None, so that the values of a trial are those of one report.
        samples: the number of configurations to try, each by a trial or by `repeat` of them; with `grid_search` in the
            space, the number of passes over the grid. 1 if None.
        repeat: how often each configuration is trained, in a trial each; 1 if None. The search algorithm is told the
            mean of the last numbers that they have reported, once they are all over, and `Experiment.best` is of the
            configuration with the best mean; see `Experiment.configurations`. Points that are given, added or cloned
            are repeated, too. The trials of a configuration have different random seeds, also with `seed`. A
            `ray.tune.search.Repeater` as `search` means the same; `samples` counts configurations with it, too.
        search: "random" (also if None), "grid", "optuna" or another name, also with arguments,
            "optuna(sampler='gp')" or ("optuna", {"sampler": "gp"}); or an object from `ray.tune.search`.
        scheduler: "fifo" (also if None), "asha" or another name, likewise; or an object from `ray.tune.schedulers`.
        mutate: the parameters that the scheduler "pbt" or "pb2" changes while trials run; all that it can if None.
        cpus: CPUs of one trial, fractions allowed; 1 if None. Used for scheduling only: Ray does not enforce it.
        gpus: GPUs of one trial, fractions allowed. A trial sees only its own GPUs.
        memory: memory of one trial, in bytes or as "2GiB". Used for scheduling only.
        resources: custom resources of one trial, name -> amount, or "safe_node=1". Or a
            `ray.tune.PlacementGroupFactory` with all resources, in place of `cpus`, `gpus` and `memory`.
        max_concurrent: the maximum number of trials that run at once; None for as many as fit.
        max_failures: how often a failed trial is retried from its last checkpoint; -1 for no limit.
        fail_fast: whether the first trial that fails, after its retries, ends the experiment; no if None.
        reuse_actors: whether the processes of trials and workers run several trials, since they are slow to start. A
            trial then finds what the code of an earlier one has set for the process (PyTorch's default type,
            environment variables, log handlers), and random numbers without a seed continue. They do if None, and each
            trial has an object of its own of a class; with True the class's `reset_config`, if it has one, prepares the
            same object for the next trial.
        time_budget: the time after which the experiment ends, in seconds or as "30m".
        stop: when a trial ends: "accuracy >= 0.99 or iterations >= 50", "plateau(loss, 5)", a `ray.tune.Stopper`, or a
            function (trial_id, result) -> bool. A condition as text compares metrics ("val/loss" if they are nested, in
            quotes if they are no Python names), `iterations` and `time_s` with Python's comparisons, ``and``, ``or``,
            ``not``, parentheses, numbers and ``+ - * /``; a comparison with a value that is missing or no number is
            neither true nor false. ``plateau(METRIC, N, std=0.01, grace=N)`` is true if the standard deviation of the
            last N values of the metric is below `std`, and there have been `grace` values (Ray Tune's
            `TrialPlateauStopper`). ``experiment_plateau(METRIC, N, std=0.001, patience=0)``, by itself or beside
            ``or``, ends the experiment once the standard deviation of the N best values of all trials is at most `std`
            in `patience` reports in a row (`ExperimentPlateauStopper`); the best are the smallest of a metric that is
            minimized, or with ``mode=min``. After a resume values are counted anew. {"accuracy": 0.98, "iterations":
            50} or "accuracy=0.98,iterations=50" is the short form for bounds, of which one is enough: metrics that are
            minimized end a trial at or below the number, others at or above. `Trial.reason` says what was fulfilled.
        callbacks: a `ray.tune.Callback`, or a list of them, for instance Ray's loggers for TensorBoard, MLflow or W&B.
            They run in the driver and get what Ray Tune gives them; `Callback.get_state` is stored for a resume. If one
            raises an exception, the experiment goes on, and its `repr` and dashboard say so.
        keep_checkpoints: how many checkpoints of a trial are kept, the best by `metric`, or with several metrics the
            latest; all if None.
        keep_by: which ones are kept: "latest", or the best by another metric, "min NAME" or "max NAME".
        checkpoint_frequency: after how many iterations a class is checkpointed; 0, also if None, for never but at the
            end, and whenever a pause or a scheduler needs a checkpoint.
        checkpoint_at_end: whether a class is checkpointed at the end of a trial. If None, if it has `save_checkpoint`.
        storage: the folder or URI in which experiments are stored; ``~/ray_results`` if None. On a cluster of several
            nodes, checkpoints require a folder that all nodes share.
        storage_filesystem: a `pyarrow.fs.FileSystem` on which `storage` is a path, for object stores that a URI cannot
            describe; an fsspec one wrapped: ``pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(filesystem))``.
        trial_name_creator: a function of a trial of Ray Tune's that returns its name, as callbacks see it.
        trial_dirname_creator: the same for the name of its folder; the trial's id is appended if that name is taken.
        seed: makes the parameters reproducible, and seeds `random`, NumPy and PyTorch in each trial. With "optuna" and
            "asha", which depend on the order of results, only ``max_concurrent=1`` is reproducible.
        points: configurations to evaluate first (Ray Tune's `points_to_evaluate`): a list of dictionaries, or a
            DataFrame.
        warm_start: earlier trials that the search algorithm learns from, if it does so from others' trials (Optuna,
            HEBO, Ax, BayesOpt, Nevergrad): an experiment, its name or path, an `optuna.Study`, or a DataFrame like
            `Experiment.df`. Their values are those of the `metric` (and `scope`) of this experiment. Trials whose
            parameters are not in the space are left out, as is said in a note.
        try_best: how many of the best trials of `warm_start` are tried first, as `points`.
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
        framework: the framework of the workers: "torch" (also for Lightning, Transformers, Accelerate and DeepSpeed),
            "tensorflow", "xgboost", "lightgbm" or "jax". If None, the one whose package the code imports.
        backend: how the workers communicate: "gloo", "nccl", or a configuration such as `ray.train.torch.TorchConfig`.
            If None, NCCL for workers of PyTorch with GPUs, else gloo.
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
        datasets: data sets that trials read, name -> `ray.data.Dataset`, or a function that returns one. In a trial
            `nbtune.get_dataset_shard` and `ray.train.get_dataset_shard` return them by name: each worker its share, a
            trial without workers the whole. Blocks that a data set has in the object store (`from_pandas`,
            `materialize`) are stored with the experiment up to 256 MB; beyond that a note says so.
        dataset_config: which of them the workers share, names or a `ray.train.DataConfig`; all if None. Each worker has
            all of the others.
        data_cpus: the CPUs of the cluster that trials leave to Ray Data, whose tasks read the data sets: 20 % of all if
            None, rounded up to whole CPUs, as Ray's documentation recommends. They limit how many trials run at once.

    Raises:
        SpecError: the request is invalid; nothing was started. It names every mistake.
        ClusterError: no cluster can be reached or started.
        ExperimentError: the experiment failed while waiting for its end, or its storage cannot be written.
    """
    given = dict(locals())
    options = {option: given[option] for option in OPTIONS}
    prepared = prepare_given(train, space, options)
    remember(prepared)
    if note := namesake_note(prepared.spec.name):
        prepared = replace(prepared, notes=(*prepared.notes, note))
    experiment = launch_prepared(prepared)
    if should_wait(prepared):
        wait_for_end(experiment)
    return experiment
