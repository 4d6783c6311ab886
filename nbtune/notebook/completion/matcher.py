"""Completes a cell at the cursor, for IPython's matcher."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from nbtune.notebook.completion.body import complete_body
from nbtune.notebook.completion.candidates import NOTHING, Candidate, Completions
from nbtune.notebook.completion.cell import CellFacts, read_cell
from nbtune.notebook.completion.commands import complete_command
from nbtune.notebook.completion.options import complete_options, given_options
from nbtune.notebook.completion.place import Place, locate
from nbtune.notebook.completion.values import Line, known_values
from nbtune.notebook.completion.words import split_unfinished, words_after
from nbtune.spec.options.named import SCHEDULERS, SEARCHES
from nbtune.spec.options.options import OPTIONS

__all__ = ["Answer", "complete"]

_MAX_LINE = 10_000  # characters
_MAX_CANDIDATES = 500  # as IPython shows
_SETTING = re.compile(r"\s*(['\"]?)([^'\"]*)\Z")
_NAME = re.compile(r"NbTune\.(\w+)\s*=")


@dataclass(frozen=True)
class Answer:
    """What nbtune completes.

    Attributes:
        completions: the candidates.
        alone: whether nothing else is offered: names of Python mean nothing on a magic line.
    """

    completions: Completions
    alone: bool


def complete(text: str, line: int, column: int, namespace: Mapping[str, Any]) -> Answer | None:
    """Return the completions at the cursor; None where nbtune has none.

    It runs no code of the user, not even a property, does not start Ray, and waits for no cluster or network.

    Args:
        text: the text of the cell.
        line: the line of the cursor, from 0.
        column: its column.
        namespace: the notebook's variables.
    """
    place = locate(text, line, column)
    if place is None:
        return None
    if place.kind == "body":
        return Answer(_limited(_in_body(place)), alone=False)
    if len(place.before) > _MAX_LINE:
        return Answer(NOTHING, alone=True)
    if place.kind == "config":
        found = _setting(text.split("\n")[line], place, namespace)
        return Answer(found, alone=True) if found.candidates else None
    split = split_unfinished(place.before, place.after)
    if split is None:
        return Answer(NOTHING, alone=True)
    words, word = split
    after = words_after(place.after)
    if place.kind == "line":
        return Answer(_limited(complete_command(words, word, after, namespace)), alone=True)
    facts = cache(lambda: read_cell(place.body))
    return Answer(_limited(complete_options(words, word, after, namespace, facts)), alone=True)


def _limited(completions: Completions) -> Completions:
    return Completions(completions.fragment, completions.candidates[:_MAX_CANDIDATES])


def _in_body(place: Place) -> Completions:
    given = given_options(place.magic)
    metrics = [name.strip() for value in given.get("metric", ()) for name in value.split(",") if name.strip()]
    pairs = [part.partition("=")[0].strip() for value in given.get("datasets", ()) for part in value.split(",")]
    facts = cache(lambda: read_cell(place.body))
    return complete_body(place.before, place.after, facts, metrics, [name for name in pairs if name])


def _setting(text: str, place: Place, namespace: Mapping[str, Any]) -> Completions:
    """Complete the value of ``%config NbTune.NAME = VALUE``, which is Python."""
    name, typed = _NAME.search(text), _SETTING.fullmatch(place.before)
    if name is None or typed is None:
        return NOTHING
    option, (mark, part) = name[1], typed.groups()
    if option == "start":
        names = ["load", "sweep"]
    elif option in ("search", "scheduler"):
        names = list(SEARCHES if option == "search" else SCHEDULERS)
    elif option in OPTIONS:
        names = [one.text for one in known_values(option, part, Line(namespace, CellFacts))]
    else:
        return NOTHING
    closing = "" if mark and place.after[:1] == mark else mark or '"'
    found = [one for one in names if one.startswith(part) and not set("'\"\\") & set(one)]
    shown = [f"{one}{closing}" if mark else f'"{one}"' for one in found]
    return Completions(part, tuple(Candidate(one, "value") for one in shown)) if mark or not part else NOTHING
