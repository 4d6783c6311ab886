"""Search algorithms and schedulers by their names, with arguments: ``optuna(sampler='gp', n_startup_trials=5)``."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.bad_input import parse_expression
from nbtune.spec.space.values import label

__all__ = ["PARTNERS", "SCHEDULERS", "SEARCHES", "WITHOUT_METRIC", "Named", "is_named", "parse_named"]

SEARCHES = ("random", "grid", "optuna", "bayesopt", "bohb", "hebo", "hyperopt", "nevergrad", "ax", "zoopt")
"""The names of the search algorithms. Each has a module in `nbtune.engine.search.algorithms`."""

SCHEDULERS = ("fifo", "asha", "hyperband", "median", "pbt", "pb2", "pbt_replay", "bohb", "resources")
"""The names of the schedulers. Each has a module in `nbtune.engine.search.schedulers`."""

WITHOUT_METRIC = ("random", "grid", "fifo", "pbt_replay", "resources")
"""Those of both that need no metric: they compare no trials, or only the scheduler inside of them does."""

PARTNERS = {"bohb": "bohb"}
"""The search algorithms that work with one scheduler only -> the scheduler, which is theirs if none is given."""


@dataclass(frozen=True)
class Named:
    """A search algorithm or scheduler by its name.

    Attributes:
        name: one of `SEARCHES` or `SCHEDULERS`.
        arguments: its arguments by name. From text they are literals; a caller of Python may give any objects.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        """Return it as it is written on a magic line."""
        if not self.arguments:
            return self.name
        return f"{self.name}({', '.join(f'{name}={_shown(value)}' for name, value in self.arguments.items())})"


def is_named(value: Any, *names: str) -> bool:
    """Tell whether a search algorithm or scheduler was given by one of these names.

    Args:
        value: a `Named`, or an object of Ray Tune's.
        names: the names.
    """
    return isinstance(value, Named) and value.name in names


def parse_named(text: str) -> Named:
    """Parse ``NAME`` or ``NAME(ARGUMENT=VALUE, …)``.

    The values are Python literals. Nothing is evaluated.

    Args:
        text: the text.

    Raises:
        ValueError: it is neither of the two, or a value is not a literal.
    """
    try:
        tree = parse_expression(text.strip())
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"expected NAME or NAME(ARGUMENT=VALUE, …), got {label(text)}: {error}") from error
    if isinstance(tree, ast.Name):
        return Named(tree.id)
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        raise ValueError(f"expected NAME or NAME(ARGUMENT=VALUE, …), got {label(text)}")
    if tree.args:
        raise ValueError(
            f"the arguments of {tree.func.id} are given by name, {tree.func.id}(ARGUMENT=VALUE), got"
            f" {label(ast.unparse(tree.args[0]))} without one"
        )
    arguments: dict[str, Any] = {}
    for keyword in tree.keywords:
        if keyword.arg is None:
            raise ValueError(f"the arguments of {tree.func.id} are given by name, one by one, not as **…")
        if keyword.arg in arguments:
            raise ValueError(f"{tree.func.id}: {keyword.arg} is given more than once")
        arguments[keyword.arg] = _literal(tree.func.id, keyword.arg, keyword.value)
    return Named(tree.func.id, arguments)


def _literal(name: str, argument: str, value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        source = ast.unparse(value)
        quoted = f"; text is written in quotes, {argument}={source!r}" if isinstance(value, ast.Name) else ""
        raise ValueError(
            f"{name}: {argument} is a literal on this line (a number, text, list, dictionary, True, False or None), got"
            f" {label(source)}{quoted}. In Python any object can be given: ({name!r}, {{{argument!r}: …}})"
        ) from None


def _shown(value: Any) -> str:
    """Return a literal as Python source, and another object shortened."""
    return repr(value) if isinstance(value, (str, int, float, list, tuple, dict, set, type(None))) else label(value)
