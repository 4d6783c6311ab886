"""The magic line as the fields of a form, and back."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from nbtune.spec.options.line import SWITCHES, parse_line
from nbtune.spec.options.options import make_spec

__all__ = ["FIELDS", "line_options", "line_problems", "read_line", "write_line"]

FIELDS = ("name", "metric", "mode", "samples", "search", "scheduler", "more")
"""The fields: the options that a form asks for, and what else stands on the line."""


def read_line(line: str) -> dict[str, str]:
    """Return the texts of the fields.

    Args:
        line: the text behind ``%%tune``.
    """
    fields = dict.fromkeys(FIELDS, "")
    try:
        words = shlex.split(line)
    except ValueError:  # an open quote: it is shown as it is, and what is wrong with it
        return {**fields, "more": line.strip()}
    more: list[str] = []
    while words:
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        option = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--"):
            if fields["name"]:
                more.append(word)
            else:
                fields["name"] = word
            continue
        takes = not equals and option not in SWITCHES and words and not words[0].startswith("--")
        if takes:
            value = words.pop(0)
        if option in FIELDS[1:-1] and value and not fields[option]:
            fields[option] = value
        else:
            more += [word, value] if takes else [word]
    return {**fields, "more": " ".join(map(_quoted, more))}


def write_line(fields: Mapping[str, str]) -> str:
    """Return the magic line of fields."""
    words = [_quoted(fields["name"])] if fields["name"] else []
    words += [f"--{option} {_quoted(fields[option])}" for option in FIELDS[1:-1] if fields[option]]
    return " ".join(["%%tune", *words, *filter(None, [fields["more"]])])


def line_options(fields: Mapping[str, str], namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of fields in which nothing is wrong, as `nbtune.tune` takes them."""
    return parse_line(write_line(fields).removeprefix("%%tune"), namespace).options


def line_problems(fields: Mapping[str, str], namespace: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong, a sentence for each field that is.

    Args:
        fields: the texts.
        namespace: the notebook's variables, for options that are their names.
    """
    try:
        shlex.split(fields["more"])
    except ValueError as error:  # of the fields only this one is taken as it is
        return {"more": f"{fields['more']} cannot be read: {error}"}
    parsed = parse_line(write_line(fields).removeprefix("%%tune"), namespace)
    found: dict[str, str] = {}
    for problem in [*parsed.problems, *make_spec(parsed.options)[1]]:
        text = problem.message
        named = [word.strip("':,").removeprefix("--") for word in text.split() if word.startswith("--")]
        field = next((option for option in named if option in FIELDS[:-1]), "more")
        found.setdefault(field, text.removeprefix(f"--{field}: "))
    return found


def _quoted(word: str) -> str:
    """Return a word as it is written on the line: with quotes where it needs them."""
    try:
        plain = shlex.split(word) == [word]
    except ValueError:
        plain = False
    return word if plain else shlex.quote(word)
