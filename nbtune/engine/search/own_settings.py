"""What search algorithms and schedulers were created with: a metric, a mode or a space of their own."""

from __future__ import annotations

from typing import Any

__all__ = ["compares_trials", "has_own_space", "own_metric", "own_mode"]

_WRAPPED = ("searcher", "_base_scheduler")
"""The attributes of Ray Tune's wrappers with what they wrap."""


def own_metric(value: Any) -> Any:
    """Return the metric that a search algorithm or scheduler was created with; None without one.

    Args:
        value: the object.
    """
    return getattr(_unwrapped(value), "_metric", None)


def own_mode(value: Any) -> Any:
    """Return the mode that a search algorithm or scheduler was created with; None without one.

    Args:
        value: the object.
    """
    return getattr(_unwrapped(value), "_mode", None)


def has_own_space(value: Any) -> bool:
    """Return whether a search algorithm was created with a space, so that it ignores that of the experiment.

    Args:
        value: the object.
    """
    space = getattr(_unwrapped(value), "_space", None)
    return callable(space) or (isinstance(space, (dict, list)) and len(space) > 0)


def compares_trials(value: Any) -> bool:
    """Return whether an object of Ray Tune's own needs a metric. An object of another class may do without.

    Args:
        value: the object.
    """
    kind = type(_unwrapped(value))
    needs = hasattr(_unwrapped(value), "_metric") and kind.__name__ not in _WITHOUT_METRIC
    return needs and kind.__module__.startswith("ray.tune.")


_WITHOUT_METRIC = {"FIFOScheduler", "BasicVariantGenerator", "PopulationBasedTrainingReplay"}


def _unwrapped(value: Any) -> Any:
    for name in _WRAPPED:
        while hasattr(value, name):
            value = getattr(value, name)
    return value
