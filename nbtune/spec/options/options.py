"""The options of an experiment: their names, what they take, and the validated `Spec` they make.

One table serves the keyword arguments of `nbtune.tune`, the flags of ``%%tune``, ``%config NbTune``,
``[tool.nbtune]`` and the help page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.errors import Problem, did_you_mean
from nbtune.spec.options import readers as read
from nbtune.spec.plan.shape import STRATEGIES, Shape, is_factory, shape_of
from nbtune.spec.plan.workers import AGGREGATES, FRAMEWORKS, Tuned, Workers, counts_of, of_flags, of_scaling
from nbtune.spec.space.space import Space
from nbtune.spec.units import parse_duration, parse_pairs, parse_size

__all__ = ["OPTIONS", "SCHEDULERS", "SEARCHES", "Option", "Spec", "make_spec"]

SEARCHES = {
    "random": "draw each trial's parameters independently; grid_search parameters are crossed",
    "grid": "try every combination of choice, grid_search and randint parameters",
    "optuna": "Optuna's TPE sampler: learns from the trials so far where to look next",
}
SCHEDULERS = {
    "fifo": "every trial runs to its end",
    "asha": "stops the worse trials early (asynchronous successive halving)",
}


@dataclass(frozen=True)
class Spec:
    """What to run an experiment with: every option, checked and in its final type.

    The fields are the options of `nbtune.tune`; their meaning stands in `OPTIONS`. Durations are
    seconds, sizes are bytes.
    """

    name: str = "experiment"
    metric: str | None = None
    mode: str | None = None
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
    wait: bool | None = None
    driver_resources: Mapping[str, float] = field(default_factory=dict)
    workers: int | tuple[int, int] | Tuned | None = None
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
        """What one trial needs."""
        if (workers := self.worker_group) is not None:
            return workers.shape()
        return shape_of(self.resources if is_factory(self.resources) else self._amounts)

    @property
    def worker_group(self) -> Workers | None:
        """The workers of one trial, of which `cpus` and the like are each one's; None where a trial is one process."""
        if self.scaling is not None:
            number = self.workers if isinstance(self.workers, Tuned) else None
            return of_scaling(self.scaling, self.trial_resources, number)
        if self.workers is None:
            return None
        more = {
            "accelerator_type": self.accelerator_type,
            "label_selector": self.label_selector,
            "topology": self.topology,
            "use_tpu": self.topology is not None,
        }
        return of_flags(self.workers, self._amounts, self.trial_resources, self.placement_strategy, more)

    def within(self, space: Space) -> Spec:
        """Return this with what the space says of the number of workers.

        Raises:
            ValueError: the space does not say it.
        """
        if not isinstance(self.workers, Tuned):
            return self
        return dataclasses.replace(self, workers=Tuned(self.workers.name, max(counts_of(space, self.workers.name))))

    @property
    def _amounts(self) -> dict[str, float]:
        more = {} if is_factory(self.resources) else self.resources
        return {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory or 0, **more}


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: the keyword argument; the flag is the same with dashes.
        read: turns what was given, a string or an object, into the final value, or raises ValueError.
        help: what it does, for a person.
        shows: the placeholder of its value on the help page.
        group: the heading it stands under.
        variable: whether a flag's value may be the name of a notebook variable.
    """

    name: str
    read: Callable[[Any], Any]
    help: str
    shows: str
    group: str
    variable: bool = True

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


_WORKERS = "Workers of one trial"
_OPTIONS = [
    Option("name", read.variable_name, "name of the experiment and of the variable it is bound to", "NAME",
           "Experiment", False),
    Option("metric", read.text, "the metric to optimise, as `report` calls it", "NAME", "Experiment", False),
    Option("mode", read.one_of("min", "max"), "whether less or more of it is better", "min|max", "Experiment", False),
    Option("samples", read.integer(1), "how many trials; with grid_search, how often the grid", "N", "Experiment"),
    Option("search", read.algorithm(SEARCHES, "search algorithm", "ray.tune.search"),
           "the search algorithm: " + ", ".join(SEARCHES) + ", or a variable", "NAME", "Experiment"),
    Option("scheduler", read.algorithm(SCHEDULERS, "scheduler", "ray.tune.schedulers"),
           "the scheduler: " + ", ".join(SCHEDULERS) + ", or a variable", "NAME", "Experiment"),
    Option("points", read.points, "points to try first: a variable with a list of dictionaries", "VAR", "Experiment"),
    Option("seed", read.integer(0), "makes the same parameters and random numbers come again", "N", "Experiment"),
    Option("cpus", read.amount, "CPUs of one trial, or of each of its workers; fractions are allowed", "N",
           "Resources of one trial"),
    Option("gpus", read.amount, "GPUs of the same", "N", "Resources of one trial"),
    Option("memory", parse_size, "memory of the same, for scheduling", "SIZE", "Resources of one trial"),
    Option("resources", read.resources, "custom resources of the same, or a PlacementGroupFactory of one trial",
           "NAME=N,…", "Resources of one trial"),
    Option("max_concurrent", read.integer(1), "how many trials run at once, at most", "N", "Limits"),
    Option("max_failures", read.integer(-1), "how often a failed trial is tried again; -1 for ever", "N", "Limits"),
    Option("reuse_actors", read.yes_no, "whether processes, those of workers too, run the next trial as well",
           "yes|no", "Limits"),
    Option("time_budget", parse_duration, "end the experiment after this long", "TIME", "Limits"),
    Option("stop", read.stop_condition, "end a trial once a metric gets so far: METRIC=NUMBER, or a variable", "COND",
           "Limits"),
    Option("driver_resources", parse_pairs, "resources of the node that the driver needs (default: the head node)",
           "NAME=N,…", "Limits"),
    Option("storage", read.storage, "folder or URI to keep experiments in (default ~/ray_results)", "PATH", "Storage"),
    Option("storage_filesystem", read.filesystem, "a pyarrow filesystem that --storage is a path on", "VAR", "Storage"),
    Option("keep_checkpoints", read.integer(1), "checkpoints to keep of a trial, the best first", "N", "Storage"),
    Option("workers", read.workers, "workers of one trial, each with its resources: N, LEAST-MOST, or a parameter", "N",
           _WORKERS),
    Option("scaling", read.scaling, "the same as a ray.train.ScalingConfig or a ScalingForm", "VAR", _WORKERS),
    Option("framework", read.one_of(*FRAMEWORKS), "what the workers train with: " + ", ".join(FRAMEWORKS), "NAME",
           _WORKERS),
    Option("backend", read.backend, "how they speak: gloo, nccl, or a configuration such as TorchConfig", "NAME",
           _WORKERS),
    Option("aggregate", read.one_of(*AGGREGATES), "how the trial's metrics come from theirs: " + ", ".join(AGGREGATES),
           "HOW", _WORKERS),
    Option("placement_strategy", read.one_of(*STRATEGIES), "how they are placed: " + ", ".join(STRATEGIES), "NAME",
           _WORKERS),
    Option("accelerator_type", read.text, "the kind of accelerator that they need, as Ray calls it", "NAME", _WORKERS),
    Option("label_selector", read.labels, "labels that their nodes must have", "KEY=VALUE,…", _WORKERS),
    Option("topology", read.text, "the TPU slice that they need, 4x4 for instance", "TEXT", _WORKERS),
    Option("trial_resources", parse_pairs, "what the process that starts them needs: resources of safe nodes",
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
        The spec, made of what is right, and what is wrong.
    """
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for name, value in given.items():
        option = OPTIONS.get(name)
        if option is None:
            problems.append(Problem(f"there is no option {name!r}{did_you_mean(name, OPTIONS)}"))
        elif value is not None:
            try:
                values[name] = option.read(value)
            except ValueError as error:
                problems.append(Problem(f"{option.flag}: {error}"))
    if "storage" in values and given.get("storage_filesystem") is None:
        values["storage"] = read.absolute(values["storage"])
    spec = dataclasses.replace(Spec(), **values)
    return spec, problems + _together(spec, given)


