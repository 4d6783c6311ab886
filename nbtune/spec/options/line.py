"""The magic line: words to options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.errors import Problem, SpecError, did_you_mean
from nbtune.spec.options.options import OPTIONS, SCHEDULERS, SEARCHES
from nbtune.spec.options.tokenizer import read_arguments, split_line

__all__ = ["SWITCHES", "Line", "parse_line"]


@dataclass
class Line:
    """What stood on a magic line.

    Attributes:
        options: option -> value, a string or the value of a notebook variable.
        space: the value of the variable that `--space` names, or None.
        dry_run: whether `--dry-run` was there.
        problems: what was wrong.
    """

    options: dict[str, Any] = field(default_factory=dict)
    space: Any = None
    dry_run: bool = False
    problems: list[Problem] = field(default_factory=list)


def parse_line(line: str, namespace: Mapping[str, Any]) -> Line:
    """Parse ``NAME --option VALUE --option=VALUE --switch`` in any order.

    Args:
        line: the text behind the magic's name.
        namespace: the notebook's variables, for values that are their names.
    """
    parsed = Line()
    try:
        words = split_line(line)
    except SpecError as error:
        parsed.problems += error.problems
        return parsed
    for argument in read_arguments(words, SWITCHES):
        name, flag, value = argument.name, argument.flag, argument.value
        if not flag:
            _positional(str(value), parsed)
        elif name in SWITCHES:
            if value is not None:
                parsed.problems.append(Problem(f"{flag} takes no value, got {value!r}"))
            _switch(name, parsed)
        elif name in OPTIONS or name == "space":
            if value is None:
                parsed.problems.append(Problem(f"{flag} needs a value"))
            else:
                (_space if name == "space" else _option)(name, value, parsed, namespace)
        else:
            known = [option.flag for option in OPTIONS.values()]
            known += ["--space", *_SWITCHES_AS_FLAGS]
            parsed.problems.append(Problem(f"there is no option {flag}{did_you_mean(flag, known)}; %%tune? lists them"))
    return parsed


SWITCHES = {"wait", "no_wait", "dry_run"}
_SWITCHES_AS_FLAGS = ["--wait", "--no-wait", "--dry-run"]


def _positional(word: str, parsed: Line) -> None:
    if "name" in parsed.options:
        parsed.problems.append(
            Problem(
                f"{word!r} is one word too many: the name is {parsed.options['name']!r} already, options start with --"
            )
        )
    else:
        parsed.options["name"] = word


def _switch(name: str, parsed: Line) -> None:
    if name == "dry_run":
        parsed.dry_run = True
    else:
        parsed.options["wait"] = name == "wait"


def _option(name: str, word: str, parsed: Line, namespace: Mapping[str, Any]) -> None:
    if name in parsed.options:
        parsed.problems.append(Problem(f"--{name.replace('_', '-')} is given twice"))
    if OPTIONS[name].shows == "VAR" and word not in namespace:
        hint = did_you_mean(word, (key for key in namespace if not key.startswith("_")))
        parsed.problems.append(Problem(f"--{name}: there is no variable {word!r}{hint}"))
    elif _names_variable(name, word, namespace):
        parsed.options[name] = namespace[word]
    else:
        parsed.options[name] = word


def _space(name: str, word: str, parsed: Line, namespace: Mapping[str, Any]) -> None:
    if parsed.space is not None:
        parsed.problems.append(Problem(f"--{name} is given twice"))
    if word in namespace:
        parsed.space = namespace[word]
    else:
        hint = did_you_mean(word, (key for key in namespace if not key.startswith("_")))
        parsed.problems.append(Problem(f"--{name}: there is no variable {word!r}{hint}"))


def _names_variable(option: str, word: str, namespace: Mapping[str, Any]) -> bool:
    short = {"search": SEARCHES, "scheduler": SCHEDULERS}.get(option, {})
    return OPTIONS[option].variable and word.isidentifier() and word not in short and word in namespace
