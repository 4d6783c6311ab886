"""The functions of nbtune: `tune`, `load`, `experiments`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nbtune.errors import ClusterError
from nbtune.launch.prepare import prepare_function
from nbtune.launch.registry import known
from nbtune.launch.start import finish, launch_prepared, must_wait
from nbtune.spec.options.options import OPTIONS

if TYPE_CHECKING:
    import pandas as pd

    from nbtune.results.experiment import Experiment

__all__ = ["experiments", "load", "tune"]


def tune(
    train: Callable[..., Any],
    space: Any,
    *,
    name: str | None = None,
    metric: str | None = None,
    mode: str | None = None,
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
        train: the training function. It takes the parameters as one `config` dictionary, as Ray Tune's
            do, or by their names, and calls `nbtune.report`; a dictionary that it returns is its last
            report.
        space: a dictionary, name -> `nbtune.loguniform(…)`, `nbtune.choice(…)`… or a constant.
        name: what to call the experiment; "experiment" if None.
        metric: the metric to optimise. Only random and grid search with every trial run to its end do
            without.
        mode: "min" or "max".
        samples: how many trials; with `grid_search` in the space, how often the grid. 1 if None.
        search: "random" (also if None), "grid", "optuna", or an object from `ray.tune.search`.
        scheduler: "fifo" (also if None), "asha", or an object from `ray.tune.schedulers`.
        cpus: CPUs of one trial, fractions allowed; 1 if None. For scheduling: Ray does not enforce it.
        gpus: GPUs of one trial, fractions allowed; a trial sees just those it has.
        memory: memory of one trial, in bytes or as "2GiB"; for scheduling, not enforced.
        resources: custom resources of one trial, name -> amount, or "safe_node=1". Or a
            `ray.tune.PlacementGroupFactory` with all that it needs, in place of `cpus`, `gpus` and `memory`.
        max_concurrent: how many trials run at once, at most; None for as many as fit.
        max_failures: how often a failed trial is tried again from its last checkpoint; -1 for ever.
        reuse_actors: whether processes, those of workers too, run the next trial as well: they are slow to start.
            What code sets for its whole process (PyTorch's default type, environment variables, log handlers) is
            then there in the next trial, and random numbers that are not seeded go on. True if None.
        time_budget: end the experiment after so many seconds, or "30m".
        stop: end a trial once a metric gets so far: {"accuracy": 0.98}, "iterations=50", a
            `ray.tune.Stopper`, or a function (trial_id, result) -> bool. The experiment's own metric is
            reached from above where `mode` is "min", any other from below.
        keep_checkpoints: how many checkpoints of a trial to keep, by `metric`; all if None.
        storage: the folder or URI to keep experiments in; ``~/ray_results`` if None. On a cluster of several
            nodes a folder has to be one that all of them share, where checkpoints are reported.
        storage_filesystem: a `pyarrow.fs.FileSystem` that `storage` is a path on, for object stores that a URI
            cannot describe; an fsspec one wrapped: ``pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(filesystem))``.
        seed: makes the same parameters come again, and seeds `random`, NumPy and PyTorch in each trial.
            What depends on which trial is ready first (optuna, asha) comes again only with
            ``max_concurrent=1``.
        points: configurations to try first: a list of dictionaries, or a DataFrame.
        wait: whether to wait for the end; None waits only where nobody can interact (nbclient,
            papermill, ``nbconvert --execute``).
        driver_resources: custom resources that the node of the experiment's driver must have, name -> amount or
            "safe_node=0.01", so that it does not go with a node that comes and goes. The head node if None.
        workers: makes each trial a distributed run of Ray Train with so many workers, each of which calls `train` and
            has the `cpus`, `gpus`, `memory` and `resources` of above. (least, most) for one that takes as many as
            there are places for, or the name of a parameter that says how many. One process if None.
        scaling: the same as a `ray.train.ScalingConfig`, or a `ScalingForm`.
        framework: what the workers train with: "torch" (also if None), also for Lightning.
        backend: how they speak: "gloo", "nccl", or a `ray.train.torch.TorchConfig`. NCCL for workers with GPUs,
            else gloo, if None.
        aggregate: how the metrics of the workers become the trial's: "rank0" (also if None), "mean", "min", "max".
            `Trial.workers` has each one's.
        placement_strategy: how Ray places the workers: "PACK" (also if None), "SPREAD", "STRICT_PACK",
            "STRICT_SPREAD".
        accelerator_type: the kind of accelerator that they need, as Ray calls it: "A100".
        label_selector: labels that their nodes must have: a dictionary, or one for each worker.
        topology: the TPU slice that they need: "4x4".
        trial_resources: what the process needs that starts the workers of a trial and waits, name -> amount or
            "safe_node=0.01": resources of nodes that stay. Nothing if None: it computes nothing. They are placed with
            the workers, by the same strategy.
        worker_env: environment variables of the workers, name -> value.

    Raises:
        SpecError: something asked for is wrong; nothing was started. It names every mistake.
        ClusterError: no cluster can be reached or started.
        ExperimentError: waiting, and the experiment failed.
    """
    given = dict(locals())
    options = {option: given[option] for option in OPTIONS}
    prepared = prepare_function(train, space, options)
    experiment = launch_prepared(prepared)
    if must_wait(prepared):
        finish(experiment)
    return experiment


