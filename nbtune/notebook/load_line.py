"""``%tune load`` and its options: ``--trust``, ``--metric NAME`` and ``--mode min|max``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbtune.errors import SpecError
from nbtune.spec.options.tokenizer import split_line

if TYPE_CHECKING:
    from nbtune.results.experiment import Experiment

__all__ = ["load_line", "load_options"]

_OPTIONS = " [--trust] [--metric NAME --mode min|max]"
"""The options, as the usage of the command shows them."""


def load_line(
    line: str, read: Callable[[str, list[str], str], tuple[str, str | None]]
) -> tuple[Experiment, str | None]:
    """Open the experiment that a line names; return it, and the variable that the line names, or None.

    Args:
        line: the text after ``%tune load``.
        read: takes the usage, the words without options and the usage of the options; returns the path and the
            variable.

    Raises:
        SpecError: the line does not have the syntax of the command.
        ExperimentError: the folder contains no experiment.
    """
    from nbtune.launch.load import load

    words, options = load_options(line)
    path, variable = read("load PATH", words, _OPTIONS)
    return load(path, **options), variable


def load_options(line: str) -> tuple[list[str], dict[str, Any]]:
    """Return the words of a line without its options, and the options as arguments of `nbtune.load`.

    Args:
        line: the text after ``%tune load``.

    Raises:
        SpecError: an option has no value.
    """
    rest: list[str] = []
    options: dict[str, Any] = {}
    remaining = iter(split_line(line))
    for word in remaining:
        name, equals, value = word.partition("=")
        if word == "--trust":
            options["trust"] = True
        elif name in ("--metric", "--mode"):
            given = value if equals else next(remaining, "")
            if not given or given.startswith("--"):
                raise SpecError([f"{name} needs a value; usage: %tune load PATH [VARIABLE]{_OPTIONS}"])
            options[name.removeprefix("--")] = given
        else:
            rest.append(word)
    return rest, options
