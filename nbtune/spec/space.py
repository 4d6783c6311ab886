"""Search spaces: parameters, each with a domain of Ray Tune's or a constant.

A domain is kept as the call that makes it, `loguniform(0.0001, 0.1)`, so that it can be checked,
shown and sent without Ray. `nbtune.engine.spaces` turns it into Ray Tune's own object.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.errors import Problem

__all__ = ["MISSING", "SPACE_FUNCTIONS", "Domain", "Parameter", "Space"]

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING", "__bool__": lambda self: False})()
"""Stands for "no default", since None is a value that a parameter may have."""


def _signature(required: str, **optional: Any) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in required.split()]
    parameters += [inspect.Parameter(name, kind, default=value) for name, value in optional.items()]
    return inspect.Signature(parameters)


SPACE_FUNCTIONS: dict[str, inspect.Signature] = {
    "uniform": _signature("lower upper"),
    "quniform": _signature("lower upper q"),
    "loguniform": _signature("lower upper", base=None),
    "qloguniform": _signature("lower upper q", base=None),
    "randn": _signature("", mean=0.0, sd=1.0),
    "qrandn": _signature("mean sd q"),
    "randint": _signature("lower upper"),
    "qrandint": _signature("lower upper", q=1),
    "lograndint": _signature("lower upper", base=None),
    "qlograndint": _signature("lower upper q", base=None),
    "choice": _signature("categories"),
    "grid_search": _signature("values"),
    "sample_from": _signature("func"),
}
"""Ray Tune's space functions, by name, with the arguments that they take (ray.tune.search.sample)."""


