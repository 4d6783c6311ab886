"""Samples and grids of a space."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from nbtune.spec.space.domain import MISSING, Domain, resolve
from nbtune.spec.space.expression import Expression
from nbtune.spec.space.space import Space, nested

__all__ = ["Rejected", "Sampler", "combinations", "completed", "default_config", "ray_domain", "sample_domain"]

_TRIES = 1000  # samples that are thrown away for one that fulfils all constraints


class Rejected:
    """Takes the place of a value that cannot be sampled, in a configuration that must not be tried.

    Args:
        reason: why.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"<rejected: {self.reason}>"


class Sampler:
    """Draws configurations as a random search does.

    Args:
        space: the space.
        seed: makes the same configurations come again, or None.
    """

    def __init__(self, space: Space, seed: int | None = None) -> None:
        self._space, self._order, self._random = space, space.ordered, _random_state(seed)
        self._fixed = {  # made once, for those that are the same for every sample
            parameter.name: ray_domain(parameter.domain)
            for parameter in space.parameters
            if isinstance(parameter.domain, Domain)
            and not parameter.depends
            and parameter.domain.kind not in {"grid_search", "sample_from", "custom"}
        }

    def draw(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a whole configuration: what is given, the rest sampled. Constraints are not looked at.

        Args:
            given: parameter -> value, nested ones by their joined names, "a/b".

        Raises:
            ValueError: a domain cannot be evaluated.
        """
        flat: dict[str, Any] = {}
        for parameter in self._order:
            if given is not None and parameter.name in given:
                flat[parameter.name] = given[parameter.name]
                continue
            if parameter.name in self._fixed:
                flat[parameter.name] = self._fixed[parameter.name].sample(random_state=self._random)
                continue
            config = nested(flat)
            try:
                flat[parameter.name] = sample_domain(resolve(parameter.domain, config), config, self._random)
            except ValueError as error:
                raise ValueError(f"{parameter.name}: {error}") from error
        return nested({name: flat[name] for name in self._space.names})

    def accepted(self, given: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], int]:
        """Return a configuration that fulfils all constraints, and how many were drawn for it.

        Raises:
            ValueError: none of many does, or one cannot be evaluated.
        """
        broken = None
        for drawn in range(1, _TRIES + 1):
            config = self.draw(given)
            broken = self._space.violated(config)
            if broken is None:
                return config, drawn
        raise ValueError(f"{broken} is not fulfilled by any of {_TRIES} samples")


def sample_domain(domain: Any, config: Mapping[str, Any], state: Any = None) -> Any:
    """Return a sample of a domain without dependencies, or the value itself.

    Args:
        domain: a `Domain`, or a value.
        config: the parameters that are sampled, nested, for a ``sample_from``.
        state: the random state, or None for NumPy's own.
    """
    if not isinstance(domain, Domain):
        return domain
    if domain.kind == "grid_search":  # as one of many: a grid takes them all
        return ray_domain(Domain("choice", {"categories": domain.values})).sample(random_state=state)
    if domain.kind == "sample_from":
        return ray_domain(domain).sample(config=config)
    return ray_domain(domain).sample(random_state=state)


def _random_state(seed: int | str | None) -> Any:
    import numpy as np

    return np.random.RandomState(zlib.crc32(str(seed).encode()) if seed is not None else None)


def ray_domain(domain: Any) -> Any:
    """Return a domain without dependencies as Ray Tune's own object, or the value itself."""
    from ray import tune

    if not isinstance(domain, Domain):
        return domain
    if domain.kind == "custom":
        return domain.arguments["domain"]
    return getattr(tune, domain.kind)(**domain.arguments)


def default_config(space: Space) -> dict[str, Any]:
    """Return one value for each parameter: its default, or else a sample; constraints are not looked at.

    Raises:
        ValueError: a domain or default cannot be evaluated.
    """
    sampler = Sampler(space)
    flat: dict[str, Any] = {}
    for parameter in space.parameters:  # a default sees those before it, as where the cell runs without nbtune
        if parameter.default is MISSING:
            continue
        value = parameter.default
        flat[parameter.name] = resolve(value, sampler.draw(flat)) if isinstance(value, Expression) else value
    first = {
        parameter.name: (parameter.domain.values or [None])[0]
        for parameter in space.parameters
        if isinstance(parameter.domain, Domain) and parameter.domain.kind == "grid_search"
    }
    return sampler.draw({**first, **flat})


def completed(space: Space, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole configuration: what is given, the rest sampled so that all constraints are fulfilled.

    Args:
        space: the parameters.
        given: parameter -> value, nested ones by their joined names, "a/b".

    Raises:
        ValueError: with what is given, the constraints cannot be fulfilled.
    """
    return Sampler(space).accepted(given)[0]


def combinations(space: Space, *, all_finite: bool) -> Iterator[dict[str, Any]]:
    """Yield the points of a grid that fulfil all constraints, as far as its parameters decide on them.

    A parameter on a condition has its values in those points only that meet it. What is no grid is left out.

    Args:
        space: the space.
        all_finite: whether every domain of finitely many values is crossed, or `grid_search` only.

    Returns:
        parameter -> value for each point, nested ones by their joined names.

    Raises:
        ValueError: a domain or constraint cannot be evaluated.
    """
    order = space.ordered

    def points(position: int, flat: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if position == len(order):
            if space.violated(nested(flat)) is None:
                yield flat
            return
        parameter = order[position]
        config = nested(flat)
        if not parameter.depends <= set(config):  # on one that is sampled: so is this one
            yield from points(position + 1, flat)
            return
        domain = resolve(parameter.domain, config)
        values = [domain]
        if isinstance(domain, Domain):
            crossed = domain.kind == "grid_search" or (all_finite and domain.values is not None)
            if not crossed:
                yield from points(position + 1, flat)
                return
            values = domain.values or []
        for value in values:
            yield from points(position + 1, {**flat, parameter.name: value})

    yield from points(0, {})
