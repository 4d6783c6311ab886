"""How the values of options are read: from text of a magic line, or from objects."""

from __future__ import annotations

import keyword
import numbers
import re
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from nbtune.errors import did_you_mean, option_ref
from nbtune.passwords import HIDDEN
from nbtune.spec.labels import parse_labels
from nbtune.spec.options.checkpoints import read_keep_by as keep_by
from nbtune.spec.options.condition import parse_condition
from nbtune.spec.options.named import SCHEDULERS, SEARCHES, Named, parse_named
from nbtune.spec.plan.frameworks import FRAMEWORKS, NO_WORKERS, canonical_name
from nbtune.spec.plan.shape import TrialResources, is_factory
from nbtune.spec.plan.workers import TunedWorkers, is_scaling_config
from nbtune.spec.space.values import label
from nbtune.spec.units import parse_pairs

__all__ = [
    "absolute",
    "algorithm",
    "amount",
    "backend",
    "callbacks",
    "filesystem",
    "flag",
    "framework",
    "function",
    "integer",
    "keep_by",
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


_MAX_WORKERS = 100_000
_PAIR = "[^<>!=,()]+=[^<>!=,()]*"
_PAIRS = re.compile(rf"{_PAIR}(,{_PAIR})*,?|[\s,]*")


def text(value: Any) -> str:
    """Read a non-empty text."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a non-empty text, got {label(value)}")
    return value


def variable_name(value: Any) -> str:
    """Read the name of a Python variable."""
    if not isinstance(value, str) or not value.isidentifier() or keyword.iskeyword(value):
        raise ValueError(
            "expected a variable name (letters, digits and _; no digit first, not a Python keyword), got"
            f" {label(value)}"
        )
    return value


def names(value: Any) -> tuple[str, ...]:
    """Read names: NAME,… or a list of them."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not all(isinstance(name, str) and name.strip() for name in given):
        raise ValueError(f"expected NAME,… or a list of names, got {label(value)}")
    return tuple(dict.fromkeys(name.strip() for name in given))


def one_of(*allowed: str) -> Callable[[Any], str]:
    """Return a reader of one of these words."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            hint = did_you_mean(value, allowed) if isinstance(value, str) else ""
            raise ValueError(f"expected {' or '.join(allowed)}, got {label(value)}{hint}")
        return value

    return read


def integer(minimum: int, maximum: int = 2**32 - 1) -> Callable[[Any], int]:
    """Return a reader of integers from `minimum` to `maximum`, by default the largest seed of NumPy."""

    def read(value: Any) -> int:
        try:
            number = int(value) if isinstance(value, (str, numbers.Integral)) else None
        except ValueError:
            number = None
        if number is None or isinstance(value, bool) or number < minimum:
            raise ValueError(f"expected an integer >= {minimum}, got {label(value)}")
        if number > maximum:
            raise ValueError(f"expected an integer <= {maximum}, got {label(value)}")
        return number

    return read


def amount(value: Any) -> float:
    """Read a finite number from 0 on."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 <= number < float("inf") or isinstance(value, bool):
        raise ValueError(f"expected a number >= 0, got {label(value)}")
    return int(number) if number.is_integer() else number


def resources(value: Any) -> Any:
    """Read custom resources, a `ray.tune.PlacementGroupFactory`, or a function of the parameters that returns one."""
    if is_factory(value):
        return value
    if callable(value):
        return TrialResources(value)
    try:
        return parse_pairs(value)
    except ValueError as error:
        raise ValueError(f"{error}; a ray.tune.PlacementGroupFactory is allowed as well") from None


_ALGORITHMS = {
    "search": ("a search algorithm", SEARCHES, "ray.tune.search"),
    "scheduler": ("a scheduler", SCHEDULERS, "ray.tune.schedulers"),
}
"""Option -> what it takes, the names, and the module of Ray Tune whose objects are allowed."""


def algorithm(option: str) -> Callable[[Any], Any]:
    """Return a reader of search algorithms or schedulers.

    Args:
        option: "search" or "scheduler".
    """
    what, names, module = _ALGORITHMS[option]
    expected = f"expected {', '.join(names)} or an object from {module}"
    (other, (other_what, other_names, other_module)) = next(item for item in _ALGORITHMS.items() if item[0] != option)

    def read_name(value: Any) -> Named:
        if isinstance(value, str):
            named = parse_named(value)
        elif isinstance(value, (tuple, list)):
            if len(value) != 2 or not isinstance(value[0], str) or not isinstance(value[1], Mapping):
                raise ValueError(f"expected a pair of a name and a dictionary of arguments, got {label(value)}")
            named = Named(value[0], dict(value[1]))
        else:
            named = value
        if named.name in names:
            return named
        if named.name in other_names:
            raise ValueError(f"{named.name} is {other_what}, and this is {what}; give {option_ref(other, named.name)}")
        raise ValueError(f"{expected}, got {label(value)}{did_you_mean(named.name, names)}")

    def read(value: Any) -> Any:
        if isinstance(value, (str, tuple, list, Named)):
            return read_name(value)
        modules = {base.__module__ for base in type(value).__mro__}
        if any(name.startswith(other_module) for name in modules):
            raise ValueError(f"{label(value)} is {other_what}, and this is {what}; give it as {option_ref(other)}")
        if not type(value).__module__.startswith("ray.") and not any(name.startswith("ray.tune.") for name in modules):
            raise ValueError(f"{expected}, got {label(value)}")
        return value

    return read


def stop_condition(value: Any) -> Any:
    """Read the condition that ends a trial: METRIC=NUMBER,…, an expression, a stopper or a function."""
    if isinstance(value, str) and not _PAIRS.fullmatch(value):
        return parse_condition(value)
    if isinstance(value, (str, Mapping)):
        conditions = parse_pairs(value)
        if not conditions:
            raise ValueError(f"expected at least one condition METRIC=NUMBER, got {label(value)}")
        return conditions
    if callable(value):
        return value
    raise ValueError(
        "expected a condition such as accuracy >= 0.99, METRIC=NUMBER, a dictionary, a ray.tune.Stopper or a function"
        " (trial_id, result) -> bool, got"
        f" {label(value)}"
    )


def callbacks(value: Any) -> tuple[Any, ...]:
    """Read callbacks of Ray Tune: one, or a list."""
    given = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    for one in given:
        # By name, so that a check does not import Ray.
        is_object = any(base.__module__ == "ray.tune.callback" for base in type(one).__mro__)
        if isinstance(one, type) or not is_object:
            hint = ": give an object, not the class" if isinstance(one, type) else ""
            raise ValueError(f"expected callbacks, objects of subclasses of ray.tune.Callback, got {label(one)}{hint}")
    return given


def function(value: Any) -> Any:
    """Read a function."""
    if not callable(value):
        raise ValueError(
            f"expected a function that takes one of Ray Tune's trials and returns text, got {label(value)}"
        )
    return value


def points(value: Any) -> tuple[dict[str, Any], ...]:
    """Read points to evaluate first: dictionaries, or the rows of a DataFrame."""
    given = value
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a DataFrame
        value = value.to_dict("records")
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, (list, tuple)) or not all(isinstance(point, Mapping) for point in value):
        raise ValueError(
            "expected a list of dictionaries, parameter -> value, or a DataFrame with one point per row, got"
            f" {label(given)}"
        )
    return tuple(dict(point) for point in value)


