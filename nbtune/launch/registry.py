"""The registry: the experiments of this session, by their paths.

It holds weak references only. The reading thread of a running experiment keeps that one alive; one that is over stays
as long as a variable or a view refers to it. Any other experiment is opened again from its folder.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from nbtune.results.experiment import Experiment

__all__ = ["lookup", "register", "running_experiments"]

_lock = threading.Lock()  # the cluster panel reads the registry on its own thread
_experiments: WeakValueDictionary[str, Experiment] = WeakValueDictionary()


def register(experiment: Experiment) -> None:
    """Add an experiment; it replaces an earlier one with the same path.

    Args:
        experiment: the experiment.
    """
    with _lock:
        _experiments[experiment.path] = experiment


def lookup(path: str) -> Experiment | None:
    """Return an experiment of this session, or None.

    Args:
        path: the experiment's folder or URI.
    """
    with _lock:
        return _experiments.get(path)


def running_experiments() -> dict[str, Experiment]:
    """Return the experiments that are not over, by their paths."""
    with _lock:
        return {path: experiment for path, experiment in _experiments.items() if not experiment.over}
