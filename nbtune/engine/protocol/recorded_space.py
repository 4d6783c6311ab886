"""A search space as the event log keeps it: for people, and for analysis later."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nbtune.spec.space.domain import Conditional, Domain, alternatives
from nbtune.spec.space.expression import Expression
from nbtune.spec.space.space import Space
from nbtune.spec.space.values import label

__all__ = ["parameters_of", "recorded", "recorded_domain"]


def recorded(space: Space) -> dict[str, Any]:
    """Return what the event log records of a space: parameter -> {"kind", "text", and its bounds or values}.

    The "kind" of a parameter that depends on others is "derived". Its "of" is the entry of the only domain among its
    alternatives, or None if there are several or none.

    Args:
        space: the search space.
    """
    entries = {}
    for parameter in space.parameters:
        domain = parameter.domain
        if parameter.depends or isinstance(domain, (Conditional, Expression)):
            parts = [part for part in alternatives(domain) if isinstance(part, Domain)]
            of = _entry(parts[0]) if len(parts) == 1 else None
            entries[parameter.name] = {"kind": "derived", "text": repr(domain), "of": of}
        else:
            entries[parameter.name] = _entry(domain)
    return entries


def _entry(domain: Any) -> dict[str, Any]:
    if not isinstance(domain, Domain):
        return {"kind": "constant", "text": label(domain)}
    given = {name: value for name, value in domain.arguments.items() if not isinstance(value, Expression)}
    bounds = {name: value for name, value in given.items() if name in {"lower", "upper", "q", "mean", "sd"}}
    values = {"values": domain.values} if domain.kind in {"choice", "grid_search"} and domain.values is not None else {}
    return {"kind": domain.kind, "text": repr(domain), **bounds, **values}


def recorded_domain(entry: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the domain that a parameter's values are from, as an entry of `recorded`; None if it has none.

    Args:
        entry: the parameter's entry in what `recorded` has returned, or None.
    """
    if entry is None or entry["kind"] == "constant":
        return None
    return entry if entry["kind"] != "derived" else entry["of"]


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
