"""The resources of a trial that depend on its parameters: the largest ones, for the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nbtune.errors import Problem
from nbtune.spec.options.options import Spec
from nbtune.spec.plan.shape import TrialResources, format_resources, is_factory, to_shape
from nbtune.spec.space.space import Space
from nbtune.spec.space.values import label

__all__ = ["with_largest_resources"]

_SAMPLES = 16


def with_largest_resources(spec: Spec, space: Space, problems: list[Problem]) -> tuple[Spec, list[str]]:
    """Return the options with the largest resources of some sampled trials, and notes on them.

    Args:
        spec: the options.
        space: the parameters.
        problems: receives what the function raises, or that it returns something else.
    """
    resources = spec.resources
    if not isinstance(resources, TrialResources):
        return spec, []
    from nbtune.engine.search.sampling import Sampler

    sampler, found = Sampler(space, 0), []
    for _ in range(_SAMPLES):
        try:
            config = sampler.draw_valid()[0]
        except ValueError:  # reported with the space
            return spec, []
        try:
            found.append(_as_factory(resources.function(config)))
        except Exception as error:  # of the user's function
            text = f"its function raises, for {label(config)}: {type(error).__name__}: {error}"
            problems.append(Problem(text, option="resources"))
            return spec, []
    largest = max(found, key=lambda one: (one.required_resources.get("GPU", 0), one.required_resources.get("CPU", 0)))
    shape = to_shape(largest)
    notes = []
    if any(one != largest for one in found):
        shown = format_resources(shape.total)
        notes.append(f"the resources of a trial depend on its parameters; the plan is for trials with {shown}")
    return replace(spec, resources=replace(resources, bundles=shape.bundles, strategy=shape.strategy)), notes


def _as_factory(value: Any) -> Any:
    from ray.tune.execution.placement_groups import resource_dict_to_pg_factory

    if is_factory(value):
        return value
    if value is None or isinstance(value, dict):
        return resource_dict_to_pg_factory(value)
    raise TypeError(f"expected a PlacementGroupFactory, a dictionary or None, got {label(value)}")
