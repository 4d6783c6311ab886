"""Splits a large grid into parts that Tune generates one after the other.

Tune generates all configurations of a grid before the first trial, keeps them, and stores those that are left with each
snapshot. For each of them it copies the whole grid twice, so that a grid of 10,000 values takes minutes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

__all__ = ["grid_parts"]

_PART = 25  # configurations of a part, unless one value of the parameter that changes last has more

Path = tuple[str, ...]


def grid_parts(experiment: Any) -> list[Any]:
    """Return experiments whose grids together are that of an experiment, in the same order.

    Args:
        experiment: a `ray.tune.Experiment`.

    Returns:
        The experiments; the given one alone if its grid is small.
    """
    grids = dict(_grids(experiment.spec["config"]))
    if prod(map(len, grids.values())) <= _PART:
        return [experiment]
    last = max(grids)  # Tune sorts the parameters by name, and changes the first one with each trial
    size = max(1, _PART * len(grids[last]) // prod(map(len, grids.values())))
    values = grids[last]
    parts = []
    for _ in range(experiment.spec.get("num_samples", 1)):
        for begin in range(0, len(values), size):
            part = copy.copy(experiment)
            config = _replaced(experiment.spec["config"], last, {"grid_search": values[begin : begin + size]})
            part.spec = {**experiment.spec, "config": config, "num_samples": 1}
            parts.append(part)
    return parts


def _grids(config: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, list[Any]]]:
    """Yield the parameters with a grid, as far as dictionaries lead to them."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            if value.keys() == {"grid_search"}:
                yield (*path, name), value["grid_search"]
            else:
                yield from _grids(value, (*path, name))


def _replaced(config: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    name, *rest = path
    return {**config, name: _replaced(config[name], tuple(rest), value) if rest else value}
