"""A search space as the event log keeps it: for people, and for analysis later."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypedDict, cast

from nbtune.spec.space.domain import Conditional, Domain, alternatives, inner_domains
from nbtune.spec.space.expression import Expression
from nbtune.spec.space.space import Space
from nbtune.spec.space.values import label

__all__ = ["RecordedParameter", "has_numbers", "parameters_of", "recorded", "recorded_domain"]


class RecordedParameter(TypedDict, total=False):
    """What the event log keeps of a parameter and its domain."""

    kind: str
    """The name of the domain's function in Ray Tune; "constant" for a value, "derived" if it depends on others, or
    has domains among its values."""
    text: str
    """The domain or the value as text."""
    of: RecordedParameter | None
    """Of a derived parameter: the only domain among its alternatives, or None if there are several or none."""
    lower: float
    """The lower bound, included."""
    upper: float
    """The upper bound; excluded for integers that are not quantized, as in Ray Tune."""
    q: float
    """The step of a quantized domain."""
    mean: float
    """The mean of a normal distribution."""
    sd: float
    """The standard deviation of a normal distribution."""
    values: Sequence[Any]
    """The values of a choice or a grid."""


def recorded(space: Space) -> dict[str, RecordedParameter]:
    """Return what the event log keeps of a space, by the names of its parameters.

    Args:
        space: the search space.
    """
    entries: dict[str, RecordedParameter] = {}
    for parameter in space.parameters:
        domain = parameter.domain
        if parameter.depends or isinstance(domain, (Conditional, Expression)):
            parts = [part for part in alternatives(domain) if isinstance(part, Domain)]
            of = _entry(parts[0]) if len(parts) == 1 else None
            entries[parameter.name] = {"kind": "derived", "text": repr(domain), "of": of}
        elif len(list(inner_domains(domain))) > 1:
            entries[parameter.name] = {"kind": "derived", "text": repr(domain), "of": None}
        else:
            entries[parameter.name] = _entry(domain)
    return entries


def _entry(domain: Any) -> RecordedParameter:
    if not isinstance(domain, Domain):
        return {"kind": "constant", "text": label(domain)}
    given = {name: value for name, value in domain.arguments.items() if not isinstance(value, Expression)}
    entry = {name: value for name, value in given.items() if name in {"lower", "upper", "q", "mean", "sd"}}
    if domain.kind in {"choice", "grid_search"} and domain.values is not None:
        entry["values"] = domain.values
    return cast(RecordedParameter, {"kind": domain.kind, "text": repr(domain)} | entry)


def recorded_domain(entry: RecordedParameter | None) -> RecordedParameter | None:
    """Return the domain that a parameter's values are from, as an entry of `recorded`; None if it has none.

    Args:
        entry: the parameter's entry in what `recorded` has returned, or None.
    """
    if entry is None or entry["kind"] == "constant":
        return None
    return entry if entry["kind"] != "derived" else entry["of"]


def has_numbers(entry: RecordedParameter | None) -> bool:
    """Tell whether all values of a parameter are numbers.

    Args:
        entry: the parameter's entry in what `recorded` has returned, or None.
    """
    domain = recorded_domain(entry) if entry else None
    if domain is None:
        return False
    if domain["kind"] not in {"choice", "grid_search", "sample_from"}:
        return True
    values = domain.get("values", ())
    return bool(values) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def parameters_of(config: Mapping[str, Any], space: Collection[str], prefix: str = "") -> dict[str, Any]:
    """Return the parameters of a configuration, by name.

    Args:
        config: the configuration, nested.
        space: the names of the parameters of the space, nested ones joined by "/". A parameter of the space is not
            taken apart, also if its value is a dictionary.
        prefix: prepended to the names.
    """
    parameters: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if name not in space and isinstance(value, Mapping) and value and all(isinstance(item, str) for item in value):
            parameters |= parameters_of(value, space, f"{name}/")
        else:
            parameters[name] = value
    return parameters
