"""What search algorithms and schedulers were created with: a metric, a mode or a space of their own."""

from __future__ import annotations

from typing import Any

__all__ = [
    "compares_trials",
    "has_own_space",
    "inner_scheduler",
    "own_metric",
    "own_mode",
    "own_points",
    "own_unit",
    "set_own_points",
    "unwrapped",
]

_WRAPPED = ("searcher", "_base_scheduler")
"""The attributes of Ray Tune's wrappers with what they wrap."""


def own_metric(value: Any) -> Any:
    """Return the metric that a search algorithm or scheduler was created with; None without one.

    Args:
        value: the object.
    """
    return getattr(unwrapped(value), "_metric", None)


def own_mode(value: Any) -> Any:
    """Return the mode that a search algorithm or scheduler was created with; None without one.

    Args:
        value: the object.
    """
    return getattr(unwrapped(value), "_mode", None)


def own_unit(value: Any) -> str | None:
    """Return the entry of the results by which a scheduler measures the time; None without one.

    Args:
        value: the object.
    """
    unit = getattr(unwrapped(value), "_time_attr", None)
    return unit if isinstance(unit, str) else None


def inner_scheduler(value: Any) -> Any:
    """Return the scheduler inside of another one, as `ray.tune.schedulers.ResourceChangingScheduler` has it, or None.

    Args:
        value: the object.
    """
    return getattr(value, "_base_scheduler", None)


def has_own_space(value: Any) -> bool:
    """Return whether a search algorithm was created with a space, so that it ignores that of the experiment.

    Args:
        value: the object.
    """
    space = getattr(unwrapped(value), "_space", None)
    return callable(space) or (isinstance(space, (dict, list)) and len(space) > 0)


def compares_trials(value: Any) -> bool:
    """Return whether an object of Ray Tune's own needs a metric. An object of another class may do without.

    Args:
        value: the object.
    """
    kind = type(unwrapped(value))
    needs = hasattr(unwrapped(value), "_metric") and kind.__name__ not in _WITHOUT_METRIC
    return needs and kind.__module__.startswith("ray.tune.")


_WITHOUT_METRIC = {"FIFOScheduler", "BasicVariantGenerator", "PopulationBasedTrainingReplay"}


def unwrapped(value: Any) -> Any:
    """Return a search algorithm or scheduler without Ray Tune's wrappers.

    Args:
        value: the object.
    """
    for name in _WRAPPED:
        while hasattr(value, name):
            value = getattr(value, name)
    return value


def own_points(searcher: Any) -> list[dict[str, Any]] | None:
    """Return the `points_to_evaluate` that a searcher of Ray Tune's was created with.

    Args:
        searcher: the searcher, which has no space yet.
    """
    points: list[dict[str, Any]] | None = getattr(searcher, "_points_to_evaluate", None)
    return points


def set_own_points(searcher: Any, points: list[dict[str, Any]]) -> None:
    """Replace the `points_to_evaluate` of a searcher of Ray Tune's.

    Args:
        searcher: the searcher, which has no space yet.
        points: the points as the searcher's library takes them.
    """
    vars(searcher)["_points_to_evaluate"] = points
