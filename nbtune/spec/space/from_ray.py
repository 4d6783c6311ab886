"""Search spaces from Ray Tune's dictionaries. Ray is not imported here: its objects are recognized by class name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nbtune.bad_input import invalid_characters
from nbtune.errors import Problem, SpecError
from nbtune.spec.space.domain import Domain
from nbtune.spec.space.values import label

__all__ = ["flatten_ray_space", "with_domains"]


def flatten_ray_space(space: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the parameters of a search space of Ray Tune: name and domain.

    Args:
        space: the dictionary, as in ``Tuner(param_space=...)``.
        prefix: prepended to the names; the names of nested dictionaries are joined by "/".

    Raises:
        SpecError: a name is not text, or contains "/".
    """
    for key, value in space.items():
        name = f"{prefix}{key}" if isinstance(key, str) else prefix + label(key)
        if not isinstance(key, str) or not key or "/" in key:
            raise SpecError([Problem(_name_problem(key), parameter=name)])
        if (invalid := invalid_characters(name)) is not None:
            raise SpecError([Problem(f"the name {name!r} {invalid[0]}")])
        if isinstance(value, Mapping) and set(value) == {"grid_search"}:
            yield name, Domain.call("grid_search", with_domains(value["grid_search"]))
        elif _is_nested(value):
            yield from flatten_ray_space(value, f"{name}/")
        else:
            yield name, _as_domain(value)


def _name_problem(key: Any) -> str:
    if isinstance(key, str) and key:
        parts = [part for part in key.split("/") if part]
        return (
            f'expected a name without "/", which joins the names of nested parameters, got {key!r};'
            f" for a nested parameter write {{{parts[0]!r}: {{{parts[-1]!r}: …}}}}"
        )
    return f"expected a name that is a str and not empty, got {label(key)}"


def _is_nested(value: Any) -> bool:
    """Return whether a dictionary has parameters of its own: one with other keys than text is a value."""
    if not isinstance(value, Mapping) or not value:
        return False
    return all(isinstance(key, str) for key in value) or any(map(_has_domain, value.values()))


def _has_domain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_domain, value.values()))
    return isinstance(_as_domain(value), Domain)


def _as_domain(value: Any) -> Any:
    """Return the `Domain` for a domain of Ray Tune's, a "custom" one for an unknown sampler; other values unchanged."""
    if type(value).__module__ == "nbtune.engine.search.derived":  # what nbtune has made for Ray Tune
        return value.domain
    if isinstance(value, Domain) or not type(value).__module__.startswith("ray.tune.search.sample"):
        return value
    reader = _READERS.get(type(value).__name__)
    return (reader(value) if reader else None) or Domain("custom", {"domain": value})


def with_domains(value: Any) -> Any:
    """Return a value with a `Domain` in place of each of Ray Tune's inside it; the same object if it has none.

    Args:
        value: any value. Dictionaries, lists and tuples are searched.
    """
    if type(value) is dict:
        items = {key: with_domains(item) for key, item in value.items()}
        return items if any(items[key] is not value[key] for key in value) else value
    if type(value) in (list, tuple):
        found = [with_domains(item) for item in value]
        changed = any(one is not item for one, item in zip(found, value, strict=True))
        return type(value)(found) if changed else value
    return _as_domain(value)


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
    "Categorical": lambda value: Domain("choice", {"categories": with_domains(list(value.categories))}),
    "Function": lambda value: Domain("sample_from", {"func": value.func}),
}
