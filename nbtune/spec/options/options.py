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
from nbtune.errors import Problem, did_you_mean, option_ref, spell_option
from nbtune.spec.options import readers as read
from nbtune.spec.plan.shape import STRATEGIES, Shape, is_factory, to_shape
from nbtune.spec.plan.workers import (
    AGGREGATES,
    FRAMEWORKS,
    TunedWorkers,
    Workers,
    worker_counts,
    workers_from_options,
    workers_from_scaling_config,
)
from nbtune.spec.space.space import Space
from nbtune.spec.space.values import label
from nbtune.spec.units import parse_duration, parse_pairs, parse_size

__all__ = ["OPTIONS", "SCHEDULERS", "SCOPES", "SEARCHES", "Option", "Spec", "make_spec"]

SEARCHES = {
    "random": "draw each trial's parameters independently; grid_search parameters are crossed",
    "grid": "try every combination of choice, grid_search and randint parameters",
    "optuna": "Optuna's TPE sampler: learns from the trials so far where to look next",
}
SCHEDULERS = {
    "fifo": "every trial runs to its end",
    "asha": "stops the worse trials early (asynchronous successive halving)",
}
SCOPES = {
    "all": "the best value that it has ever reported",
    "last": "the last one",
    "avg": "the mean of all",
    "last-5-avg": "the mean of the last 5",
    "last-10-avg": "the mean of the last 10",
}
"""The scopes of Ray Tune -> which value of the metric a trial is compared by."""


