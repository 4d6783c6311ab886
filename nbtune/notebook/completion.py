"""Completes the lines of ``%%tune`` and ``%tune``: options, search algorithms and schedulers with their arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nbtune.spec.options.named import SCHEDULERS, SEARCHES
from nbtune.spec.options.options import OPTIONS

__all__ = ["complete_line"]

_VALUE = re.compile(r"--(search|scheduler)(?:\s+|=)[\"']?(\w*)$")
_ARGUMENT = re.compile(r"--(search|scheduler)(?:\s+|=)[\"']?(\w+)\((?:[^()]*,)?\s*(\w*)$")
_HELP = re.compile(r"%tune\s+help\s+(\w*)$")
_NAMES = {"search": SEARCHES, "scheduler": SCHEDULERS}


def complete_line(_: Any, event: Any) -> list[str]:
    """Return the completions of a line, for IPython's hook ``complete_command``.

    Args:
        event: has the text up to the cursor.
    """
    text: str = event.text_until_cursor
    if found := _HELP.search(text):
        return _beginning([*_NAMES, *dict.fromkeys([*SEARCHES, *SCHEDULERS])], found[1])
    if found := _VALUE.search(text):
        return _beginning(_NAMES[found[1]], found[2])
    if found := _ARGUMENT.search(text):
        return [f"{name}=" for name in _beginning(_arguments(found[1], found[2]), found[3])]
    word = text.split()[-1] if text and not text[-1].isspace() else ""
    if word.startswith("--") and "=" not in word:
        return _beginning([option.flag for option in OPTIONS.values() if option.name != "name"], word)
    return []


def _arguments(option: str, name: str) -> Mapping[str, str]:
    from nbtune.engine.search.registry import ALGORITHMS, SCHEDULERS

    entries: Mapping[str, Any] = ALGORITHMS if option == "search" else SCHEDULERS
    return entries[name].arguments if name in entries else {}


def _beginning(names: Iterable[str], start: str) -> list[str]:
    return [name for name in names if name.startswith(start)]
