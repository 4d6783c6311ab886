"""The help page of a search algorithm or scheduler, from the registry."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from nbtune.engine.search.algorithms.base import Algorithm
from nbtune.engine.search.entry import Entry
from nbtune.engine.search.registry import ALGORITHMS, SCHEDULERS
from nbtune.engine.search.schedulers.base import Scheduler
from nbtune.errors import Problem, SpecError, did_you_mean
from nbtune.spec.space.domain import Domain
from nbtune.spec.space.space import Parameter

__all__ = ["algorithm_page"]

_WIDTH = 96
_EXAMPLES = {
    "uniform": Domain("uniform", {"lower": 0.0, "upper": 1.0}),
    "randint": Domain("randint", {"lower": 0, "upper": 9}),
    "choice": Domain("choice", {"categories": ["a", "b"]}),
    "grid_search": Domain("grid_search", {"values": [1, 2]}),
}
"""Space functions of which some algorithms do not take all."""


def algorithm_page(name: str) -> str:
    """Return the help page of a search algorithm or scheduler, or of both if they have the same name.

    Args:
        name: its short name; "search" or "scheduler" for a list of all.

    Raises:
        SpecError: there is none of this name.
    """
    lists = {"search": ALGORITHMS, "scheduler": SCHEDULERS}
    if name in lists:
        return "\n".join(_line(entry.name, entry.summary) for entry in lists[name].values())
    found = [(option, entries[name]) for option, entries in lists.items() if name in entries]
    if not found:
        known = [*lists, *dict.fromkeys([*ALGORITHMS, *SCHEDULERS])]
        text = f"expected one of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}"
        raise SpecError([Problem(text, code="unknown")])
    return "\n\n".join("\n".join(_page(option, entry)) for option, entry in found)


def _page(option: str, entry: Entry) -> Iterator[str]:
    yield _wrapped(f"--{option} {entry.name}: {entry.summary}")
    for package in entry.packages:
        versions = f" {package.versions}" if package.versions else ""
        note = f" ({package.note})" if package.note else ""
        missing = package.problem()
        state = "installed" if missing is None else f"not usable here; install it: {package.install}"
        yield _wrapped(f"Needs {package.name}{versions}{note}: {state}")
    if needs := list(_needs(entry)):
        yield _wrapped(f"Needs {', '.join(needs)}")
    if isinstance(entry, Algorithm):
        yield from _of_algorithm(entry)
    if entry.arguments:
        yield "Arguments, with their defaults:"
        yield from (_line(name, meaning) for name, meaning in entry.arguments.items())
        example = next(iter(entry.arguments))
        yield f'Given as  --{option} "{entry.name}({example}=…)"  or  {option}=({entry.name!r}, {{{example!r}: …}})'


def _needs(entry: Entry) -> Iterator[str]:
    if entry.needs_metric:
        yield "--metric and --mode"
    if entry.partner is not None:
        partner = "scheduler" if isinstance(entry, Algorithm) else "search"
        yield f"--{partner} {entry.partner}"
    if isinstance(entry, Scheduler) and entry.needs_checkpoints:
        yield "trials that save checkpoints"
    if isinstance(entry, Scheduler) and entry.new_processes:
        yield "a new process for each trial"


def _of_algorithm(entry: Algorithm) -> Iterator[str]:
    refused = [kind for kind, domain in _EXAMPLES.items() if entry.problem(Parameter("x", domain)) is not None]
    yield _wrapped(
        f"Searches all space functions but {', '.join(refused)}" if refused else "Searches all space functions"
    )
    if entry.needs_metric:
        learns = "learns" if entry.learns else "does not learn"
        yield _wrapped(f"It {learns} from points that the user adds")


def _line(name: str, text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=f"    {name:<22} ", subsequent_indent=" " * 27)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent="    ")
