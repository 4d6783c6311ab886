"""The options of a magic line, and the word at the cursor: the name of an option, or its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nbtune.errors import FLAGS
from nbtune.notebook.completion.candidates import NOTHING, Candidate, Completions
from nbtune.notebook.completion.cell import CellFacts
from nbtune.notebook.completion.values import Line, complete_value
from nbtune.notebook.completion.words import Word, split_unfinished
from nbtune.spec.options.line import SWITCHES
from nbtune.spec.options.options import OPTIONS

__all__ = ["complete_options", "given_options", "option_flags"]

_NAMES = {flag: name for name, flag in FLAGS.items()}
_WITHOUT_VALUE = SWITCHES | {"help"}
_REPEATABLE = {"datasets"}
_EXCLUSIVE = ({"wait", "no_wait"}, {"replace", "new"})


def option_flags() -> dict[str, str]:
    """Return all flags of a magic line, without the dashes and with underscores -> as they are written."""
    flags = [option.flag for name, option in OPTIONS.items() if name != "wait"]
    flags[3:3] = ["--space"]
    flags += ["--wait", "--no-wait", "--dry-run", "--replace", "--new", "--help"]
    return {flag[2:].replace("-", "_"): flag for flag in flags}


def complete_options(
    words: Sequence[str],
    word: Word,
    after: Sequence[str],
    namespace: Mapping[str, Any],
    facts: Callable[[], CellFacts],
    positional: Sequence[Candidate] = (),
) -> Completions:
    """Return the completions on a line of options.

    Args:
        words: the words before the cursor.
        word: the word at the cursor.
        after: the words after it.
        namespace: the notebook's variables.
        facts: reads what is tuned: its parameters and metrics.
        positional: what may stand here beside options.
    """
    line = Line(namespace, facts, _given([*words, *after]))
    flag, equals, _ = word.value.partition("=")
    if flag.startswith("--") and equals:
        if not word.raw.startswith(f"{flag}=") or _name(flag) in _WITHOUT_VALUE:
            return NOTHING
        return complete_value(_name(flag), word.after(f"{flag}="), line)
    if words and _takes_value(words) and not word.value.startswith("--"):
        return complete_value(_name(words[-1]), word, line)
    if not word.value or word.value.startswith("-"):
        return _flags(word, line, positional)
    return word.complete(word.value, positional)


def _flags(word: Word, line: Line, positional: Sequence[Candidate]) -> Completions:
    taken = {name for name in line.given if name not in _REPEATABLE}
    for group in _EXCLUSIVE:
        if taken & group:
            taken |= group
    flags = {name: flag for name, flag in option_flags().items() if _NAMES.get(name, name) not in taken}
    choices = [*positional, *(Candidate(flag, "keyword") for flag in flags.values())]
    if "_" in word.value:  # also allowed, as in Python
        choices = [Candidate(choice.text[:2] + choice.text[2:].replace("-", "_"), "keyword") for choice in choices]
    return word.complete(word.value, choices)


def _takes_value(words: Sequence[str]) -> bool:
    """Tell whether the next word is the value of the last one."""
    pending = False
    for word in words:
        pending = word.startswith("--") and "=" not in word and _name(word) not in _WITHOUT_VALUE
    return pending


def given_options(line: str) -> dict[str, list[str]]:
    """Return the options of a line with their values, as text, as far as it can be read.

    Args:
        line: the text after the name of the magic.
    """
    split = split_unfinished(line)
    return {} if split is None else _given([*split[0], split[1].value])


def _given(words: Sequence[str]) -> dict[str, list[str]]:
    """Return the options of a line with their values, as text."""
    given: dict[str, list[str]] = {}
    name: str | None = None
    for word in words:
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            name = _name(flag)
            given.setdefault(name, []).extend([value] if equals else [])
            if equals or name in _WITHOUT_VALUE:
                name = None
        elif name is not None:
            given[name].append(word)
            name = None
    return given


def _name(flag: str) -> str:
    name = flag[2:].replace("-", "_")
    return _NAMES.get(name, name)
