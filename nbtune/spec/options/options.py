"""The options of an experiment: their names, what they take, and the validated `Spec` they make.

One table serves the keyword arguments of `nbtune.tune`, the flags of ``%%tune``, ``%config NbTune``,
``[tool.nbtune]`` and the help page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.bad_input import invalid_characters
from nbtune.errors import Problem, did_you_mean, spell_option
from nbtune.spec.options import readers as read
from nbtune.spec.options.datasets import read_data_config, read_datasets
from nbtune.spec.options.named import PARTNERS, SCHEDULERS, SEARCHES, Named
from nbtune.spec.options.objectives import Objective, combine_objectives, read_metrics, read_modes
from nbtune.spec.options.repeat import combine_repeat
from nbtune.spec.options.together import problems_together
from nbtune.spec.options.warm_start import read_warm_start
from nbtune.spec.plan.frameworks import FRAMEWORKS
from nbtune.spec.plan.shape import STRATEGIES, Shape, is_factory, to_shape
from nbtune.spec.plan.workers import (
    AGGREGATES,
    TunedWorkers,
    Workers,
    worker_counts,
    workers_from_options,
    workers_from_scaling_config,
)
from nbtune.spec.space.space import Space
from nbtune.spec.space.values import label
from nbtune.spec.units import parse_duration, parse_pairs, parse_size

__all__ = ["OPTIONS", "SCOPES", "Option", "Spec", "make_spec"]

SCOPES = {
    "all": "the best value that it has ever reported",
    "last": "the last one",
    "avg": "the mean of all",
    "last-5-avg": "the mean of the last 5",
    "last-10-avg": "the mean of the last 10",
}
"""The scopes of Ray Tune -> which value of the metric a trial is compared by."""


_RANDOM, _FIFO = Named("random"), Named("fifo")


@dataclass(frozen=True)
class Spec:
    """What to run an experiment with: every option, checked and in its final type.

    The fields are the options of `nbtune.tune`; see `OPTIONS`. Durations are in seconds, sizes in bytes. With several
    objectives `metric` and `mode` are None, and `several` has them. `reads_data` tells whether trials use Ray Data, as
    far as their code and the options show.
    """

    name: str = "experiment"
    metric: str | None = None
    mode: str | None = None
    several: tuple[Objective, ...] = ()
    scope: str = "all"
    samples: int = 1
    repeat: int = 1
    search: Any = _RANDOM
    scheduler: Any = _FIFO
    mutate: tuple[str, ...] | None = None
    cpus: float = 1
    gpus: float = 0
    memory: int | None = None
    resources: Any = field(default_factory=dict)
    max_concurrent: int | None = None
    max_failures: int = 0
    fail_fast: bool = False
    reuse_actors: bool | None = None
    time_budget: float | None = None
    stop: Any = None
    callbacks: tuple[Any, ...] = ()
    keep_checkpoints: int | None = None
    keep_by: str | None = None
    checkpoint_frequency: int = 0
    checkpoint_at_end: bool | None = None
    storage: str | None = None
    storage_filesystem: Any = None
    trial_name_creator: Any = None
    trial_dirname_creator: Any = None
    seed: int | None = None
    points: tuple[Mapping[str, Any], ...] = ()
    warm_start: Any = None
    try_best: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    wait: bool | None = None
    driver_resources: Mapping[str, float] = field(default_factory=dict)
    workers: int | tuple[int, int] | TunedWorkers | None = None
    scaling: Any = None
    framework: str | None = None
    backend: Any = None
    aggregate: str = "rank0"
    placement_strategy: str = "PACK"
    accelerator_type: str | None = None
    label_selector: Any = None
    topology: str | None = None
    trial_resources: Mapping[str, float] = field(default_factory=dict)
    worker_env: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, Any] = field(default_factory=dict)
    dataset_config: Any = None
    data_cpus: float | None = None
    reads_data: bool = False

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Every metric that is optimized, with its mode."""
        if self.metric is None or self.mode is None:
            return self.several
        return (Objective(self.metric, self.mode),)

    @property
    def shape(self) -> Shape:
        """The resources of one trial."""
        if (workers := self.worker_group) is not None:
            return workers.shape()
        return to_shape(self.resources if is_factory(self.resources) else self._amounts)

    @property
    def worker_group(self) -> Workers | None:
        """The workers of one trial, each with `cpus`, `gpus` and so on; None where a trial is one process."""
        if self.scaling is not None:
            number = self.workers if isinstance(self.workers, TunedWorkers) else None
            return workers_from_scaling_config(self.scaling, self.trial_resources, number)
        if self.workers is None:
            return None
        fields = {
            "accelerator_type": self.accelerator_type,
            "label_selector": self.label_selector,
            "topology": self.topology,
            "use_tpu": self.topology is not None,
        }
        return workers_from_options(self.workers, self._amounts, self.trial_resources, self.placement_strategy, fields)

    def within(self, space: Space) -> Spec:
        """Return the spec with the largest number of workers in the space, where that number is a parameter.

        Args:
            space: the parameters.

        Raises:
            SpecError: the space has no such parameter, or it has values that are no number of workers.
        """
        if not isinstance(self.workers, TunedWorkers):
            return self
        return dataclasses.replace(
            self, workers=TunedWorkers(self.workers.name, max(worker_counts(space, self.workers.name)))
        )

    @property
    def _amounts(self) -> dict[str, float]:
        custom = {} if is_factory(self.resources) else self.resources
        return {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory or 0, **custom}


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: the keyword argument; the flag is the same with dashes.
        read: converts a string or object into the final value; raises ValueError where it is not allowed.
        help: its description on the help page.
        shows: the placeholder of its value on the help page.
        group: its heading on the help page.
        variable: whether the flag's value may be the name of a notebook variable.
    """

    name: str
    read: Callable[[Any], Any]
    help: str
    shows: str
    group: str
    variable: bool = True

    @property
    def flag(self) -> str:
        """The flag of the magic line."""
        return spell_option(self.name, None, "line")


_DATA = "Data sets of Ray Data"
_WORKERS = "Workers of one trial"
_OPTIONS = [
    Option("name", read.variable_name, "name of the experiment and of the variable it is bound to", "NAME",
           "Experiment", False),
    Option("metric", read_metrics, "the metric to optimise, by its name in `report`; or several: NAME,NAME,…", "NAME",
           "Experiment", False),
    Option("mode", read_modes, "whether to minimise or to maximise it; or one for each: max,min", "min|max",
           "Experiment", False),
    Option("scope", read.one_of(*SCOPES), "which value counts: " + ", ".join(SCOPES), "NAME",
           "Experiment", False),
    Option("samples", read.integer(1), "number of configurations to try; with grid_search, of passes over the grid",
           "N", "Experiment"),
    Option("repeat", read.integer(1), "trials of each configuration, of whose values the mean counts (default 1)", "N",
           "Experiment"),
    Option("search", read.algorithm("search"),
           "the search algorithm: " + ", ".join(SEARCHES) + ", or a variable", "NAME", "Experiment"),
    Option("scheduler", read.algorithm("scheduler"),
           "the scheduler: " + ", ".join(SCHEDULERS) + ", or a variable", "NAME", "Experiment"),
    Option("mutate", read.names, "parameters that pbt or pb2 changes while trials run (default: all)", "NAME,…",
           "Experiment"),
    Option("points", read.points, "points to evaluate first: a variable with a list of dictionaries", "VAR",
           "Experiment"),
    Option("warm_start", read_warm_start, "what to learn from: an experiment (or its name), a study or a DataFrame",
           "NAME", "Experiment"),
    Option("try_best", read.integer(1), "how many of its best trials are tried first", "N", "Experiment"),
    Option("seed", read.integer(0), "makes parameters and random numbers reproducible", "N", "Experiment"),
    Option("cpus", read.amount, "CPUs of one trial, or of each of its workers; fractions are allowed", "N",
           "Resources of one trial"),
    Option("gpus", read.amount, "GPUs of one trial, or of each of its workers", "N", "Resources of one trial"),
    Option("memory", parse_size, "memory of one trial, or of each of its workers; for scheduling only", "SIZE",
           "Resources of one trial"),
    Option("resources", read.resources, "custom resources of one trial or worker, or a PlacementGroupFactory",
           "NAME=N,…", "Resources of one trial"),
    Option("max_concurrent", read.integer(1), "maximum number of trials that run at once", "N", "Limits"),
    Option("max_failures", read.integer(-1), "how often a failed trial is retried; -1 for no limit", "N", "Limits"),
    Option("fail_fast", read.yes_no, "whether the first failed trial ends the experiment", "yes|no", "Limits"),
    Option("reuse_actors", read.yes_no, "whether a process of a trial or worker runs several trials",
           "yes|no", "Limits"),
    Option("time_budget", parse_duration, "time after which the experiment ends", "TIME", "Limits"),
    Option("stop", read.stop_condition, 'when a trial ends: "acc > 0.9 or iterations > 50", "plateau(loss, 5)" or VAR',
           "COND", "Limits"),
    Option("callbacks", read.callbacks, "callbacks of Ray Tune, such as its loggers: one or a list",
           "VAR", "Limits"),
    Option("env", read.variables, "environment variables of all trials", "NAME=VALUE,…", "Limits"),
    Option("driver_resources", parse_pairs, "custom resources of the driver's node (default: the head node)",
           "NAME=N,…", "Limits"),
    Option("storage", read.storage, "folder or URI for experiments (default ~/ray_results)", "PATH", "Storage"),
    Option("storage_filesystem", read.filesystem, "a pyarrow filesystem, on which the storage is a path", "VAR",
           "Storage"),
    Option("keep_checkpoints", read.integer(1), "checkpoints to keep of a trial, the best ones", "N", "Storage"),
    Option("keep_by", read.keep_by, "which ones to keep: latest, 'min NAME' or 'max NAME' of a metric", "HOW",
           "Storage"),
    Option("checkpoint_frequency", read.integer(0), "iterations from one checkpoint of a class to the next", "N",
           "Storage"),
    Option("checkpoint_at_end", read.yes_no, "whether a class is checkpointed at the end of a trial", "yes|no",
           "Storage"),
    Option("trial_name_creator", read.function, "names a trial for callbacks: a function of Ray's trial", "VAR",
           "Storage"),
    Option("trial_dirname_creator", read.function, "names the folder of a trial, likewise", "VAR", "Storage"),
    Option("workers", read.workers, "number of workers of one trial: N, MIN-MAX, or a parameter", "N",
           _WORKERS),
    Option("scaling", read.scaling, "the same as a ray.train.ScalingConfig or a ScalingForm", "VAR", _WORKERS),
    Option("framework", read.framework, "framework of the workers: " + ", ".join(FRAMEWORKS) + "; default: that of"
           " the code's imports", "NAME", _WORKERS),
    Option("backend", read.backend, "how the workers communicate: gloo, nccl, or Ray Train's configuration", "NAME",
           _WORKERS),
    Option("aggregate", read.one_of(*AGGREGATES), "how the trial's metrics are computed: " + ", ".join(AGGREGATES),
           "HOW", _WORKERS),
    Option("placement_strategy", read.one_of(*STRATEGIES), "how they are placed: " + ", ".join(STRATEGIES), "NAME",
           _WORKERS),
    Option("accelerator_type", read.text, "accelerator type of the workers, by Ray's name", "NAME", _WORKERS),
    Option("label_selector", read.labels, "labels of the workers' nodes", "KEY=VALUE,…", _WORKERS),
    Option("topology", read.text, "TPU slice of the workers, such as 4x4", "TEXT", _WORKERS),
    Option("trial_resources", parse_pairs, "resources of the process that starts the workers",
           "NAME=N,…", _WORKERS),
    Option("worker_env", read.variables, "environment variables of the workers", "NAME=VALUE,…", _WORKERS),
    Option("datasets", read_datasets, "data sets that trials read: NAME=VAR, or VAR for its own name; repeatable",
           "NAME=VAR", _DATA),
    Option("dataset_config", read_data_config, "which of them the workers share, NAME,… (default: all), or VAR with a"
           " ray.train.DataConfig", "NAME,…", _DATA),
    Option("data_cpus", read.amount, "CPUs that trials leave to Ray Data (default: 20 % of all, at least 1)", "N",
           _DATA),
    Option("wait", read.flag, "wait for the end; default: only where nobody can interact", "", "In the notebook",
           False),
]  # fmt: skip
OPTIONS: dict[str, Option] = {option.name: option for option in _OPTIONS}
"""Every option by its name."""
_WORKERS_ONLY = tuple(option.name for option in _OPTIONS if option.group == _WORKERS)


def make_spec(given: Mapping[str, Any]) -> tuple[Spec, list[Problem]]:
    """Check options one by one and together.

    Args:
        given: option -> value, as given in Python or on a magic line; None stands for "not given".

    Returns:
        The spec, made of the valid options, and the problems of the others.
    """
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for name, value in given.items():
        option = OPTIONS.get(name)
        if option is None:
            problems.append(Problem(f"unknown option {name!r}{did_you_mean(name, OPTIONS)}", code="unknown"))
        elif value is not None:
            try:
                values[name] = _read(option, value)
            except ValueError as error:
                problems.append(Problem(str(error), option=name))
    if "storage" in values and given.get("storage_filesystem") is None:
        values["storage"] = read.absolute(values["storage"])
    search = values.get("search")
    if isinstance(search, Named) and search.name in PARTNERS and given.get("scheduler") is None:
        values["scheduler"] = Named(PARTNERS[search.name])
    values["reads_data"] = bool(values.get("datasets") or values.get("data_cpus"))
    named = {name for name, value in given.items() if value is not None}
    problems += combine_objectives(values, named)
    problems += combine_repeat(values, named)
    spec = dataclasses.replace(Spec(), **values)
    return spec, problems + problems_together(spec, given, _WORKERS_ONLY)


def _read(option: Option, value: Any) -> Any:
    """Return the final value of an option.

    Raises:
        ValueError: it is not allowed, is not valid Unicode, or raises an exception itself.
    """
    try:
        if isinstance(value, str):
            value = str.__str__(value)  # without the methods of a subclass
            if (invalid := invalid_characters(value)) is not None:
                raise ValueError(f"{label(value)} {invalid[0]}")
        return option.read(value)
    except ValueError:
        raise
    except Exception as error:  # a method of the value
        raise ValueError(f"{label(value)} cannot be read: {type(error).__name__}: {error}") from error
