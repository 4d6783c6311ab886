"""Private APIs of Ray Tune's trainables and tuners. Ray is not imported here: whoever has one of them has done that."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "TunerParts",
    "Unwrapped",
    "framework_of_trainer",
    "in_folder",
    "is_trainer",
    "is_tuner",
    "set_trainable_name",
    "tuner_parts",
    "unwrapped",
]

_WRAPPERS = "ray.tune.trainable.util"  # the module of `with_parameters` and `with_resources`
_FUNCTIONS = "ray.tune.trainable.function_trainable"
_TRAINER = ("ray.train.v2.api.data_parallel_trainer", "DataParallelTrainer")  # has no public name
_TRAINERS = re.compile(r"ray\.train\.v2\.(\w+)\.\1_trainer")  # the modules of its subclasses


@dataclass(frozen=True)
class Unwrapped:
    """What `ray.tune.with_parameters` and `ray.tune.with_resources` were given.

    Attributes:
        trainable: the function or class.
        arguments: the parameters: name -> value.
        resources: a `ray.tune.PlacementGroupFactory`, or a function of a configuration that returns one; or None.
    """

    trainable: Any
    arguments: Mapping[str, Any] = field(default_factory=dict)
    resources: Any = None


@dataclass(frozen=True)
class TunerParts:
    """What a `ray.tune.Tuner` was given.

    Attributes:
        trainable: the function, the class, or its registered name.
        space: the search space, or None.
        tune_config: the `ray.tune.TuneConfig`.
        run_config: the `ray.tune.RunConfig`, with a name that Ray has made if there was none.
        verbose: the verbosity; None if there was none.
        is_restored: whether it was restored from a folder.
    """

    trainable: Any
    space: Any
    tune_config: Any
    run_config: Any
    verbose: Any
    is_restored: bool


def is_tuner(value: Any) -> bool:
    """Tell whether a value is a `ray.tune.Tuner`.

    Args:
        value: any value.
    """
    return any((base.__module__, base.__name__) == ("ray.tune.tuner", "Tuner") for base in type(value).__mro__)


def is_trainer(value: Any) -> bool:
    """Tell whether a value is a trainer of Ray Train with workers, such as a `ray.train.torch.TorchTrainer`.

    Args:
        value: any value.
    """
    return any((base.__module__, base.__name__) == _TRAINER for base in type(value).__mro__)


def framework_of_trainer(trainer: Any) -> str | None:
    """Return the name of the framework in the class of a trainer; None if it is for any framework.

    Args:
        trainer: a trainer of Ray Train.
    """
    found = (_TRAINERS.fullmatch(str(base.__module__)) for base in type(trainer).__mro__)
    return next((match[1] for match in found if match), None)


def tuner_parts(tuner: Any) -> TunerParts | None:
    """Return what a tuner was given; None if it was made through Ray Client, where another process has it.

    Args:
        tuner: a `ray.tune.Tuner`. It has no public attributes.
    """
    if tuner._is_ray_client:
        return None
    own = tuner._local_tuner
    run_config = own._run_config
    return TunerParts(
        own.trainable, own.param_space, own._tune_config, run_config, run_config._verbose, own._is_restored
    )


def unwrapped(trainable: Any) -> Unwrapped:
    """Return a function or class without Ray Tune's wrappers, and what these add.

    The parameters are in Ray's object store, and are lost with the process that has put them there.

    Args:
        trainable: a function or class.

    Raises:
        Exception: a parameter is lost.
    """
    arguments: dict[str, Any] = {}
    resources = None
    while True:
        if resources is None:
            resources = getattr(trainable, "_resources", None)  # of a function; that of a class is in its closure
        inner = _wrapped(trainable)
        if inner is None:
            return Unwrapped(trainable, arguments, resources)
        kind, cells = inner
        if kind == "parameters":
            registry, prefix = cells["parameter_registry"], cells["prefix"]
            arguments |= {key: registry.get(prefix + key) for key in sorted(cells["keys"])}
        if kind == "resources" and resources is None:
            resources = cells.get("pgf")
        if isinstance(trainable, type) and kind != "function":
            trainable = trainable.__bases__[0]
        else:
            trainable = cells.get("trainable", cells.get("train_func"))


def _wrapped(trainable: Any) -> tuple[str, dict[str, Any]] | None:
    """Return what a wrapper adds, and the variables of its code; None for a trainable without a wrapper."""
    if isinstance(trainable, type):
        place = trainable.__module__, trainable.__qualname__.rpartition(".")[0]
        if place == (_WRAPPERS, "with_parameters.<locals>"):
            return "parameters", _cells(vars(trainable)["setup"])
        if place == (_WRAPPERS, "with_resources.<locals>"):
            return "resources", _cells(vars(trainable)["default_resource_request"].__func__)
        if place == (_FUNCTIONS, "wrap_function.<locals>"):
            return "function", _cells(vars(trainable)["_trainable_func"])
        return None
    code = getattr(trainable, "__code__", None)
    name = getattr(trainable, "__module__", None), getattr(code, "co_qualname", "")
    if name == (_WRAPPERS, "with_parameters.<locals>.inner"):
        return "parameters", _cells(trainable)
    if name == (_WRAPPERS, "with_resources.<locals>._trainable"):
        return "resources", _cells(trainable)
    return None


def _cells(function: Any) -> dict[str, Any]:
    """Return the variables of the surrounding function that a function uses."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells}


def in_folder(hosted: Any, users: type, folder: Callable[[], str]) -> Any:
    """Give the objects of a class another folder for their files than Tune's. There is no public way.

    Args:
        hosted: the class, a subclass of the user's.
        users: the user's class, whose name the other one gets.
        folder: returns the folder of the present trial.
    """

    def _setup_logdir(self: Any) -> None:
        self._logdir = folder()
        os.makedirs(self._logdir, exist_ok=True)

    hosted._setup_logdir = _setup_logdir
    hosted.__name__, hosted.__qualname__ = users.__name__, users.__qualname__
    hosted.__module__, hosted.__doc__ = users.__module__, users.__doc__
    return hosted


def set_trainable_name(trainable: Any, name: str) -> None:
    """Set what Tune calls a trainable, which is part of the names of its trials.

    Args:
        trainable: the class.
        name: the name.
    """
    trainable._name = name
