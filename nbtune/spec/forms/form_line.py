"""The magic line as the fields of a form, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbtune.errors import SpecError
from nbtune.spec.options.line import SWITCHES, parse_line
from nbtune.spec.options.options import make_spec
from nbtune.spec.options.tokenizer import quote, read_arguments, split_comment, split_line

__all__ = ["FIELDS", "line_options", "line_problems", "read_line", "write_line"]

FIELDS = ("name", "metric", "mode", "samples", "search", "scheduler", "more")
"""The fields: the options with an input of their own, and "more" for the rest of the line."""


def read_line(line: str) -> dict[str, str]:
    """Split a magic line into the texts of the fields.

    Args:
        line: the text after ``%%tune``.

    Returns:
        A text for each of `FIELDS`. A line that cannot be split, because of an open quote, is "more" as a whole.
    """
    fields = dict.fromkeys(FIELDS, "")
    try:
        words, comment = split_comment(line)
    except SpecError:  # an open quote: the line is shown unchanged, with the error
        return {**fields, "more": line.strip()}
    more: list[str] = []
    for argument in read_arguments(words, SWITCHES):
        field, value = argument.name if argument.flag else "name", argument.value
        if field in FIELDS[:-1] and argument.flag != "--name" and value and not fields[field]:
            fields[field] = value
        elif argument.attached:
            more.append(f"{argument.flag}={value}")
        else:
            more += [word for word in (argument.flag or None, value) if word is not None]
    return {**fields, "more": " ".join([*map(quote, more), *filter(None, [comment])])}


def write_line(fields: Mapping[str, str]) -> str:
    """Return the magic line for the texts of the fields.

    Args:
        fields: a text for each of `FIELDS`; empty ones are omitted. "more" is inserted verbatim.
    """
    words = [quote(fields["name"])] if fields["name"] else []
    words += [f"--{option} {quote(fields[option])}" for option in FIELDS[1:-1] if fields[option]]
    return " ".join(["%%tune", *words, *filter(None, [fields["more"]])])


def line_options(fields: Mapping[str, str], namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of `nbtune.tune` for valid fields.

    Args:
        fields: a text for each of `FIELDS`, for which `line_problems` returns nothing.
        namespace: the notebook's variables, which options may refer to by name.
    """
    return parse_line(write_line(fields).removeprefix("%%tune"), namespace).options


def line_problems(fields: Mapping[str, str], namespace: Mapping[str, Any]) -> dict[str, str]:
    """Validate the fields.

    Args:
        fields: a text for each of `FIELDS`.
        namespace: the notebook's variables, which options may refer to by name.

    Returns:
        Field -> its first problem, for the invalid fields only.
    """
    try:
        split_line(fields["more"])
    except SpecError as error:  # the only field that is written on the line without quotes
        return {"more": str(error)}
    parsed = parse_line(write_line(fields).removeprefix("%%tune"), namespace)
    problems: dict[str, str] = {}
    for problem in [*parsed.problems, *make_spec(parsed.options)[1]]:
        has_field = problem.option in FIELDS[:-1]
        field = str(problem.option) if has_field else "more"
        problems.setdefault(field, problem.render("line", subject=not has_field))
    return problems
