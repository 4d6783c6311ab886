"""The option `repeat`: how often each configuration is trained. Ray Tune's `Repeater` means the same."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from nbtune.errors import Problem, option_ref
from nbtune.spec.space.values import label

__all__ = ["combine_repeat", "mean_of", "repeats_of"]


def combine_repeat(values: dict[str, Any], given: Collection[str]) -> list[Problem]:
    """Replace a `Repeater` among the values of options by the option `repeat`, and return its problems.

    A `ConcurrencyLimiter` around it counts trials, which is what the option `max_concurrent` does. One inside of it
    counts configurations, and stays.

    Args:
        values: option -> value, those that could be read. It is changed.
        given: the names of the options that were given, also those that could not be read.
    """
    search: Any = values.get("search")
    if repeats_of(search) is None:
        return []
    problems: list[Problem] = []
    repeat = 1
    while repeats_of(search) is not None:
        if _is_of_tune(search, "Repeater"):
            number = search.repeat
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                text = f"the repeat of the Repeater: expected an integer >= 1, got {label(number)}"
                return [Problem(text, option="search")]
            repeat *= number
        elif _is_of_tune(search, "ConcurrencyLimiter") and not search.batch:
            values["max_concurrent"] = min(search.max_concurrent, values.get("max_concurrent") or search.max_concurrent)
        else:
            kind = type(search).__name__ + ("(…, batch=True)" if _is_of_tune(search, "ConcurrencyLimiter") else "")
            text = f"{kind} around a Repeater is not supported; put it inside, around the search algorithm itself"
            return [Problem(text, code="unsupported", option="search")]
        search = search.searcher
    if "repeat" in given:
        text = f"the Repeater given as {option_ref('search')} repeats each configuration as well; leave one of them out"
        problems.append(Problem(text, code="conflict", option="repeat"))
    values.update(search=search, repeat=repeat)
    return problems


def repeats_of(search: Any) -> int | None:
    """Return how often a `Repeater` of Ray Tune's, which may be in wrappers, repeats each configuration.

    Args:
        search: a search algorithm.

    Returns:
        The number; None without a `Repeater`.
    """
    found: int | None = None
    while search is not None:
        if _is_of_tune(search, "Repeater"):
            found = (found or 1) * (search.repeat if isinstance(search.repeat, int) else 1)
        search = getattr(search, "searcher", None)
    return found


def mean_of(values: Sequence[float]) -> float:
    """Return the mean of the results of a configuration's trials.

    Args:
        values: one of each trial, at least one. Their sum may be above all numbers.
    """
    return values[0] if len(values) == 1 else math.fsum(value / len(values) for value in values)


def _is_of_tune(value: Any, name: str) -> bool:
    """Tell whether an object is of a class of Ray Tune's, which is not imported here."""
    return any(base.__name__ == name and base.__module__.startswith("ray.tune.") for base in type(value).__mro__)