def load(path: str, filesystem: Any = None) -> Experiment:
    """Open a stored experiment: nbtune's own or any other of Ray Tune's.

    Only open experiments that you trust: parameters that JSON cannot hold are kept as pickles, as in
    Ray Tune, and reading those can run code.

    Args:
        path: the experiment's folder or URI.
        filesystem: the `pyarrow.fs.FileSystem` that `path` is on, as for `tune`; None where `path` says it all.

    Raises:
        ExperimentError: there is no experiment there.
    """
    from nbtune.engine.client.stored import open_experiment
    from nbtune.engine.protocol.metadata import Metadata
    from nbtune.engine.storage.storage import Storage
    from nbtune.launch.resume import go_on
    from nbtune.results.experiment import Experiment

    where = Storage(str(path), filesystem)
    # The folder may have been moved since.
    metadata = Metadata(path=str(path))
    experiment = Experiment(open_experiment(where), where=where, metadata=metadata, fixed=("path",), resume=go_on)
    experiment.wait()
    return experiment


def experiments(storage: str | None = None, filesystem: Any = None) -> pd.DataFrame:
    """Return the experiments on the connected cluster and in a storage folder, the latest first.

    Args:
        storage: a folder or URI; ``~/ray_results`` if None.
        filesystem: the `pyarrow.fs.FileSystem` that `storage` is a path on; None where `storage` says it all.

    Returns:
        A row for each: index `path`; `name`, `status`, `live` (whether it has a driver on the cluster),
        `trials`, `best` (the metric's value), `metric`, `started` (a timestamp), `seconds`.
    """
    import pandas as pd

    from nbtune.engine.client.stored import stored_experiments
    from nbtune.engine.storage.storage import Storage, default_storage

    rows: list[dict[str, Any]] = []
    live = _live()
    kept = stored_experiments(Storage(str(storage or default_storage()), filesystem))
    for path in dict.fromkeys([*live, *(where.place for where in kept)]):
        try:
            store = (live.get(path) or known(path) or load(path, filesystem))._store
        except Exception as error:  # a broken folder must not hide the others
            rows.append({"path": path, "status": f"unreadable: {error}", "live": path in live})
            continue
        best = store.best()
        rows.append(
            {
                "path": path,
                "name": store.metadata.get("name"),
                "status": store.status,
                "live": path in live,
                "trials": len(store.trials),
                "metric": store.metric,
                "best": best.metrics[store.metric] if best and store.metric else None,
                "started": pd.Timestamp(store.metadata.get("began", 0), unit="s"),
                "seconds": round(store.elapsed(), 1),
            }
        )
    columns = ["path", "name", "status", "live", "trials", "metric", "best", "started", "seconds"]
    frame = pd.DataFrame(rows, columns=columns).sort_values("started", ascending=False)
    return frame.set_index("path")


def _live() -> dict[str, Experiment]:
    """Return the experiments on the cluster, by their paths: this session's, or one that it would connect to."""
    from nbtune.cluster.connect import reach
    from nbtune.launch.resume import follow, live_folders
    from nbtune.results.store import ENDED

    with suppress(ClusterError):  # what is in storage is to be seen all the same
        if not reach():
            return {}
    found = [experiment for folder in live_folders() if (experiment := follow(folder)) is not None]
    # A driver stays for a moment after the end, until nobody reads any more.
    return {experiment.path: experiment for experiment in found if experiment.status not in ENDED}
