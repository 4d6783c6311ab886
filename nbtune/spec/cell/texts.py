"""Names of variables in texts that code evaluates: ``df.query("a > @threshold")``, ``eval("x")``, and others."""

from __future__ import annotations

import ast
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["names_in_texts", "unseen_names"]

_EVALUATORS = frozenset({"eval", "exec", "globals", "locals", "vars", "format_map", "attrgetter", "__main__"})
_SQL = frozenset({"sql", "query", "execute"})
_OF_IPYTHON = frozenset({"In", "Out", "exit", "quit", "open", "get_ipython"})
_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*")
_AT_NAME = re.compile(r"@\s*([^\W\d]\w*)")
_USED_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*(?=\s*[(.\[])")
_MAX_TEXT = 100_000


def names_in_texts(code: Iterable[types.CodeType], namespace: Mapping[str, Any]) -> set[str]:
    """Return the notebook's variables that texts of a program name, as far as its code shows that it evaluates texts.

    Args:
        code: the code of the program, with that of nested functions.
        namespace: the notebook's variables. Those that the program mentions and that are texts may be evaluated, too.
    """
    code = list(code)
    mentioned = {name for one in code for name in one.co_names}
    texts = {text for one in code for constant in one.co_consts for text in _texts(constant)}
    texts |= {text for name in mentioned & namespace.keys() for text in _texts(namespace[name])}
    names = {name for text in texts for name in _AT_NAME.findall(text)}
    evaluates = not _EVALUATORS.isdisjoint(mentioned) or "__main__" in texts
    evaluates = evaluates or any(text.rstrip().endswith("@") for text in texts)  # f"a > @{name}"
    if evaluates:
        names |= {name for text in texts for name in _NAME.findall(text)}
    if "__main__" in mentioned or "__main__" in texts:  # sys.modules["__main__"].x
        names |= mentioned
    for text in texts:
        if "~" in text:  # a formula, as statsmodels takes it
            names |= set(_USED_NAME.findall(text))
    if not _SQL.isdisjoint(mentioned):  # DuckDB finds frames by the names of their variables
        found = {name for text in texts for name in _NAME.findall(text)}
        names |= {name for name in found if hasattr(namespace.get(name), "columns")}
    return {name for name in names - _OF_IPYTHON if name in namespace and not name.startswith("_")}


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) <= _MAX_TEXT:
            yield value
    elif isinstance(value, (tuple, list, set, frozenset, dict)) and depth < 3 and len(value) <= 1000:
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _texts(entry, depth + 1)


def unseen_names(body: Iterable[ast.AST]) -> list[tuple[str, int]]:
    """Return the places that read a variable whose name is computed: their text and line.

    Args:
        body: statements.
    """
    found = []
    for node in (inner for statement in body for inner in ast.walk(statement)):
        if isinstance(node, ast.Subscript):
            owner, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            owner, key = node.func.value, node.args[0] if node.args else ast.Constant("")
        else:
            continue
        reads = isinstance(getattr(node, "ctx", None), ast.Load) or isinstance(node, ast.Call)
        if reads and not isinstance(key, ast.Constant) and ast.unparse(owner) in ("globals()", "locals()", "vars()"):
            found.append((f"{ast.unparse(owner)}[{ast.unparse(key)}]", node.lineno))
    return found
