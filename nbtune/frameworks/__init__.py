"""Training frameworks: one small module for each.

The contract. The option `framework` names a module of this package, which imports its framework inside of its
functions only, and has two:

    trainer() -> type
        the class of Ray Train's trainer for it, a `DataParallelTrainer`

    arguments(backend) -> dict
        what its constructor takes for the option `backend`, which is a name, a configuration of Ray Train's, or None;
        raises ValueError where that is none of this framework's. It is called before anything starts, too.

`nbtune.engine.train.distributed` does the rest: scaling, storage, checkpoints, reports, faults. What else a module has
is for training code, and public as `nbtune.NAME`. A framework whose code runs in the workers of another one, as
Lightning's does in those of PyTorch, has only that.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["framework_of"]


def framework_of(name: str) -> Any:
    """Return the module of a framework."""
    return importlib.import_module(f"nbtune.frameworks.{name}")
