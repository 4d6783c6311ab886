"""How the values of options are read: from text of a magic line, or from objects."""

from __future__ import annotations

import keyword
import numbers
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nbtune.errors import did_you_mean
from nbtune.spec.labels import parse_labels
from nbtune.spec.plan.shape import is_factory
from nbtune.spec.plan.workers import Tuned, is_scaling
from nbtune.spec.units import parse_pairs

__all__ = [
    "absolute",
    "algorithm",
    "amount",
    "backend",
    "filesystem",
    "flag",
    "integer",
    "labels",
    "one_of",
    "points",
    "resources",
    "scaling",
    "stop_condition",
    "storage",
    "text",
    "variable_name",
    "variables",
    "workers",
    "yes_no",
]


def text(value: Any) -> str:
    """Read a name."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no name")
    return value


def variable_name(value: Any) -> str:
    """Read the name of a Python variable."""
    name = text(value)
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{name!r} is no variable name: letters, digits and _ only, no digit first, no Python keyword")
    return name


def one_of(*allowed: str) -> Callable[[Any], str]:
    """Return what reads one of these words."""

    def read(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not {' or '.join(allowed)}{did_you_mean(str(value), allowed)}")
        return str(value)

    return read


def integer(least: int) -> Callable[[Any], int]:
    """Return what reads a whole number, this one or more."""

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


def amount(value: Any) -> float:
    """Read an amount of 0 or more."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number < float("inf") or isinstance(value, bool):
        raise ValueError(f"{value!r} is no number of 0 or more")
    return int(number) if number.is_integer() else number


def resources(value: Any) -> Any:
    """Read custom resources, or a `ray.tune.PlacementGroupFactory`."""
    if is_factory(value):
        return value
    try:
        return parse_pairs(value)
    except ValueError as error:
        raise ValueError(f"{error}, nor a ray.tune.PlacementGroupFactory") from None


def algorithm(names: Mapping[str, str], what: str, module: str) -> Callable[[Any], Any]:
    """Return what reads one of these names, or an object of Ray Tune's."""

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


def stop_condition(value: Any) -> Any:
    """Read when a trial is over."""
    if isinstance(value, (str, Mapping)):
        conditions = parse_pairs(value)
        if not conditions:
            raise ValueError("no condition; write METRIC=NUMBER")
        return conditions
    if callable(value):
        return value
    raise ValueError(f"{value!r} is no condition: give METRIC=NUMBER, a dictionary, a ray.tune.Stopper or a function")


def points(value: Any) -> tuple[dict[str, Any], ...]:
    """Read points to try."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a DataFrame
        value = value.to_dict("records")
    if isinstance(value, Mapping):
        value = [value]
    if isinstance(value, str) or not isinstance(value, (list, tuple)) or not all(isinstance(p, Mapping) for p in value):
        raise ValueError("points are a list of dictionaries, parameter -> value, or a DataFrame with such rows")
    return tuple(dict(point) for point in value)


def filesystem(value: Any) -> Any:
    """Read a `pyarrow.fs.FileSystem`."""
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


def storage(value: Any) -> str:
    """Read a folder or URI."""
    if not str(value):
        raise ValueError("'' is no folder or URI")
    return str(value)


def absolute(storage: str) -> str:
    """Return a folder of this machine as an absolute path; a URI as it is."""
    return storage if "://" in storage else str(Path(storage).expanduser().absolute())


def flag(value: Any) -> bool:
    """Read True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not True or False")
    return value


def yes_no(value: Any) -> bool:
    """Read yes or no, True or False."""
    answers = {"yes": True, "no": False, True: True, False: False}
    if not isinstance(value, (str, bool)) or value not in answers:
        raise ValueError(f"{value!r} is not yes or no")
    return answers[value]


def workers(value: Any) -> int | tuple[int, int] | Tuned:
    """Read a number of workers, the least and the most of them (``1-4``), or the name of a parameter."""
    if isinstance(value, str) and value.partition("/")[0].isidentifier():
        return Tuned(value)
    pair = value.split("-") if isinstance(value, str) else value
    try:
        if isinstance(pair, (list, tuple)) and len(pair) == 2:
            least, most = map(integer(1), pair)
            if least <= most:
                return least, most
        return integer(1)(pair[0] if isinstance(pair, list) and len(pair) == 1 else pair)
    except ValueError:
        pass
    raise ValueError(
        f"{value!r} is no number of workers: give 1 or more, LEAST-MOST for a run that takes what is there, or the"
        " name of a parameter that says how many"
    )


def scaling(value: Any) -> Any:
    """Read a `ray.train.ScalingConfig`, or a form that has one."""
    config = getattr(value, "scaling_config", value)
    if not is_scaling(config):
        raise ValueError(
            f"{value!r} is no scaling: give a ray.train.ScalingConfig, or an object that has one as scaling_config"
        )
    if config.num_workers in (0, (0, 0)):
        raise ValueError("0 workers are Ray Train's local mode; leave out --scaling for a trial in one process")
    return config


def backend(value: Any) -> Any:
    """Read a framework's backend: a name, or a configuration of Ray Train's."""
    if isinstance(value, str) and value:
        return value
    if any(base.__name__ == "BackendConfig" for base in type(value).__mro__):
        return value
    raise ValueError(
        f"{value!r} is no backend: give gloo or nccl, or a configuration of Ray Train's, ray.train.torch.TorchConfig(…)"
    )


def labels(value: Any) -> Any:
    """Read label selectors: ``region=us-west``, for all workers or for each."""
    if isinstance(value, str):
        return parse_labels(value)
    found = [value] if isinstance(value, Mapping) else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(one, Mapping) for one in found):
        raise ValueError(f"{value!r} are no labels: give KEY=VALUE, a dictionary, or a list of them, one for a worker")
    return value


def variables(value: Any) -> dict[str, str]:
    """Read environment variables: ``NAME=VALUE,…``, or a dictionary."""
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if not pairs or not all(name.strip() and equals for name, equals, _ in pairs):
            raise ValueError(f"{value!r} is not NAME=VALUE; several are joined by commas")
        return {name.strip(): text for name, _, text in pairs}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value):
        raise ValueError(f"{value!r} is no dictionary of environment variables, name -> value")
    return {name: str(text) for name, text in value.items()}