@dataclass(frozen=True)
class Spec:
    """What to run an experiment with: every option, checked and in its final type.

    The fields are the options of `nbtune.tune`; `OPTIONS` says what they mean. Durations are in seconds, sizes in
    bytes.
    """

    name: str = "experiment"
    metric: str | None = None
    mode: str | None = None
    scope: str = "all"
    samples: int = 1
    search: Any = "random"
    scheduler: Any = "fifo"
    cpus: float = 1
    gpus: float = 0
    memory: int | None = None
    resources: Any = field(default_factory=dict)
    max_concurrent: int | None = None
    max_failures: int = 0
    reuse_actors: bool = True
    time_budget: float | None = None
    stop: Any = None
    keep_checkpoints: int | None = None
    storage: str | None = None
    storage_filesystem: Any = None
    seed: int | None = None
    points: tuple[Mapping[str, Any], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    wait: bool | None = None
    driver_resources: Mapping[str, float] = field(default_factory=dict)
    workers: int | tuple[int, int] | TunedWorkers | None = None
    scaling: Any = None
    framework: str = "torch"
    backend: Any = None
    aggregate: str = "rank0"
    placement_strategy: str = "PACK"
    accelerator_type: str | None = None
    label_selector: Any = None
    topology: str | None = None
    trial_resources: Mapping[str, float] = field(default_factory=dict)
    worker_env: Mapping[str, str] = field(default_factory=dict)

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


_WORKERS = "Workers of one trial"
_OPTIONS = [
    Option("name", read.variable_name, "name of the experiment and of the variable it is bound to", "NAME",
           "Experiment", False),
    Option("metric", read.text, "the metric to optimise, by its name in `report`", "NAME", "Experiment", False),
    Option("mode", read.one_of("min", "max"), "whether to minimise or to maximise it", "min|max", "Experiment", False),
    Option("scope", read.one_of(*SCOPES), "which value counts: " + ", ".join(SCOPES), "NAME",
           "Experiment", False),
    Option("samples", read.integer(1), "number of trials; with grid_search, of passes over the grid", "N",
           "Experiment"),
    Option("search", read.algorithm(SEARCHES, "ray.tune.search"),
           "the search algorithm: " + ", ".join(SEARCHES) + ", or a variable", "NAME", "Experiment"),
    Option("scheduler", read.algorithm(SCHEDULERS, "ray.tune.schedulers"),
           "the scheduler: " + ", ".join(SCHEDULERS) + ", or a variable", "NAME", "Experiment"),
    Option("points", read.points, "points to evaluate first: a variable with a list of dictionaries", "VAR",
           "Experiment"),
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
    Option("reuse_actors", read.yes_no, "whether a process of a trial or worker runs several trials",
           "yes|no", "Limits"),
    Option("time_budget", parse_duration, "time after which the experiment ends", "TIME", "Limits"),
    Option("stop", read.stop_condition, "when a trial ends: METRIC=NUMBER,… or a variable", "COND",
           "Limits"),
    Option("env", read.variables, "environment variables of all trials", "NAME=VALUE,…", "Limits"),
    Option("driver_resources", parse_pairs, "custom resources of the driver's node (default: the head node)",
           "NAME=N,…", "Limits"),
    Option("storage", read.storage, "folder or URI for experiments (default ~/ray_results)", "PATH", "Storage"),
    Option("storage_filesystem", read.filesystem, "a pyarrow filesystem, on which the storage is a path", "VAR",
           "Storage"),
    Option("keep_checkpoints", read.integer(1), "checkpoints to keep of a trial, the best ones", "N", "Storage"),
    Option("workers", read.workers, "number of workers of one trial: N, MIN-MAX, or a parameter", "N",
           _WORKERS),
    Option("scaling", read.scaling, "the same as a ray.train.ScalingConfig or a ScalingForm", "VAR", _WORKERS),
    Option("framework", read.one_of(*FRAMEWORKS), "framework of the workers: " + ", ".join(FRAMEWORKS), "NAME",
           _WORKERS),
    Option("backend", read.backend, "how the workers communicate: gloo, nccl or a TorchConfig", "NAME",
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
    Option("wait", read.flag, "wait for the end; default: only where nobody can interact", "", "In the notebook",
           False),
]  # fmt: skip
OPTIONS: dict[str, Option] = {option.name: option for option in _OPTIONS}
"""Every option by its name."""


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
    spec = dataclasses.replace(Spec(), **values)
    return spec, problems + _problems_together(spec, given)


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


def _problems_together(spec: Spec, given: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of options that are valid one by one."""
    problems = []
    named = {name for name, value in given.items() if value is not None}
    if "metric" in named and "mode" not in named:
        modes = f"{option_ref('mode', 'min')} or {option_ref('mode', 'max')}"
        problems.append(Problem(f"required with {option_ref('metric')}: give {modes}", code="missing", option="mode"))
    if "mode" in named and "metric" not in named:
        text = f"given without {option_ref('metric')}; give the metric that it is about"
        problems.append(Problem(text, code="missing", option="mode"))
    if "scope" in named and "metric" not in named:
        text = f"given without {option_ref('metric')}; give the metric that it is about"
        problems.append(Problem(text, code="missing", option="scope"))
    if "metric" not in named:
        named_ones = [value for value in (spec.search, spec.scheduler) if isinstance(value, str)]
        users = [value for value in named_ones if value in ("optuna", "asha")]
        if users:
            need = "compares" if len(users) == 1 else "compare"
            text = f"required by {' and '.join(users)}, which {need} trials; give it with {option_ref('mode')}"
            problems.append(Problem(text, code="missing", option="metric"))
    if is_factory(spec.resources) and (doubled := sorted({"cpus", "gpus", "memory"} & named)):
        problems.append(
            Problem(
                "a PlacementGroupFactory holds all resources of a trial; leave out"
                f" {' and '.join(map(option_ref, doubled))}, or add them to its first bundle",
                code="conflict",
                option="resources",
            )
        )
    problems += _worker_problems(spec, named)
    group = spec.worker_group
    if not (spec.shape.bundles if group is None else group.resources_per_worker):
        subject = "trial" if group is None else "worker"
        text = f"a {subject} that requests no CPU, GPU or other resource cannot be placed; give {option_ref('cpus')}"
        problems.append(Problem(text, code="unplaceable"))
    problems += [Problem(text, code="unplaceable") for text in spec.shape.problems()]
    if spec.storage_filesystem is not None and spec.storage is None:
        text = f"given without {option_ref('storage')}; give the path on it, BUCKET/FOLDER"
        problems.append(Problem(text, code="missing", option="storage_filesystem"))
    if spec.storage_filesystem is not None and "://" in (spec.storage or ""):
        path = (spec.storage or "").partition("://")[2].partition("?")[0] or "BUCKET/FOLDER"
        text = (
            f"expected a path on the {option_ref('storage_filesystem')}, without scheme: {path}; got {spec.storage!r}"
        )
        problems.append(Problem(text, code="conflict", option="storage"))
    if spec.points and not isinstance(spec.search, str):
        text = "allowed with a search algorithm by name only; give the search object its own points_to_evaluate"
        problems.append(Problem(text, code="conflict", option="points"))
    return problems


_WORKERS_ONLY = tuple(option.name for option in _OPTIONS if option.group == _WORKERS)
_IN_SCALING_CONFIG = (
    "cpus", "gpus", "memory", "resources", "placement_strategy", "accelerator_type", "label_selector", "topology",
)  # fmt: skip


def _worker_problems(spec: Spec, named: set[str]) -> list[Problem]:
    """Return the problems of the options of workers that are valid one by one."""
    if spec.workers is None and spec.scaling is None:
        if {"workers", "scaling"} & named:  # given, but invalid: that is a problem already
            return []
        text = f"only for a trial with workers; give {option_ref('workers', 'N')}"
        return [Problem(text, code="conflict", option=name) for name in _WORKERS_ONLY if name in named]
    problems = []
    if is_factory(spec.resources):
        text = "a PlacementGroupFactory is not allowed with workers; give the resources of one worker, NAME=N,…"
        problems.append(Problem(text, code="conflict", option="resources"))
    if spec.scaling is None:
        return problems
    if spec.workers is not None and not isinstance(spec.workers, TunedWorkers):
        text = f"{option_ref('scaling')} gives the number of workers as well; leave one of them out"
        problems.append(Problem(text, code="conflict", option="workers"))
    text = f"{option_ref('scaling')} gives this as well; leave one of them out"
    problems += [Problem(text, code="conflict", option=name) for name in _IN_SCALING_CONFIG if name in named]
    return problems
