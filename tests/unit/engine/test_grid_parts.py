"""nbtune.engine.search.grid_parts: the parts of a grid have its configurations, in the same order."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search.sample import Categorical
from ray.tune.search.variant_generator import generate_variants

from nbtune.engine.search.grid_parts import grid_parts


def grid(number: int) -> dict[str, Any]:
    return {"grid_search": list(range(number))}


def configurations(experiments: list[Any]) -> list[Any]:
    """Return what Tune generates of experiments, with the state of one random generator."""
    import numpy as np

    random_state, found = np.random.RandomState(1), []
    for experiment in experiments:
        for _ in range(experiment.spec["num_samples"]):
            found += [spec["config"] for _, spec in generate_variants(experiment.spec, random_state=random_state)]
    return found


@pytest.mark.parametrize(
    ("config", "samples", "parts"),
    [
        ({"a": 1}, 3, 1),
        ({"a": grid(5), "b": grid(5)}, 3, 1),
        ({"a": grid(60)}, 1, 3),
        ({"a": grid(60)}, 2, 6),
        ({"b": grid(4), "a": grid(10), "x": Categorical([1, 2, 3]).uniform()}, 1, 2),
        ({"b": grid(2), "a": grid(60)}, 1, 2),
        ({"z": {"a": grid(30)}, "c": grid(2), "y": {"constant": 5, "more": {"n": grid(3)}}}, 2, 16),
    ],
)
def test_the_order_is_that_of_the_whole_grid(config: dict[str, Any], samples: int, parts: int) -> None:
    experiment = SimpleNamespace(spec={"run": "train", "config": config, "num_samples": samples})
    before = copy.deepcopy(_grids_of(config))
    found = grid_parts(experiment)
    assert len(found) == parts
    assert configurations(found) == configurations([experiment])
    assert _grids_of(experiment.spec["config"]) == before, "the experiment was changed"


def _grids_of(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if not isinstance(value, Categorical)}