def filesystem(value: Any) -> Any:
    """Read a `pyarrow.fs.FileSystem`."""
    # The classes are compared by name, so that a check does not import pyarrow.
    classes = {(base.__module__, base.__name__) for base in type(value).__mro__}
    if ("pyarrow._fs", "FileSystem") in classes:
        return value
    wrapped = "pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(filesystem))"
    if ("fsspec.spec", "AbstractFileSystem") in classes:
        raise ValueError(f"expected a pyarrow.fs.FileSystem, got an fsspec filesystem; wrap it: {wrapped}")
    raise ValueError(
        "expected a pyarrow.fs.FileSystem (S3FileSystem, GcsFileSystem…), or an fsspec filesystem wrapped as"
        f" {wrapped}, got {label(value)}"
    )


def storage(value: Any) -> str:
    """Read a folder or URI."""
    if not isinstance(value, (str, PathLike)) or not str(value):
        raise ValueError(f"expected a folder or URI, got {label(value)}")
    return str(value)


def absolute(storage: str) -> str:
    """Return a folder of this machine as an absolute path, and a URI unchanged."""
    return storage if "://" in storage else str(Path(storage).expanduser().absolute())


def flag(value: Any) -> bool:
    """Read True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"expected True or False, got {label(value)}")
    return value


def yes_no(value: Any) -> bool:
    """Read yes or no, True or False."""
    answers = {"yes": True, "no": False, True: True, False: False}
    if not isinstance(value, (str, bool)) or value not in answers:
        raise ValueError(f"expected yes or no (in Python True or False), got {label(value)}")
    return answers[value]


def workers(value: Any) -> int | tuple[int, int] | TunedWorkers:
    """Read a number of workers, a range (``1-4``) for an elastic run, or the name of a parameter."""
    if isinstance(value, str) and value.partition("/")[0].isidentifier():
        return TunedWorkers(value)
    pair = value.split("-") if isinstance(value, str) else value
    try:
        if isinstance(pair, (list, tuple)) and len(pair) == 2:
            minimum, maximum = map(integer(1, _MAX_WORKERS), pair)
            if minimum <= maximum:
                return minimum, maximum
        return integer(1, _MAX_WORKERS)(pair[0] if isinstance(pair, list) and len(pair) == 1 else pair)
    except ValueError:
        pass
    raise ValueError(
        "expected an integer >= 1, MIN-MAX for an elastic run (in Python a tuple of two), or the name of a parameter,"
        f" got {label(value)}"
    )


def scaling(value: Any) -> Any:
    """Read a `ray.train.ScalingConfig`, or a form that has one."""
    config = getattr(value, "scaling_config", value)
    if not is_scaling_config(config):
        raise ValueError(
            f"expected a ray.train.ScalingConfig, or an object with one as its scaling_config, got {label(value)}"
        )
    if config.num_workers in (0, (0, 0)):
        raise ValueError(
            "num_workers=0 is Ray Train's local mode, which trials cannot use; leave the option out for a trial in one"
            " process"
        )
    return config


def framework(value: Any) -> str:
    """Read the name of a training framework, or another name of it, such as that of a package."""
    if isinstance(value, str) and (why := NO_WORKERS.get(value.strip().lower())):
        raise ValueError(why)
    return one_of(*FRAMEWORKS)(canonical_name(value) if isinstance(value, str) else value)


def backend(value: Any) -> Any:
    """Read a framework's backend: a name, or a configuration of Ray Train's."""
    if isinstance(value, str) and value:
        return value
    if any(base.__name__ == "BackendConfig" for base in type(value).__mro__):
        return value
    raise ValueError(
        f"expected gloo, nccl or a backend configuration such as ray.train.torch.TorchConfig(…), got {label(value)}"
    )


def labels(value: Any) -> Any:
    """Read label selectors: ``region=us-west``, for all workers or for each."""
    if isinstance(value, str):
        return parse_labels(value)
    selectors = [value] if isinstance(value, Mapping) else value
    if not isinstance(selectors, (list, tuple)) or not all(isinstance(selector, Mapping) for selector in selectors):
        raise ValueError(f"expected KEY=VALUE,…, a dictionary, or a list with one for each worker, got {label(value)}")
    return value


def variables(value: Any) -> dict[str, str]:
    """Read environment variables: ``NAME=VALUE,…``, or a dictionary."""
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if not pairs or not all(name.strip() and equals for name, equals, _ in pairs):
            raise ValueError(f"expected NAME=VALUE,…, got {label(value)}")
        if hidden := [name.strip() for name, _, text in pairs if text == HIDDEN]:
            raise ValueError(f"the value of {', '.join(hidden)} was not stored with the cell: write it again")
        return {name.strip(): text for name, _, text in pairs}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value):
        raise ValueError(f"expected NAME=VALUE,… or a dictionary, name -> value, got {label(value)}")
    return {name: str(text) for name, text in value.items()}
