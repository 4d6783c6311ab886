"""Dictionaries of parameters as rows of a form: one for each entry, "model/hidden", and back."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from nbtune.spec.forms.form_row import Row
from nbtune.spec.space.space import nested, top_level

__all__ = ["entries", "grouped", "statement"]


def entries(node: ast.AnnAssign) -> list[tuple[str, ast.expr, ast.expr | None]] | None:
    """Return the entries of a dictionary of parameters: path, annotation, default.

    Returns:
        None where rows cannot say it: what is no dictionary, or has other keys than plain texts.
    """
    if not isinstance(node.annotation, ast.Dict) or not isinstance(node.target, ast.Name):
        return None
    try:
        domains = dict(_flat(node.annotation, node.target.id))
        defaults = {} if node.value is None else dict(_flat(node.value, node.target.id, domains))
    except ValueError:
        return None
    if not defaults.keys() <= domains.keys():
        return None
    return [(path, value, defaults.get(path)) for path, value in domains.items()]


def _flat(node: ast.expr, path: str, ends: Mapping[str, ast.expr] | None = None) -> Iterator[tuple[str, ast.expr]]:
    """Yield the values of a nested dictionary by their paths, down to those in `ends`.

    Raises:
        ValueError: it has keys that are no plain texts, or is empty.
    """
    if not isinstance(node, ast.Dict) or (ends is not None and path in ends):
        yield path, node
        return
    names = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
    if not names or len(set(names)) < len(names):
        raise ValueError("an empty dictionary, or a key that is there twice")
    for name, value in zip(names, node.values, strict=True):
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError("a key that is no plain text")
        yield from _flat(value, f"{path}/{name}", ends)


def grouped(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows of each statement: those of one dictionary together, where its first row is."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(top_level(row.name) if "/" in row.name else f"/{row.id}", []).append(row)
    return list(groups.values())


def statement(rows: Sequence[Row]) -> str:
    """Return the statement of rows that are together, as a line of a cell."""
    if "/" not in rows[0].name:
        return rows[0].text()
    name = top_level(rows[0].name)
    domains = nested({row.name: row.domain() for row in rows})[name]
    defaults = nested({row.name: row.default for row in rows if row.default}).get(name)
    return f"{name}: {_text(domains)}" + (f" = {_text(defaults)}" if defaults is not None else "")


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(str(key))}: {_text(one)}" for key, one in value.items()) + "}"
    return str(value)


def _key(text: str) -> str:
    return f'"{text}"' if text.isprintable() and not set(text) & {'"', "\\"} else repr(text)
