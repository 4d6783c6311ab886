"""The registry: search algorithms and schedulers by name, and by the type of an object of Ray Tune's.

Importing it imports neither Ray nor a library of an algorithm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from nbtune.engine.search.algorithms.ax import Ax
from nbtune.engine.search.algorithms.base import Algorithm
from nbtune.engine.search.algorithms.basic import Grid, Random
from nbtune.engine.search.algorithms.bayesopt import BayesOpt
from nbtune.engine.search.algorithms.bohb import TuneBohb
from nbtune.engine.search.algorithms.hebo import Hebo
from nbtune.engine.search.algorithms.hyperopt import HyperOpt
from nbtune.engine.search.algorithms.nevergrad import Nevergrad
from nbtune.engine.search.algorithms.optuna import Optuna
from nbtune.engine.search.algorithms.zoopt import ZooOpt
from nbtune.engine.search.entry import Entry
from nbtune.engine.search.own_settings import inner_scheduler, unwrapped
from nbtune.engine.search.schedulers.asha import Asha
from nbtune.engine.search.schedulers.base import Scheduler
from nbtune.engine.search.schedulers.fifo import Fifo
from nbtune.engine.search.schedulers.hyperband import Bohb, HyperBand
from nbtune.engine.search.schedulers.median import Median
from nbtune.engine.search.schedulers.pb2 import Pb2
from nbtune.engine.search.schedulers.pbt import Pbt
from nbtune.engine.search.schedulers.pbt_replay import PbtReplay
from nbtune.engine.search.schedulers.resources import Resources
from nbtune.spec.options.named import Named

__all__ = ["ALGORITHMS", "SCHEDULERS", "algorithm_of", "scheduler_of"]

_E = TypeVar("_E", bound=Entry)


def _by_name(entries: Iterable[_E]) -> Mapping[str, _E]:
    return {entry.name: entry for entry in entries}


ALGORITHMS: Mapping[str, Algorithm] = _by_name(
    [Random(), Grid(), Optuna(), BayesOpt(), TuneBohb(), Hebo(), HyperOpt(), Nevergrad(), Ax(), ZooOpt()]
)
"""The search algorithms by name."""

_DECIDING: Mapping[str, Scheduler] = _by_name([Fifo(), Asha(), HyperBand(), Median(), Pbt(), Pb2()])

SCHEDULERS: Mapping[str, Scheduler] = {
    **_DECIDING,
    **_by_name([PbtReplay(), Bohb(), Resources(lambda value: scheduler_of(value), tuple(_DECIDING))]),
}
"""The schedulers by name."""


def algorithm_of(value: Any) -> Algorithm | None:
    """Return the algorithm that a search is; None for an object of a class that is not Ray Tune's.

    Args:
        value: a `Named`, or an object, also in Ray Tune's wrappers.
    """
    return _entry_of(value, ALGORITHMS)


def scheduler_of(value: Any) -> Scheduler | None:
    """Return the scheduler that a value is; None for an object of a class that is not Ray Tune's.

    Args:
        value: a `Named`, or an object, also in Ray Tune's wrappers.
    """
    resources = SCHEDULERS["resources"]
    if inner_scheduler(value) is not None and type(value).__name__ in resources.classes:
        return resources
    return _entry_of(value, SCHEDULERS)


def _entry_of(value: Any, entries: Mapping[str, _E]) -> _E | None:
    if isinstance(value, Named):
        return entries[value.name]
    for base in type(unwrapped(value)).__mro__:
        for entry in entries.values():
            if base.__name__ in entry.classes and base.__module__.startswith("ray.tune."):
                return entry
    return None
