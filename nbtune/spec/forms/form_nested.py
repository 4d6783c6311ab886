"""Nested dictionaries of parameters as rows of a form, one for each entry ("model/hidden"), and back."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from nbtune.spec.forms.form_row import Row
from nbtune.spec.space.space import nested, top_level

__all__ = ["dictionary_entries", "group_rows", "write_statement"]


def dictionary_entries(node: ast.AnnAssign) -> list[tuple[str, ast.expr, ast.expr | None]] | None:
    """Return the entries of a dictionary of parameters.

    Args:
        node: the declaration, ``model: {"hidden": choice([64, 128])} = {"hidden": 64}`` for instance.

    Returns:
        Path, annotation and default of each entry; None if rows cannot represent the declaration, because it is not a
        dictionary or has keys other than string constants without "/".
    """
    if not isinstance(node.annotation, ast.Dict) or not isinstance(node.target, ast.Name):
        return None
    try:
        domains = dict(_flatten(node.annotation, node.target.id))
        defaults = {} if node.value is None else dict(_flatten(node.value, node.target.id, domains))
    except ValueError:
        return None
    if not defaults.keys() <= domains.keys():
        return None
    return [(path, value, defaults.get(path)) for path, value in domains.items()]


def _flatten(node: ast.expr, path: str, leaves: Mapping[str, ast.expr] | None = None) -> Iterator[tuple[str, ast.expr]]:
    """Yield the values of a nested dictionary by their paths; a dictionary whose path is in `leaves` is a value.

    Raises:
        ValueError: a dictionary is empty, has duplicate keys, or keys other than string constants without "/".
    """
    if not isinstance(node, ast.Dict) or (leaves is not None and path in leaves):
        yield path, node
        return
    names = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
    if not names or len(set(names)) < len(names):
        raise ValueError("empty dictionary, or duplicate key")
    for name, value in zip(names, node.values, strict=True):
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError("keys must be non-empty string constants without /")
        yield from _flatten(value, f"{path}/{name}", leaves)


def group_rows(rows: Sequence[Row]) -> list[list[Row]]:
    """Group rows by statement: the rows of one dictionary form a group, at the position of its first row.

    Args:
        rows: the rows of a form, in order.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(top_level(row.name) if "/" in row.name else f"/{row.id}", []).append(row)
    return list(groups.values())


def write_statement(rows: Sequence[Row]) -> str:
    """Return the statement for a group of rows, as one line of a cell.

    Args:
        rows: a group that `group_rows` has returned.
    """
    if "/" not in rows[0].name:
        return rows[0].text()
    name = top_level(rows[0].name)
    domains = nested({row.name: row.domain() for row in rows})[name]
    defaults = nested({row.name: row.default for row in rows if row.default}).get(name)
    return f"{name}: {_text(domains)}" + (f" = {_text(defaults)}" if defaults is not None else "")


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(str(key))}: {_text(item)}" for key, item in value.items()) + "}"
    return str(value)


def _key(text: str) -> str:
    return f'"{text}"' if text.isprintable() and not set(text) & {'"', "\\"} else repr(text)
