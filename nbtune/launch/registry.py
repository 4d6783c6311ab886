"""The registry: the experiments of this session, by their paths.

It keeps none alive. An experiment that runs is held by its reader, one that is over by whoever still has it in a
variable or on the screen; of any other nothing is left here, and it opens again from its folder.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from nbtune.results.experiment import Experiment

__all__ = ["known", "register", "running"]

_lock = threading.Lock()  # a panel looks through them on its own thread
_known: WeakValueDictionary[str, Experiment] = WeakValueDictionary()


def register(experiment: Experiment) -> None:
    """Take note of an experiment of this session; of two with one path the later counts."""
    with _lock:
        _known[experiment.path] = experiment


def known(path: str) -> Experiment | None:
    """Return the experiment with this path, or None where this session has none or has let go of it."""
    with _lock:
        return _known.get(path)


def running() -> dict[str, Experiment]:
    """Return those that are not over, by their paths."""
    with _lock:
        return {path: experiment for path, experiment in _known.items() if not experiment.over}
