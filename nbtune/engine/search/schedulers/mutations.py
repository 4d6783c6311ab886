"""The parameters that population based training changes: from the domains of the space, and back onto them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nbtune.engine.search.sampling import ray_domain, sample_domain, sample_inner
from nbtune.errors import Problem, did_you_mean
from nbtune.spec.space.domain import Domain
from nbtune.spec.space.space import Parameter, Space, nested, top_level
from nbtune.spec.space.values import is_number, label, same

__all__ = ["Explorer", "Mutations", "on_domain"]

_FEW = 16  # a range of up to this many integers is a list of values for population based training
_ROUNDING = 1e-9  # 0.3 / 0.1 is less than 3
_TRIES = 1000  # samples until one satisfies all constraints


class Mutations:
    """Which parameters are changed.

    Args:
        space: the search space.
        given: the names of the parameters that the user has chosen; None for all that can be changed.
        only_continuous: whether only floating-point numbers between bounds can be.
    """

    def __init__(self, space: Space, given: tuple[str, ...] | None, *, only_continuous: bool = False) -> None:
        self._space, self._given, self._only_continuous = space, given, only_continuous
        self._reasons = {parameter.name: self._reason(parameter) for parameter in space.parameters}
        names = space.names if given is None else given
        self.domains: dict[str, Domain] = {
            name: space[name].domain for name in names if self._reasons.get(name, "unknown") is None
        }

    def _reason(self, parameter: Parameter) -> str | None:
        """Return why a parameter cannot be changed, or None."""
        domain = parameter.domain
        if parameter.depends:
            return "depends on other parameters"
        if not isinstance(domain, Domain):
            return "is a constant"
        if any(top_level(parameter.name) in other.depends for other in self._space.parameters):
            return "is one that other parameters depend on"
        if domain.kind in {"sample_from", "custom"}:
            return f"has a domain that cannot be read, {domain!r}"
        if self._only_continuous and domain.kind not in {"uniform", "quniform", "loguniform", "qloguniform"}:
            return "is no floating-point number between bounds"
        return None

    def problems(self, scheduler: str) -> Iterator[Problem]:
        """Yield what is wrong with the user's choice.

        Args:
            scheduler: the name of the scheduler.
        """
        for name in self._given or ():
            if name not in self._reasons:
                hint = did_you_mean(name, self._reasons)
                text = f"{name!r} is no parameter{hint}; the parameters are {', '.join(self._reasons)}"
                yield Problem(text, code="unknown", option="mutate")
            elif (reason := self._reasons[name]) is not None:
                yield Problem(f"{scheduler} cannot change {name}, which {reason}", code="unsupported", option="mutate")
        if self._given is None and not self.domains:
            why = "; ".join(f"{name} {reason}" for name, reason in self._reasons.items())
            yield Problem(f"{scheduler} finds no parameter that it can change: {why}", option="scheduler")

    def notes(self, scheduler: str) -> Iterator[str]:
        """Yield which parameters are not changed although they vary, if the user has not chosen them.

        Args:
            scheduler: the name of the scheduler.
        """
        kept = {name: reason for name, reason in self._reasons.items() if reason and reason != "is a constant"}
        if self._given is None and kept:
            why = ", ".join(f"{name}, which {reason}" for name, reason in kept.items())
            yield f"{scheduler} changes {', '.join(self.domains)} of a running trial, and not {why}"
        if self._only_continuous and (logs := [name for name, one in self.domains.items() if "log" in one.kind]):
            yield f"{scheduler} models {', '.join(logs)} on a linear scale"

    def distributions(self) -> dict[str, Any]:
        """Return the parameters as ``hyperparam_mutations`` of `ray.tune.schedulers.PopulationBasedTraining`."""
        return nested({name: _distribution(domain) for name, domain in self.domains.items()})

    def bounds(self) -> dict[str, Any]:
        """Return the parameters as ``hyperparam_bounds`` of `ray.tune.schedulers.pb2.PB2`."""
        numbers = {name: domain.arguments for name, domain in self.domains.items()}
        return nested({name: [float(one["lower"]), float(one["upper"])] for name, one in numbers.items()})

    def explorer(self, own: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> Explorer:
        """Return what Ray Tune calls with the changed parameters of a copy.

        Args:
            own: a function of the user's that is called before.
        """
        return Explorer(self._space, self.domains, own)


class Explorer:
    """Puts the changed parameters of a copy back onto their domains: bounds, steps, types, values, constraints.

    Args:
        space: the search space.
        domains: parameter -> domain, of those that are changed.
        own: a function of the user's that is called before; None if there is none.
    """

    def __init__(
        self, space: Space, domains: Mapping[str, Domain], own: Callable[[dict[str, Any]], dict[str, Any]] | None
    ) -> None:
        self._space, self._domains, self._own = space, domains, own

    def __call__(self, config: dict[str, Any]) -> dict[str, Any]:
        if self._own is not None and not isinstance(config := self._own(config), dict):
            raise TypeError(f"custom_explore_fn returned {label(config)} and not the parameters")
        for name, domain in self._domains.items():
            holder, key = _place(config, name)
            holder[key] = on_domain(domain, holder[key], config)
        for _ in range(_TRIES):
            if self._space.violated(config) is None:
                return config
            for name, domain in self._domains.items():
                holder, key = _place(config, name)
                holder[key] = sample_domain(domain, config)
        raise ValueError(
            f"none of {_TRIES} samples of {', '.join(self._domains)} satisfies {self._space.violated(config)}"
        )


def on_domain(domain: Domain, value: Any, config: Mapping[str, Any]) -> Any:
    """Return the value of a domain that is nearest to a value; a sample if the value says nothing.

    Args:
        domain: a domain that depends on no parameters.
        value: any value.
        config: the parameters, nested, for domains inside of the value.
    """
    if domain.kind in {"choice", "grid_search"}:
        return sample_inner(value, config)
    low, high, step = (domain.arguments.get(name) for name in ("lower", "upper", "q"))
    is_int = "int" in domain.kind
    if step is None and is_int:
        step = 1
    if is_number(value) and abs(value) < math.inf and low is not None and high is not None:
        value = min(max(value, low), high - 1 if is_int and step == 1 else high)
    if not is_number(value) or not _is_finite(value, step or 1):
        return sample_domain(domain, config)
    if step is not None:
        multiple = round(value / step)
        if low is not None and high is not None:
            multiple = min(max(multiple, math.ceil(low / step - _ROUNDING)), math.floor(high / step + _ROUNDING))
        value = multiple * step
    return int(value) if is_int else float(value)


def _is_finite(value: Any, step: float) -> bool:
    try:
        return math.isfinite(value / step)
    except OverflowError:  # an integer
        return False


def _place(config: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """Return the dictionary that has a parameter, and its key there."""
    *path, key = name.split("/")
    for part in path:
        config = config[part]
    return config, key


def _distribution(domain: Domain) -> Any:
    """Return a domain as population based training takes it.

    It goes from a value of a list to the one before or after, and multiplies other numbers by a factor. An integer of a
    short range would stay what it is: 2 * 1.2 is rounded to 2.
    """
    is_short = "int" in domain.kind and domain.values is not None and len(domain.values) <= _FEW
    if domain.kind in {"choice", "grid_search"} or is_short:
        return _Values(domain.values or [])
    return ray_domain(domain)


class _Values(list[Any]):
    """Values of any types, found by their types, too: 1 is not True, and an array is equal to an array."""

    def __contains__(self, value: Any) -> bool:
        return any(same(value, other) for other in self)

    def index(self, value: Any, *bounds: Any) -> int:
        return next(position for position, other in enumerate(self) if same(value, other))
