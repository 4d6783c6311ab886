"""The functions `load` and `experiments`: stored experiments. Imports nothing that only a start needs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from nbtune.errors import ClusterError, SpecError
from nbtune.launch.registry import lookup
from nbtune.spec.options.options import make_spec

if TYPE_CHECKING:
    import pandas as pd

    from nbtune.engine.storage.storage import Storage
    from nbtune.results.experiment import Experiment

__all__ = ["experiments", "load"]


def load(
    path: str,
    filesystem: Any = None,
    *,
    trust: bool = False,
    metric: str | Sequence[str] | None = None,
    mode: str | Sequence[str] | None = None,
) -> Experiment:
    """Open a stored experiment of nbtune or Ray Tune.

    This reads data only: tables, curves, figures and logs of any folder can be looked at. Objects among the values of
    parameters, dictionaries in checkpoints, `Experiment.results` and the code that `Experiment.resume` runs are
    pickles, and loading a pickle can run any code. They are loaded if your own experiments have written them, which
    their signatures show, also in folders that were copied or moved; otherwise only with `trust`.

    Args:
        path: the experiment's folder or URI.
        filesystem: the `pyarrow.fs.FileSystem` that `path` is on, as for `tune`; None for a local folder or a URI.
        trust: whether to load all pickles of the folder. It applies to the returned experiment only.
        metric: the metric to compare its trials by, instead of its own. Ray Tune's own experiments have theirs in a
            pickle, so it is only known if it is given, or with `trust`. Several as "accuracy,latency" or as a list.
        mode: "min" or "max", with `metric`; one for each of several.

    Raises:
        SpecError: only one of `metric` and `mode` is given, or they are not valid.
        ExperimentError: the folder contains no experiment.
    """
    from nbtune.engine.client.ownership import elsewhere
    from nbtune.engine.client.stored import open_experiment
    from nbtune.engine.protocol.environment import NAMESPACE
    from nbtune.engine.protocol.metadata import Metadata
    from nbtune.engine.protocol.trust import EVERYTHING, OWN
    from nbtune.engine.storage.storage import Storage
    from nbtune.results.experiment import Experiment

    spec, problems = make_spec({"metric": metric, "mode": mode})
    if problems:
        raise SpecError(problems)
    where = Storage(str(path), filesystem)
    # The folder may have been moved, so its present path replaces the one in its log.
    metadata = Metadata(path=where.place)
    if spec.objectives:
        several = [[objective.metric, objective.mode] for objective in spec.several]
        metadata |= Metadata(metric=spec.metric, mode=spec.mode, objectives=several)
        if several:
            metadata["scope"] = spec.scope
    kept = EVERYTHING if trust else OWN
    source = open_experiment(where, partial(elsewhere, where, NAMESPACE), kept)
    experiment = Experiment(source, where=where, metadata=metadata, fixed=tuple(metadata), resume=_resume, trust=kept)
    experiment._wait()
    return experiment


def _resume(where: Storage, **how: Any) -> Any:
    from nbtune.launch.resume import resume_experiment  # takes long to import, and few need it

    return resume_experiment(where, **how)


def experiments(storage: str | None = None, filesystem: Any = None) -> pd.DataFrame:
    """Return the experiments on the connected cluster and in a storage folder, the latest first.

    Args:
        storage: a folder or URI; ``~/ray_results`` if None.
        filesystem: the `pyarrow.fs.FileSystem` that `storage` is a path on; None for a local folder or a URI.

    Returns:
        One row for each experiment. The index is `path`; the columns are `name`, `status`, `live` (whether it has a
        driver on the cluster), `trials`, `metric`, `best` (the value of its best trial; with repeats, of its best
        configuration), `started` (a timestamp) and `seconds`.
        Experiments that Ray Tune ran without nbtune have no `metric` and no `best`; see `load`.
    """
    import pandas as pd

    from nbtune.engine.client.stored import stored_experiments
    from nbtune.engine.storage.storage import Storage, default_storage

    live, rows = _live()
    stored = stored_experiments(Storage(str(storage or default_storage()), filesystem))
    for path in dict.fromkeys([*live, *(where.place for where in stored)]):
        try:
            store = (live.get(path) or lookup(path) or load(path, filesystem))._store
        except Exception as error:  # an unreadable folder must not hide the others
            rows.append({"path": path, "status": f"unreadable: {error}", "live": path in live})
            continue
        rows.append(
            {
                "path": path,
                "name": store.metadata.get("name"),
                "status": store.status,
                "live": path in live,
                "trials": len(store.trials),
                "metric": ", ".join(objective.metric for objective in store.objectives) or None,
                "best": store.best_value(),
                "started": pd.Timestamp(store.metadata.get("started", 0), unit="s"),
                "seconds": round(store.elapsed(), 1),
            }
        )
    columns = ["path", "name", "status", "live", "trials", "metric", "best", "started", "seconds"]
    frame = pd.DataFrame(rows, columns=columns).sort_values("started", ascending=False)
    return frame.set_index("path")


def _live() -> tuple[dict[str, Experiment], list[dict[str, Any]]]:
    """Return the running experiments of the cluster by their paths, and rows for the drivers that do not work.

    It connects to a cluster that runs.
    """
    from nbtune.cluster.connect import reach
    from nbtune.launch.resume import attach_to_drivers
    from nbtune.results.store import ENDED

    with suppress(ClusterError):  # without a cluster, the stored experiments are still listed
        if not reach():
            return {}, []
    running, problems = attach_to_drivers()
    # A driver stays for a moment after the end, until its events have been read.
    live = {experiment.path: experiment for experiment in running if experiment.status not in ENDED}
    return live, [
        {"path": problem.name, "status": f"unreadable: {problem.reason}", "live": True} for problem in problems
    ]
