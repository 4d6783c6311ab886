"""Training frameworks: one small module for each.

The option `framework` names a module of this package. The module imports its framework only inside functions, so that
the process that starts the workers does not wait for it, and defines:

    WORKER_IMPORTS
        Modules that each worker imports as soon as its process has started.

    trainer() -> type
        Return the framework's trainer class in Ray Train, a subclass of `DataParallelTrainer`.

    arguments(backend) -> dict
        Return the arguments of its constructor for the option `backend`: a name, a configuration object of Ray
        Train, or None. Raise ValueError for an invalid backend. It is also called before an experiment starts.

`nbtune.engine.train.distributed` implements the rest: scaling, storage, checkpoints, reports and failures. All other
public names of a module are for training code, as ``nbtune.NAME``. A framework whose code runs in the workers of
another framework, as Lightning's runs in those of PyTorch, has only these.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["framework_of"]


def framework_of(name: str) -> Any:
    """Return the module of a framework.

    Args:
        name: the name of the module in this package.
    """
    return importlib.import_module(f"nbtune.frameworks.{name}")
