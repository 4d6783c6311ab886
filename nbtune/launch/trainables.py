"""What may be given to train: functions and class Trainables, wrapped or not, and how Ray Tune runs them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.errors import Problem, option_ref
from nbtune.spec.cell.entry import Entry
from nbtune.spec.options.options import Spec
from nbtune.spec.plan.shape import is_factory, to_shape
from nbtune.spec.space.values import label

__all__ = [
    "Trained",
    "class_problems",
    "is_trainable_class",
    "methods_of",
    "namespace_of",
    "not_trainable",
    "read_trained",
    "with_own_resources",
]

_OF_CLASSES = ("checkpoint_frequency", "checkpoint_at_end")


@dataclass(frozen=True)
class Trained:
    """What is trained.

    Attributes:
        trainable: the function or class, without Ray Tune's wrappers.
        entry: how Ray Tune runs it.
        arguments: what ``tune.with_parameters`` gives to it.
        options: the options that it sets: its resources.
    """

    trainable: Any
    entry: Entry
    arguments: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def is_trainable_class(value: Any) -> bool:
    """Tell whether a value is a subclass of `ray.tune.Trainable`, without importing Ray.

    Args:
        value: any value.
    """
    return inspect.isclass(value) and any(
        (base.__module__, base.__name__) == ("ray.tune.trainable.trainable", "Trainable") for base in value.__mro__[1:]
    )


def read_trained(given: Any, *, of_tuner: bool, problems: list[Problem]) -> Trained:
    """Return what is trained.

    Args:
        given: a function or a class Trainable, which may be wrapped.
        of_tuner: whether a `ray.tune.Tuner` has it, so that everything is as it is there.
        problems: receives a problem if the wrapper's values are lost.
    """
    from nbtune.engine._ray.trainable import Unwrapped, unwrapped

    try:
        inner = unwrapped(given)
    except Exception as error:  # of Ray: the cluster that has the values has ended
        text = (
            f"the values that tune.with_parameters has put into the object store are lost ({type(error).__name__}:"
            f" {error}); call tune.with_parameters again"
        )
        problems.append(Problem(text, code="unpicklable"))
        inner = Unwrapped(given)
    trainable, resources = inner.trainable, inner.resources
    is_class = is_trainable_class(trainable)
    if is_class and resources is None and _own(trainable, "default_resource_request"):
        resources = trainable.default_resource_request
    name = getattr(trainable, "__name__", "") or getattr(getattr(trainable, "func", None), "__name__", "")
    entry = Entry(
        "lambda" if name == "<lambda>" else name or type(trainable).__name__,
        is_class=is_class,
        saves=is_class and _own(trainable, "save_checkpoint"),
        ends_at_done=of_tuner or is_class,
    )
    return Trained(trainable, entry, inner.arguments, {} if resources is None else _as_options(resources))


def _as_options(resources: Any) -> dict[str, Any]:
    """Return what `tune.with_resources` was given as options; a single bundle as the amounts that it holds."""
    if is_factory(resources) and len(resources.bundles) == 1 and not to_shape(resources).notes:
        amounts = dict(to_shape(resources).bundles[0]) if to_shape(resources).bundles[0] else {}
        known = {"cpus": amounts.pop("CPU", 0), "gpus": amounts.pop("GPU", 0), "memory": amounts.pop("memory", None)}
        return {name: amount for name, amount in {**known, "resources": amounts or None}.items() if amount is not None}
    return {"resources": resources}


def _own(trainable: type, method: str) -> bool:
    """Tell whether a class has a method of its own, or inherits it from another class than Ray's base."""
    for base in trainable.__mro__:
        if method in vars(base):
            return (base.__module__, base.__name__) != ("ray.tune.trainable.trainable", "Trainable")
    return False


def with_own_resources(options: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with the resources that a trainable asks for, unless the options have some.

    Args:
        options: option -> value, as they were given.
        own: the options that the trainable sets.
    """
    if any(options.get(name) is not None for name in ("cpus", "gpus", "memory", "resources", "workers", "scaling")):
        return dict(options)
    return {**options, **own}


def methods_of(trainable: Any) -> list[Callable[..., Any]]:
    """Return the functions of a trainable: those in the body of a class, or the function itself.

    Args:
        trainable: a function or class.
    """
    if not inspect.isclass(trainable):
        return [trainable]
    members = (getattr(member, "__func__", member) for member in vars(trainable).values())
    return [member for member in members if inspect.isfunction(member)]


def namespace_of(trainable: Any) -> Mapping[str, Any]:
    """Return the global variables of a function or class; none if it has no code of Python.

    Args:
        trainable: the function or class.
    """
    methods = methods_of(trainable)
    return getattr(inspect.unwrap(methods[0]), "__globals__", {}) if methods else {}


def class_problems(trained: Trained, spec: Spec) -> list[Problem]:
    """Return what a class Trainable lacks for the options, and which options it does not have.

    Args:
        trained: what is trained.
        spec: the options.
    """
    entry = trained.entry
    problems: list[Problem] = []
    given = [option for option in _OF_CLASSES if getattr(spec, option)]
    if not entry.is_class:
        text = "only for a class; a function reports its checkpoints, with report(…, checkpoint=…)"
        return [Problem(text, code="conflict", option=option) for option in given]
    if not _own(trained.trainable, "step") and not _own(trained.trainable, "train"):
        text = f"{entry.name} has no method step, which trains for one iteration and returns metrics"
        problems.append(Problem(text, code="missing"))
    if not entry.saves:
        text = f"{entry.name} has no method save_checkpoint"
        problems += [Problem(text, code="missing", option=option) for option in given]
    elif not _own(trained.trainable, "load_checkpoint"):
        text = f"{entry.name} has a method save_checkpoint, but none to load a checkpoint: write load_checkpoint"
        problems.append(Problem(text, code="missing"))
    if spec.worker_group is not None:
        option = "workers" if spec.workers is not None else "scaling"
        text = (
            f"not for a class: {entry.name} runs in one process. Give a function, which each worker calls, or leave"
            f" {option_ref(option)} out"
        )
        problems.append(Problem(text, code="conflict", option=option))
    return problems


def not_trainable(given: Any) -> Problem:
    """Return the problem of a value that cannot be trained.

    Args:
        given: the value.
    """
    if inspect.isclass(given):
        return Problem(
            f"expected a training function, or a subclass of ray.tune.Trainable, got the class {given.__qualname__}"
        )
    return Problem(f"expected a training function that takes the parameters, got {label(given)}")
