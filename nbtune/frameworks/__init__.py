"""Training frameworks: one small module for each.

The option `framework` names a module of this package. The module imports its framework only inside functions, and
defines:

    WORKER_IMPORTS
        Modules that each worker imports as soon as its process has started.

    config(backend) -> ray.train.backend.BackendConfig
        Return how Ray Train lets the workers communicate, for the option `backend`: a name, a configuration object of
        Ray Train, or None. Raise ValueError for an invalid backend. It is also called before an experiment starts.

It may define:

    environment(resources) -> dict[str, str]
        Return the environment variables that the process of a worker with these resources needs before it imports
        anything. Those of the user come first.

    reset() -> bool
        Called in the process of a worker that has finished a trial without an error. Clear what the framework keeps
        of the run, and return whether the process can train another trial: if not, the next one gets new processes.
        Without it, the framework keeps nothing.

`nbtune.engine.train.distributed` implements the rest: scaling, storage, checkpoints, reports and failures. All other
public names of a module are for training code, as ``nbtune.NAME``. A framework whose code runs in the workers of
another framework, as Lightning's runs in those of PyTorch, has only these.

`nbtune.spec.plan.frameworks` has the names, and how the code of each framework is recognized.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, TypeVar

__all__ = ["check_interval", "environment_of", "framework_of", "own_config", "reset"]


_Config = TypeVar("_Config")


def framework_of(name: str) -> Any:
    """Return the module of a framework.

    Args:
        name: the name of the module in this package.
    """
    return importlib.import_module(f"nbtune.frameworks.{name}")


def environment_of(name: str, resources: Mapping[str, float]) -> dict[str, str]:
    """Return the environment variables that the process of a worker needs before it imports anything.

    Args:
        name: the name of the framework.
        resources: those of the worker.
    """
    environment = getattr(framework_of(name), "environment", None)
    return {} if environment is None else dict(environment(resources))


def reset(name: str) -> bool:
    """Clear what a framework keeps of a run in this process; return whether it can train another trial.

    Args:
        name: the name of the framework.
    """
    own = getattr(framework_of(name), "reset", None)
    return own is None or bool(own())


def own_config(backend: Any, kind: type[_Config], name: str) -> _Config:
    """Return the configuration of a framework whose workers communicate in one way only.

    Args:
        backend: the option `backend`: a configuration of this framework, or None.
        kind: the class of its configurations.
        name: how users write that class.

    Raises:
        ValueError: the backend is something else.
    """
    if backend is None:
        return kind()
    if isinstance(backend, kind):
        return backend
    raise ValueError(f"expected a {name}, got {backend!r}; leave the option out for the default")


def check_interval(checkpoint_every: Any) -> None:
    """Refuse what is no number of epochs between two reported checkpoints.

    Args:
        checkpoint_every: the argument of this name of a function for training code.

    Raises:
        ValueError: it is not an integer >= 0.
    """
    if not isinstance(checkpoint_every, int) or checkpoint_every < 0:
        raise ValueError(
            f"checkpoint_every: expected a number of epochs >= 0 (0 for no checkpoints), got {checkpoint_every!r}"
        )