def _together(spec: Spec, given: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong between options that are right each for itself."""
    problems = []
    asked = {name for name, value in given.items() if value is not None}
    if "metric" in asked and "mode" not in asked:
        problems.append(
            Problem("--mode is missing: is less or more of the metric better? Give --mode min or --mode max")
        )
    if "mode" in asked and "metric" not in asked:
        problems.append(Problem("--mode is given without --metric: say which metric it is about"))
    if "metric" not in asked:
        needs = [str(value) for value in (spec.search, spec.scheduler) if value in ("optuna", "asha")]
        if needs:
            problems.append(Problem(f"{' and '.join(needs)} compares trials and needs --metric and --mode"))
    if is_factory(spec.resources) and (twice := sorted({"cpus", "gpus", "memory"} & asked)):
        problems.append(
            Problem(
                "--resources: a PlacementGroupFactory says all that a trial needs; leave out"
                f" {' and '.join(f'--{name}' for name in twice)}, or add them to its first bundle"
            )
        )
    problems += _about_workers(spec, asked)
    group = spec.worker_group
    if group is not None and not group.each:
        problems.append(Problem("a worker that asks for no CPU, GPU or other resource cannot be placed; give --cpus"))
    elif group is None and not spec.shape.bundles:
        problems.append(Problem("a trial that asks for no CPU, GPU or other resource cannot be placed; give --cpus"))
    problems += [Problem(text) for text in spec.shape.problems()]
    if spec.storage_filesystem is not None and spec.storage is None:
        problems.append(Problem("--storage-filesystem is given without --storage: say which path on it, BUCKET/FOLDER"))
    if spec.storage_filesystem is not None and "://" in (spec.storage or ""):
        problems.append(
            Problem(
                f"--storage {spec.storage}: with --storage-filesystem it is a path on that, without scheme:"
                f" {(spec.storage or '').partition('://')[2].partition('?')[0] or 'BUCKET/FOLDER'}"
            )
        )
    if spec.points and not isinstance(spec.search, str):
        problems.append(
            Problem("--points goes with a search algorithm by name; give the object its points_to_evaluate")
        )
    return problems


_ONLY_WORKERS = tuple(option.name for option in _OPTIONS if option.group == _WORKERS)
_SAID_BY_SCALING = (
    "cpus", "gpus", "memory", "resources", "placement_strategy", "accelerator_type", "label_selector", "topology",
)  # fmt: skip


def _about_workers(spec: Spec, asked: set[str]) -> list[Problem]:
    """Return what is wrong between the options of workers."""
    if spec.workers is None and spec.scaling is None:
        if {"workers", "scaling"} & asked:  # it is wrong, and was said to be
            return []
        if alone := [OPTIONS[name].flag for name in _ONLY_WORKERS if name in asked]:
            return [Problem(f"{' and '.join(alone)}: only a trial with workers takes this; give --workers N")]
        return []
    problems = []
    if is_factory(spec.resources):
        problems.append(
            Problem("--resources: a PlacementGroupFactory does not go with workers; say what each one needs: NAME=N,…")
        )
    if spec.scaling is None:
        return problems
    if spec.workers is not None and not isinstance(spec.workers, Tuned):
        problems.append(Problem("--workers and --scaling both say how many workers; give one of them"))
    if twice := [OPTIONS[name].flag for name in _SAID_BY_SCALING if name in asked]:
        problems.append(Problem(f"{' and '.join(twice)}: --scaling says this; leave one of them out"))
    return problems
