"""Search spaces as cells."""

from __future__ import annotations

import keyword
from typing import Any

from nbtune.errors import Problem, SpecError
from nbtune.spec.space.domain import MISSING, Conditional, Domain
from nbtune.spec.space.expression import Expression
from nbtune.spec.space.space import Parameter, Space, nested, top_level
from nbtune.spec.space.values import literal

__all__ = ["space_to_cell"]


def space_to_cell(space: Space) -> str:
    """Return the cell that declares a space, with a line for each top-level parameter and each constraint.

    Args:
        space: the space. Classes and functions are written by name, and constants as assignments.

    Raises:
        SpecError: the name of a parameter is not a valid variable name.
    """
    invalid = [name for name in map(top_level, space.names) if not name.isidentifier() or keyword.iskeyword(name)]
    if invalid:
        raise SpecError([Problem(f"{invalid[0]!r} cannot be a parameter of a cell: not a valid variable name")])
    groups: dict[str, list[Parameter]] = {}
    for parameter in space.parameters:
        groups.setdefault(top_level(parameter.name), []).append(parameter)
    lines = [_line(name, group) for name, group in groups.items()]
    return "\n".join([*lines, *map(str, space.constraints)])


def _line(name: str, group: list[Parameter]) -> str:
    if all(not _varies(parameter.domain) for parameter in group):
        return f"{name} = {_source(nested({p.name: p.domain for p in group})[name])}"
    domain = nested({parameter.name: parameter.domain for parameter in group})[name]
    defaults = {parameter.name: parameter.default for parameter in group if parameter.default is not MISSING}
    # A default must be complete: without tuning, the cell runs with it as the value of the whole dictionary.
    default = f" = {_source(nested(defaults)[name])}" if len(defaults) == len(group) else ""
    return f"{name}: {_source(domain)}{default}"


def _varies(domain: Any) -> bool:
    return isinstance(domain, (Domain, Conditional, Expression))


def _source(value: Any) -> str:
    if isinstance(value, (Domain, Conditional)):
        return value.text(literal)
    if isinstance(value, Expression):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_source(item)}" for key, item in value.items()) + "}"
    return literal(value)
