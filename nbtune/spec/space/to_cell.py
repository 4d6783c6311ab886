"""Search spaces as the lines of a cell."""

from __future__ import annotations

import keyword
from typing import Any

from nbtune.errors import Problem, SpecError
from nbtune.spec.space.domain import MISSING, Conditional, Domain
from nbtune.spec.space.expression import Expression
from nbtune.spec.space.space import Parameter, Space, nested, top_level
from nbtune.spec.space.values import literal

__all__ = ["written"]


def written(space: Space) -> str:
    """Return a space as the lines of a cell: one for each parameter and constraint.

    Classes and functions are written by their names; a constant is an ordinary assignment.

    Raises:
        SpecError: a name is no Python identifier.
    """
    wrong = [name for name in map(top_level, space.names) if not name.isidentifier() or keyword.iskeyword(name)]
    if wrong:
        raise SpecError([Problem(f"{wrong[0]!r} cannot be a parameter of a cell: it is no variable name")])
    groups: dict[str, list[Parameter]] = {}
    for parameter in space.parameters:
        groups.setdefault(top_level(parameter.name), []).append(parameter)
    lines = [_line(name, group) for name, group in groups.items()]
    return "\n".join([*lines, *map(str, space.constraints)])


def _line(name: str, group: list[Parameter]) -> str:
    if all(not _varies(parameter.domain) for parameter in group):
        return f"{name} = {_source(nested({p.name: p.domain for p in group})[name])}"
    domain = nested({parameter.name: parameter.domain for parameter in group})[name]
    given = {parameter.name: parameter.default for parameter in group if parameter.default is not MISSING}
    # A dictionary's default is all of it, or none: the cell runs with it as it is.
    default = f" = {_source(nested(given)[name])}" if len(given) == len(group) else ""
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
