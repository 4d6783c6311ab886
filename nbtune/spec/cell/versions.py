"""Versions of an experiment's code: what it consists of as text, and what has changed between two of them."""

from __future__ import annotations

import ast
import difflib
import hashlib
import textwrap
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "CELL",
    "CodeChange",
    "CodeVersion",
    "difference",
    "digest_of_code",
    "digest_of_value",
    "statements_at",
    "without_magic",
]

CELL = "the cell"
"""The name of the cell's own text among the definitions."""
_NO_TEXT = "bytecode "
_MAX_DIFF_LINES = 40
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_MAX_PLAIN = 10_000  # characters


@dataclass(frozen=True)
class CodeVersion:
    """The user's code of an experiment.

    Attributes:
        definitions: name -> the text of the statements that define it, of the cell and of all code that only the
            notebook has; what `digest_of_code` returns where there is no text.
        values: name -> what `digest_of_value` returns, of the variables with plain values that this code reads.
    """

    definitions: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CodeChange:
    """What differs between two versions of the code; false if nothing does.

    Attributes:
        names: the definitions that have changed, and new and missing ones.
        values: the variables whose plain values have changed.
        diff: a unified diff of the texts, shortened; empty if no text has changed.
    """

    names: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    diff: str = ""

    def __bool__(self) -> bool:
        return bool(self.names or self.values)

    def __str__(self) -> str:
        values = f"the value of {', '.join(self.values)}" if self.values else ""
        return " and ".join(filter(None, [", ".join(self.names), values]))


def difference(old: CodeVersion, new: CodeVersion) -> CodeChange:
    """Return what has changed. Comments, blank lines and the places of definitions do not count.

    Args:
        old: the earlier version.
        new: the later one.
    """
    names = sorted(old.definitions.keys() | new.definitions.keys(), key=lambda name: (name != CELL, name))
    changed = [name for name in names if _meaning(old.definitions.get(name)) != _meaning(new.definitions.get(name))]
    lines = [line for name in changed for line in _diff(name, old.definitions.get(name), new.definitions.get(name))]
    if (hidden := len(lines) - _MAX_DIFF_LINES) > 1:
        lines = [*lines[:_MAX_DIFF_LINES], f"… and {hidden} more lines"]
    both = old.values.keys() & new.values.keys()
    values = sorted(name for name in both if old.values[name] != new.values[name])
    return CodeChange(tuple(changed), tuple(values), "\n".join(lines))


def _meaning(text: str | None) -> str | None:
    """Return what is equal for texts that mean the same."""
    if text is None:
        return None
    try:
        return ast.dump(ast.parse(textwrap.dedent(text)))
    except (SyntaxError, ValueError, RecursionError):
        return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _diff(name: str, old: str | None, new: str | None) -> list[str]:
    texts = ["" if text is None or text.startswith(_NO_TEXT) else text.strip("\n") for text in (old, new)]
    before, after = (text.splitlines() for text in texts)
    return list(difflib.unified_diff(before, after, f"{name}, stored", f"{name}, present", n=2, lineterm=""))


def statements_at(text: str, names: Mapping[int, str]) -> tuple[str, dict[str, str]]:
    """Return the top-level statements at some lines of a text.

    Args:
        text: the text of a file.
        names: line number -> the name of what the code that begins there defines.

    Returns:
        The text in which all other lines are empty, and name -> the texts of the statements that define it.
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return text, {next(iter(names.values()), ""): text}
    lines, kept, definitions = text.split("\n"), set[int](), dict[str, str]()
    for statement in body:
        first = min(node.lineno for node in (statement, *getattr(statement, "decorator_list", ())))
        own = range(first, (statement.end_lineno or first) + 1)
        if found := [line for line in names if line in own]:
            kept.update(own)
            name, part = _name_of(statement) or names[min(found)], "\n".join(lines[at - 1] for at in own)
            definitions[name] = f"{definitions[name]}\n{part}" if name in definitions else part
    return "\n".join(line if at in kept else "" for at, line in enumerate(lines, 1)), definitions


def _name_of(statement: ast.stmt) -> str | None:
    """Return the name that a statement defines; None if it is neither a definition nor an assignment."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return statement.name
    if isinstance(statement, ast.Assign):
        return ", ".join(map(ast.unparse, statement.targets))
    return ast.unparse(statement.target) if isinstance(statement, ast.AnnAssign) else None


def without_magic(source: str) -> str:
    """Return the text of a cell without its magic line, or the text of a function as it is.

    Args:
        source: the text.
    """
    first, _, rest = source.partition("\n")
    return (rest if first.startswith("%%") else source).strip()


def digest_of_code(code: types.CodeType) -> str:
    """Return a text that is equal for equal code, wherever it was defined.

    Args:
        code: the code.
    """
    return _NO_TEXT + hashlib.sha256(repr(_content(code)).encode()).hexdigest()[:16]


def _content(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        constants = [_content(constant) for constant in value.co_consts]
        return value.co_code, constants, value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars
    if isinstance(value, frozenset):  # in an order of its own in each process
        return sorted(map(repr, value))
    return type(value).__name__, value


def digest_of_value(value: Any) -> str | None:
    """Return a text that is equal for equal plain values, and does not tell them; None for all other values.

    Args:
        value: the value of a variable.
    """
    if isinstance(value, (tuple, list)):
        if len(value) > 100 or not all(type(one) in _PLAIN for one in value):
            return None
    elif type(value) not in _PLAIN:
        return None
    text = repr(value)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16] if len(text) <= _MAX_PLAIN else None
