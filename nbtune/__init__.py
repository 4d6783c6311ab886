"""nbtune turns a notebook cell into a distributed hyperparameter sweep on Ray.

``%load_ext nbtune`` adds the magics ``%%tune`` and ``%tune``; the functions of this package do the same from Python.
``import nbtune`` imports none of ray, torch, plotly, pandas and optuna: they are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

__all__ = [
    "Checkpoint",
    "ClusterError",
    "ClusterPanel",
    "Experiment",
    "ExperimentError",
    "NbtuneError",
    "ScalingForm",
    "Space",
    "SpaceForm",
    "SpecError",
    "Trial",
    "attach",
    "choice",
    "connect",
    "experiments",
    "get_checkpoint",
    "get_context",
    "get_dataset_shard",
    "grid_search",
    "load",
    "lograndint",
    "loguniform",
    "plan",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "qrandn",
    "quniform",
    "randint",
    "randn",
    "report",
    "require",
    "sample_from",
    "start_cluster",
    "stop_cluster",
    "tune",
    "uniform",
]

if TYPE_CHECKING:
    from ray.tune import (
        choice,
        grid_search,
        lograndint,
        loguniform,
        qlograndint,
        qloguniform,
        qrandint,
        qrandn,
        quniform,
        randint,
        randn,
        sample_from,
        uniform,
    )

    from nbtune.cluster.connect import connect
    from nbtune.cluster.local.local import start_cluster, stop_cluster
    from nbtune.engine.trial.checkpoint import Checkpoint
    from nbtune.engine.trial.session import get_checkpoint, get_context, get_dataset_shard, report, require
    from nbtune.errors import ClusterError, ExperimentError, NbtuneError, SpecError
    from nbtune.frameworks import lightning as lightning
    from nbtune.frameworks import transformers as transformers
    from nbtune.launch.load import experiments, load
    from nbtune.launch.planning import plan
    from nbtune.launch.resume import attach
    from nbtune.launch.tune import tune
    from nbtune.notebook.panel import ClusterPanel
    from nbtune.notebook.scaling import ScalingForm
    from nbtune.notebook.space_form import SpaceForm
    from nbtune.results.experiment import Experiment
    from nbtune.results.trial import Trial
    from nbtune.space import Space

_MODULES = {
    "Checkpoint": "nbtune.engine.trial.checkpoint",
    "ClusterError": "nbtune.errors",
    "ClusterPanel": "nbtune.notebook.panel",
    "Experiment": "nbtune.results.experiment",
    "ExperimentError": "nbtune.errors",
    "NbtuneError": "nbtune.errors",
    "ScalingForm": "nbtune.notebook.scaling",
    "Space": "nbtune.space",
    "SpaceForm": "nbtune.notebook.space_form",
    "SpecError": "nbtune.errors",
    "Trial": "nbtune.results.trial",
    "attach": "nbtune.launch.resume",
    "connect": "nbtune.cluster.connect",
    "experiments": "nbtune.launch.load",
    "get_checkpoint": "nbtune.engine.trial.session",
    "get_context": "nbtune.engine.trial.session",
    "get_dataset_shard": "nbtune.engine.trial.session",
    "load": "nbtune.launch.load",
    "plan": "nbtune.launch.planning",
    "report": "nbtune.engine.trial.session",
    "require": "nbtune.engine.trial.session",
    "start_cluster": "nbtune.cluster.local.local",
    "stop_cluster": "nbtune.cluster.local.local",
    "tune": "nbtune.launch.tune",
}


_FRAMEWORKS = {"lightning": "nbtune.frameworks.lightning", "transformers": "nbtune.frameworks.transformers"}
# Not in `__all__`: ``from nbtune import *`` must not hide the packages of these names.


def __getattr__(name: str) -> Any:
    if name in _FRAMEWORKS:
        return importlib.import_module(_FRAMEWORKS[name])
    if name not in __all__:
        raise AttributeError(f"module 'nbtune' has no attribute {name!r}")
    if name not in _MODULES or name == "tune":
        from nbtune.cluster.link.ahead import start_if_connected

        start_if_connected()  # while this process imports Tune, which takes about as long
    if name not in _MODULES:  # a space function of Ray Tune
        from nbtune.cluster.connect import import_ray
        from nbtune.engine.protocol.importing import without_collection

        import_ray()
        with without_collection():
            importlib.import_module("ray.tune")
    value = getattr(importlib.import_module(_MODULES.get(name, "ray.tune")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_FRAMEWORKS})


def load_ipython_extension(shell: Any) -> None:
    """Register ``%%tune`` and ``%tune``. IPython calls this for ``%load_ext nbtune``.

    Args:
        shell: the `InteractiveShell` of the notebook.
    """
    from nbtune.notebook.magics import register

    register(shell)
