"""The options of an experiment: their names, what they take, and the validated `Spec` they make.

One table serves the keyword arguments of `nbtune.tune`, the flags of ``%%tune``, ``%config NbTune``,
``[tool.nbtune]`` and the help page.
"""

from __future__ import annotations

import dataclasses
import keyword
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbtune.errors import Problem, did_you_mean
from nbtune.spec.shape import Shape, is_factory, shape_of
from nbtune.spec.units import parse_duration, parse_pairs, parse_size

__all__ = ["OPTIONS", "SCHEDULERS", "SEARCHES", "Option", "Spec", "absolute", "make_spec"]

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
    time_budget: float | None = None
    stop: Any = None
    keep_checkpoints: int | None = None
    storage: str | None = None
    storage_filesystem: Any = None
    seed: int | None = None
    points: tuple[Mapping[str, Any], ...] = ()
    wait: bool | None = None
    driver_resources: Mapping[str, float] = field(default_factory=dict)

    @property
    def shape(self) -> Shape:
        """What one trial needs."""
        if is_factory(self.resources):
            return shape_of(self.resources)
        return shape_of({"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory or 0, **self.resources})


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


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no name")
    return value


def _name(value: Any) -> str:
    text = _text(value)
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError(f"{text!r} is no variable name: letters, digits and _ only, no digit first, no Python keyword")
    return text


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not {' or '.join(allowed)}{did_you_mean(str(value), allowed)}")
        return str(value)

    return read


def _integer(least: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        message = f"{value!r} is no whole number of {least} or more"
        try:
            number = int(value) if isinstance(value, (str, numbers.Integral)) else None
        except ValueError:
            number = None
        if number is None or isinstance(value, bool) or number < least:
            raise ValueError(message)
        return number

    return read


def _amount(value: Any) -> float:
    try:
        amount = float(value)
    except (TypeError, ValueError):
        amount = -1
    if not 0 <= amount < float("inf") or isinstance(value, bool):
        raise ValueError(f"{value!r} is no number of 0 or more")
    return int(amount) if amount.is_integer() else amount


def _resources(value: Any) -> Any:
    if is_factory(value):
        return value
    try:
        return parse_pairs(value)
    except ValueError as error:
        raise ValueError(f"{error}, nor a ray.tune.PlacementGroupFactory") from None


def _algorithm(names: Mapping[str, str], what: str, module: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if isinstance(value, str):
            if value not in names:
                hint = did_you_mean(value, names)
                raise ValueError(
                    f"{value!r} is no {what}{hint}; there are {', '.join(names)}, or an object from {module}"
                )
            return value
        if not type(value).__module__.startswith("ray.") and not any(
            base.__module__.startswith("ray.tune.") for base in type(value).__mro__
        ):
            raise ValueError(f"{value!r} is no {what}: give {', '.join(names)}, or an object from {module}")
        return value

    return read


def _stop(value: Any) -> Any:
    if isinstance(value, (str, Mapping)):
        conditions = parse_pairs(value)
        if not conditions:
            raise ValueError("no condition; write METRIC=NUMBER")
        return {("training_iteration" if name == "iterations" else name): n for name, n in conditions.items()}
    if callable(value):
        return value
    raise ValueError(f"{value!r} is no condition: give METRIC=NUMBER, a dictionary, a ray.tune.Stopper or a function")


def _points(value: Any) -> tuple[dict[str, Any], ...]:
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a DataFrame
        value = value.to_dict("records")
    if isinstance(value, Mapping):
        value = [value]
    if isinstance(value, str) or not isinstance(value, (list, tuple)) or not all(isinstance(p, Mapping) for p in value):
        raise ValueError("points are a list of dictionaries, parameter -> value, or a DataFrame with such rows")
    return tuple(dict(point) for point in value)


def _filesystem(value: Any) -> Any:
    # By their names: pyarrow is not imported for a check, and who has made one has imported it.
    kinds = {(base.__module__, base.__name__) for base in type(value).__mro__}
    if ("pyarrow._fs", "FileSystem") in kinds:
        return value
    if ("fsspec.spec", "AbstractFileSystem") in kinds:
        raise ValueError(
            "an fsspec filesystem has to be wrapped:"
            " pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(filesystem)) is what Ray takes"
        )
    raise ValueError(
        f"{value!r} is no filesystem: give a pyarrow.fs.FileSystem (S3FileSystem, GcsFileSystem…), or an fsspec one"
        " wrapped as pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(filesystem))"
    )


def _storage(value: Any) -> str:
    if not str(value):
        raise ValueError("'' is no folder or URI")
    return str(value)


def absolute(storage: str) -> str:
    """Return a folder of this machine as an absolute path; a URI as it is."""
    return storage if "://" in storage else str(Path(storage).expanduser().absolute())


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not True or False")
    return value


_OPTIONS = [
    Option("name", _name, "name of the experiment and of the variable it is bound to", "NAME", "Experiment", False),
    Option("metric", _text, "the metric to optimise, as `report` calls it", "NAME", "Experiment", False),
    Option("mode", _one_of("min", "max"), "whether less or more of it is better", "min|max", "Experiment", False),
    Option("samples", _integer(1), "how many trials; with grid_search, how often the grid", "N", "Experiment"),
    Option("search", _algorithm(SEARCHES, "search algorithm", "ray.tune.search"),
           "the search algorithm: " + ", ".join(SEARCHES) + ", or a variable", "NAME", "Experiment"),
    Option("scheduler", _algorithm(SCHEDULERS, "scheduler", "ray.tune.schedulers"),
           "the scheduler: " + ", ".join(SCHEDULERS) + ", or a variable", "NAME", "Experiment"),
    Option("points", _points, "points to try first: a variable with a list of dictionaries", "VAR", "Experiment"),
    Option("seed", _integer(0), "makes the same parameters and random numbers come again", "N", "Experiment"),
    Option("cpus", _amount, "CPUs of one trial; fractions are allowed", "N", "Resources of one trial"),
    Option("gpus", _amount, "GPUs of one trial; fractions are allowed", "N", "Resources of one trial"),
    Option("memory", parse_size, "memory of one trial, for scheduling", "SIZE", "Resources of one trial"),
    Option("resources", _resources, "custom resources of one trial, or a PlacementGroupFactory", "NAME=N,…",
           "Resources of one trial"),
    Option("max_concurrent", _integer(1), "how many trials run at once, at most", "N", "Limits"),
    Option("max_failures", _integer(-1), "how often a failed trial is tried again; -1 for ever", "N", "Limits"),
    Option("time_budget", parse_duration, "end the experiment after this long", "TIME", "Limits"),
    Option("stop", _stop, "end a trial once a metric gets so far: METRIC=NUMBER, or a variable", "COND", "Limits"),
    Option("storage", _storage, "folder or URI to keep experiments in (default ~/ray_results)", "PATH", "Storage"),
    Option("storage_filesystem", _filesystem, "a pyarrow filesystem that --storage is a path on", "VAR", "Storage"),
    Option("keep_checkpoints", _integer(1), "checkpoints to keep of a trial, the best first", "N", "Storage"),
    Option("driver_resources", parse_pairs, "resources of the node that the driver needs (default: the head node)",
           "NAME=N,…", "Limits"),
    Option("wait", _flag, "wait for the end; default: only where nobody can interact", "", "In the notebook", False),
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
        values["storage"] = absolute(values["storage"])
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
    if not spec.shape.bundles:
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