@dataclass(frozen=True, eq=False)
class Domain:
    """What a parameter may be: one of Ray Tune's space functions with its arguments.

    Attributes:
        kind: the function's name, a key of `SPACE_FUNCTIONS`, or "custom" for an object of the
            user's own that only its search algorithm understands.
        arguments: the arguments by name.
    """

    kind: str
    arguments: Mapping[str, Any]

    @classmethod
    def call(cls, kind: str, *args: Any, **kwargs: Any) -> Domain:
        """Return the domain that the call ``kind(*args, **kwargs)`` describes.

        Raises:
            TypeError: the function does not take these arguments.
        """
        bound = SPACE_FUNCTIONS[kind].bind(*args, **kwargs)
        values = dict(bound.arguments)
        values.pop("base", None)  # deprecated in Ray Tune, which takes it and ignores it
        if kind in {"choice", "grid_search"}:
            sequence = next(iter(values.values()))
            if not isinstance(sequence, str) and hasattr(sequence, "__iter__"):
                values = {name: list(value) for name, value in values.items()}
        return cls(kind, values)

    def __repr__(self) -> str:
        if self.kind == "custom":
            return repr(self.arguments["domain"])
        return f"{self.kind}({', '.join(self._shown())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Domain) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def _shown(self) -> Iterator[str]:
        named = False
        for name, parameter in SPACE_FUNCTIONS[self.kind].parameters.items():
            if name not in self.arguments or self.arguments[name] == parameter.default:
                named = True  # what follows an omitted argument needs its name
                continue
            value = self.arguments[name]
            shown = "[" + ", ".join(map(label, value)) + "]" if isinstance(value, list) else label(value)
            yield f"{name}={shown}" if named else shown

    @property
    def values(self) -> list[Any] | None:
        """Every value, where there are finitely many (choice, grid_search, randint), else None."""
        if self.kind in {"choice", "grid_search"}:
            return list(next(iter(self.arguments.values())))
        if self.kind in {"randint", "lograndint"}:
            return list(range(self.arguments["lower"], self.arguments["upper"]))
        if self.kind in {"qrandint", "qlograndint"}:
            lower, upper, q = (self.arguments.get(name, 1) for name in ("lower", "upper", "q"))
            # Multiples of q between the bounds; Ray Tune includes the upper one unless q is 1.
            return list(range(-(-lower // q) * q, upper + (q > 1), q))
        return None

    def problem(self) -> str | None:
        """Return what is wrong with the arguments, or None."""
        given = self.arguments
        if self.kind in {"choice", "grid_search"}:
            values = next(iter(given.values()))
            if not isinstance(values, list):
                return f"{self.kind} takes a list of values, not {label(values)}"
            return None if values else f"{self.kind} has no values; give at least one"
        if self.kind == "sample_from":
            return None if callable(given["func"]) else f"sample_from takes a function, not {label(given['func'])}"
        if self.kind == "custom":
            return None
        for name, value in given.items():
            if isinstance(value, bool) or not _is_number(value) or not math.isfinite(value):
                return f"{self.kind}: {name} is {label(value)}, but a finite number is needed"
            if "int" in self.kind and int(value) != value:
                return f"{self.kind}: {name} is {value!r}, but an integer is needed"
        if "lower" in given:
            if given["lower"] >= given["upper"]:
                return f"{self!r}: lower ({given['lower']!r}) must be below upper ({given['upper']!r})"
            if "log" in self.kind and given["lower"] <= 0:
                return f"{self!r}: a log space needs lower above 0, not {given['lower']!r}"
        if "q" in given and given["q"] <= 0:
            return f"{self!r}: q must be above 0, not {given['q']!r}"
        if "q" in given and "lower" in given and "int" not in self.kind:
            for name in ("lower", "upper"):
                steps = given[name] / given["q"]
                if not math.isclose(steps, round(steps)):
                    return f"{self!r}: {name} ({given[name]!r}) must be a multiple of q ({given['q']!r})"
        if "sd" in given and given["sd"] <= 0:
            return f"{self!r}: sd must be above 0, not {given['sd']!r}"
        return None


@dataclass(frozen=True)
class Parameter:
    """One parameter of a search space.

    Attributes:
        name: its name; the names of a nested dictionary are joined by "/".
        domain: a `Domain`, or a constant that every trial gets.
        default: the value for a run without tuning, or `MISSING`.
        line: the line of the cell that defines it, counted from 1, or None.
    """

    name: str
    domain: Any
    default: Any = MISSING
    line: int | None = None


@dataclass(frozen=True)
class Space:
    """An ordered set of parameters.

    Attributes:
        parameters: one for each name, in the order of the cell or dictionary.
    """

    parameters: tuple[Parameter, ...] = field(default_factory=tuple)

    @classmethod
    def from_dict(cls, space: Mapping[str, Any]) -> Space:
        """Return the space of a dictionary as Ray Tune takes it (``Tuner(param_space=...)``)."""
        return cls(tuple(Parameter(name, domain) for name, domain in _flatten(space)))

    def merged(self, other: Space) -> Space:
        """Return this space with the parameters of `other` added; on the same name `other` wins."""
        merged = {parameter.name: parameter for parameter in self.parameters}
        for parameter in other.parameters:
            old = merged.get(parameter.name)
            default = old.default if old and parameter.default is MISSING else parameter.default
            merged[parameter.name] = Parameter(parameter.name, parameter.domain, default, parameter.line)
        return Space(tuple(merged.values()))

    def __getitem__(self, name: str) -> Parameter:
        found = {parameter.name: parameter for parameter in self.parameters}
        return found[name]

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def grid_size(self) -> int:
        """How many trials one pass over the `grid_search` parameters takes; 1 without any."""
        grids = [p.domain for p in self.parameters if isinstance(p.domain, Domain) and p.domain.kind == "grid_search"]
        return math.prod(len(domain.values or []) for domain in grids)

    def problems(self) -> list[Problem]:
        """Return what is wrong with the domains, by line."""
        found = []
        for parameter in self.parameters:
            text = parameter.domain.problem() if isinstance(parameter.domain, Domain) else None
            if text:
                found.append(Problem(f"{parameter.name}: {text}", parameter.line))
        return found


def label(value: Any) -> str:
    """Return a short text for any value: a class or function by its name, the rest by `repr`."""
    name = getattr(value, "__name__", None)
    try:
        text = name if isinstance(name, str) and callable(value) else repr(value)
    except Exception as error:  # whatever shows an experiment must be able to
        text = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= 60 else text[:57] + "..."


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and getattr(value, "ndim", 0) == 0


def _flatten(space: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in space.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and set(value) == {"grid_search"}:
            yield name, Domain.call("grid_search", value["grid_search"])
        elif isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{name}/")
        else:
            yield name, _as_domain(value)


def _as_domain(value: Any) -> Any:
    """Return the `Domain` for one of Ray Tune's, known by its shape since Ray is not imported here."""
    if isinstance(value, Domain) or not type(value).__module__.startswith("ray.tune.search.sample"):
        return value
    reader = _READERS.get(type(value).__name__)
    return (reader(value) if reader else None) or Domain("custom", {"domain": value})


def _read_numeric(value: Any) -> Domain | None:
    sampler = value.get_sampler()
    q = getattr(sampler, "q", None)
    inner = sampler.get_sampler() if q is not None else sampler
    kind = type(inner).__name__.lstrip("_")
    integer = type(value).__name__ == "Integer"
    arguments: dict[str, Any] = {"lower": value.lower, "upper": value.upper}
    if kind == "Normal":
        name, arguments = "randn", {"mean": inner.mean, "sd": inner.sd}
    elif kind == "LogUniform":
        name = "lograndint" if integer else "loguniform"
    elif kind == "Uniform":
        name = "randint" if integer else "uniform"
    else:
        return None
    if q is not None:
        name, arguments["q"] = f"q{name}", q
    return Domain(name, arguments)


_READERS: dict[str, Callable[[Any], Domain | None]] = {
    "Float": _read_numeric,
    "Integer": _read_numeric,
    "Categorical": lambda value: Domain("choice", {"categories": list(value.categories)}),
    "Function": lambda value: Domain("sample_from", {"func": value.func}),
}
