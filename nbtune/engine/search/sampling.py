"""Random samples and grids of a search space."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from nbtune.spec.space.domain import MISSING, Domain, inner_domains, resolve
from nbtune.spec.space.expression import Expression
from nbtune.spec.space.from_ray import with_domains
from nbtune.spec.space.space import Space, nested

__all__ = [
    "Rejected",
    "SampleError",
    "Sampler",
    "complete_config",
    "default_config",
    "grid_points",
    "ray_domain",
    "sample_domain",
    "sample_inner",
]

_MAX_ATTEMPTS = 1000  # samples until one satisfies all constraints


class SampleError(ValueError):
    """A parameter cannot be sampled.

    Args:
        parameter: its name.
        reason: why, without the name.
    """

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(parameter, reason)
        self.parameter, self.reason = parameter, reason

    def __str__(self) -> str:
        return f"{self.parameter}: {self.reason}"


class Rejected:
    """Replaces a value that cannot be sampled. A configuration that contains it is rejected.

    Args:
        reason: why the value cannot be sampled.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"<rejected: {self.reason}>"


class Sampler:
    """Draws random configurations, as a random search does.

    Args:
        space: the search space.
        seed: the random seed, a number or text, or None.
    """

    def __init__(self, space: Space, seed: int | str | None = None) -> None:
        self._space, self._parameters, self._random_state = space, space.ordered, _random_state(seed)
        self._ray_domains = {  # cached for domains that do not depend on other parameters
            parameter.name: ray_domain(parameter.domain)
            for parameter in space.parameters
            if isinstance(parameter.domain, Domain)
            and not parameter.depends
            and parameter.domain.kind not in {"grid_search", "sample_from", "custom"}
            and len(list(inner_domains(parameter.domain))) == 1
        }

    def draw(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a random configuration. Constraints are ignored.

        Args:
            given: parameter -> value, for parameters that are not sampled; nested parameters have joined names, "a/b".

        Raises:
            ValueError: a domain cannot be evaluated.
        """
        flat: dict[str, Any] = {}
        for parameter in self._parameters:
            if given is not None and parameter.name in given:
                flat[parameter.name] = given[parameter.name]
                continue
            if parameter.name in self._ray_domains:
                flat[parameter.name] = self._ray_domains[parameter.name].sample(random_state=self._random_state)
                continue
            config = nested(flat)
            try:
                flat[parameter.name] = sample_domain(resolve(parameter.domain, config), config, self._random_state)
            except SampleError:
                raise
            except ValueError as error:
                raise SampleError(parameter.name, str(error)) from error
        return nested({name: flat[name] for name in self._space.names})

    def draw_valid(self, given: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], int]:
        """Return a random configuration that satisfies all constraints, and how many were drawn for it.

        Args:
            given: as for `draw`.

        Raises:
            ValueError: no configuration was found, or a domain or constraint cannot be evaluated.
        """
        violated = None
        for drawn in range(1, _MAX_ATTEMPTS + 1):
            config = self.draw(given)
            violated = self._space.violated(config)
            if violated is None:
                return config, drawn
        raise ValueError(f"none of {_MAX_ATTEMPTS} samples satisfies {violated}")


def sample_domain(domain: Any, config: Mapping[str, Any], random_state: Any = None) -> Any:
    """Return a sample of a domain that does not depend on other parameters; a value is returned as it is.

    Args:
        domain: a `Domain`, or a value.
        config: the parameters sampled so far, nested, for a ``sample_from``.
        random_state: the random state, or None for NumPy's global one.
    """
    if not isinstance(domain, Domain):
        return domain
    if domain.kind == "grid_search":  # a single sample; a grid search uses all values
        domain = Domain("choice", {"categories": domain.values})
    if domain.kind == "sample_from":
        return sample_inner(with_domains(_call(domain, config)), config, random_state)
    return sample_inner(ray_domain(domain).sample(random_state=random_state), config, random_state)


def sample_inner(value: Any, config: Mapping[str, Any], random_state: Any = None) -> Any:
    """Return a value with a sample in place of each domain inside it, as Ray Tune's random search does.

    Args:
        value: a value of a choice or grid, such as ``uniform(0.05, 0.4)`` or ``{"name": "sgd", "lr": uniform(0, 1)}``.
        config: as for `sample_domain`.
        random_state: as for `sample_domain`.
    """
    if isinstance(value, Domain):
        return sample_domain(value, config, random_state)
    if next(inner_domains(value), None) is None:
        return value
    if isinstance(value, dict):
        return {key: sample_inner(item, config, random_state) for key, item in value.items()}
    return type(value)(sample_inner(item, config, random_state) for item in value)


def _call(domain: Domain, config: Mapping[str, Any]) -> Any:
    """Return what the function of a ``sample_from`` returns.

    Raises:
        ValueError: it raises an exception, which is the cause.
    """
    try:
        return ray_domain(domain).sample(config=config)
    except Exception as error:
        # Ray Tune calls it a second time with a specification in place of the configuration: `spec.config.lr`.
        first = error.__context__
        cause = first if isinstance(first, (AttributeError, KeyError)) and "'config'" not in str(first) else error
        text = str(cause).replace("'_UnresolvedAccessGuard' object", "the configuration")
        raise ValueError(f"{domain!r} raises {type(cause).__name__}: {text}") from cause


def _random_state(seed: int | str | None) -> Any:
    import numpy as np

    return np.random.RandomState(zlib.crc32(str(seed).encode()) if seed is not None else None)


def ray_domain(domain: Any) -> Any:
    """Convert a domain that does not depend on other parameters to Ray Tune's object; return a value as it is.

    Args:
        domain: a `Domain`, or a value.
    """
    from ray import tune

    if not isinstance(domain, Domain):
        return domain
    if domain.kind == "custom":
        return domain.arguments["domain"]
    return getattr(tune, domain.kind)(**domain.arguments)


def default_config(space: Space) -> dict[str, Any]:
    """Return a configuration of default values, with samples for parameters without default. Constraints are ignored.

    Args:
        space: the search space.

    Raises:
        ValueError: a domain or default cannot be evaluated.
    """
    sampler = Sampler(space)
    flat: dict[str, Any] = {}
    for (
        parameter
    ) in space.parameters:  # a default may use the parameters above it, as in a cell that runs without nbtune
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


def complete_config(space: Space, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the given values and samples for the others, which satisfies all constraints.

    Args:
        space: the search space.
        given: parameter -> value; nested parameters have joined names, "a/b".

    Raises:
        ValueError: no configuration with the given values satisfies the constraints.
    """
    return Sampler(space).draw_valid(given)[0]


def grid_points(space: Space, *, all_finite: bool) -> Iterator[dict[str, Any]]:
    """Yield the points of a grid that satisfy all constraints, as far as the parameters of the grid determine them.

    A parameter with a condition is part of the points that meet the condition only. Parameters that are sampled are
    not part of the points.

    Args:
        space: the search space.
        all_finite: whether the grid includes all domains with a finite number of values, or `grid_search` only.

    Yields:
        parameter -> value; nested parameters have joined names, "a/b".

    Raises:
        ValueError: a domain or constraint cannot be evaluated.
    """
    parameters = space.ordered

    def points(position: int, flat: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if position == len(parameters):
            if space.violated(nested(flat)) is None:
                yield flat
            return
        parameter = parameters[position]
        config = nested(flat)
        if not parameter.depends <= set(config):  # it depends on a sampled parameter, so it is sampled, too
            yield from points(position + 1, flat)
            return
        domain = resolve(parameter.domain, config)
        values = [domain]
        if isinstance(domain, Domain):
            in_grid = domain.kind == "grid_search" or (all_finite and domain.values is not None)
            if not in_grid:
                yield from points(position + 1, flat)
                return
            values = domain.values or []
        for value in values:
            yield from points(position + 1, {**flat, parameter.name: value})

    yield from points(0, {})
