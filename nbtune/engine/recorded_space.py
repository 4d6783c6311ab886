"""A search space as the event log keeps it: for people, and for analysis later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbtune.spec.space import Domain, Space, label

__all__ = ["recorded", "recorded_domain"]


def recorded(space: Space) -> dict[str, Any]:
    """Return name -> {"kind", "text", and the bounds or values} of each parameter that varies."""
    found = {}
    for parameter in space.parameters:
        domain = parameter.domain
        if isinstance(domain, Domain):
            bounds = {
                name: value for name, value in domain.arguments.items() if name in {"lower", "upper", "q", "mean", "sd"}
            }
            values = {"values": domain.values} if domain.kind in {"choice", "grid_search"} else {}
            found[parameter.name] = {"kind": domain.kind, "text": repr(domain), **bounds, **values}
        else:
            found[parameter.name] = {"kind": "constant", "text": label(domain)}
    return found


def recorded_domain(entry: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the entry of a parameter that varies, or None."""
    return entry if entry is not None and entry["kind"] != "constant" else None
