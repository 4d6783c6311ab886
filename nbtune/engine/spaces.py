"""Search spaces as Ray Tune's own objects."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from nbtune.spec.space import MISSING, Domain, Space

__all__ = ["completed", "default_config", "nested", "to_ray"]


def to_ray(space: Space) -> dict[str, Any]:
    """Return the dictionary that ``Tuner(param_space=...)`` takes."""
    return nested({parameter.name: _ray_domain(parameter.domain) for parameter in space.parameters})


def _ray_domain(domain: Any) -> Any:
    from ray import tune

    if not isinstance(domain, Domain):
        return domain
    if domain.kind == "custom":
        return domain.arguments["domain"]
    return getattr(tune, domain.kind)(**domain.arguments)


def default_config(space: Space) -> dict[str, Any]:
    """Return one value for each parameter: its default, or else a sample."""
    domains = {p.name: p.domain for p in space.parameters if isinstance(p.domain, Domain)}
    first = {name: (domain.values or [None])[0] for name, domain in domains.items() if domain.kind == "grid_search"}
    given = {parameter.name: parameter.default for parameter in space.parameters if parameter.default is not MISSING}
    return completed(space, {**first, **given})


def completed(space: Space, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole configuration: what is given, the rest sampled as for a random trial.

    Args:
        space: the parameters.
        given: parameter -> value, nested ones by their joined names, "a/b".
    """
    config: dict[str, Any] = {}
    for parameter in space.parameters:
        domain = parameter.domain
        if parameter.name in given:
            config[parameter.name] = given[parameter.name]
        elif not isinstance(domain, Domain):
            config[parameter.name] = domain
        elif domain.kind == "grid_search":
            config[parameter.name] = random.choice(domain.values or [None])  # noqa: S311 - no secret
        elif domain.kind == "sample_from":
            config[parameter.name] = _ray_domain(domain).sample(config=nested(config))
        else:
            config[parameter.name] = _ray_domain(domain).sample()
    return nested(config)


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``{"a": {"b": 1}}`` for ``{"a/b": 1}``."""
    result: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, last = name.split("/")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return result
