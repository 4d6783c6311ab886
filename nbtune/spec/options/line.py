"""The magic line: from its words to options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.errors import FLAGS, Problem, SpecError, did_you_mean
from nbtune.spec.options.datasets import named_datasets
from nbtune.spec.options.named import SCHEDULERS, SEARCHES
from nbtune.spec.options.options import OPTIONS
from nbtune.spec.options.tokenizer import read_arguments, split_line

__all__ = ["SWITCHES", "Line", "parse_line"]


SWITCHES = {"wait", "no_wait", "dry_run", "replace", "new"}
"""The names of the options without a value."""
_FLAGS = [*(option.flag for option in OPTIONS.values()), "--no-wait", "--space", "--dry-run", "--replace", "--new"]


_NAMES = {flag: name for name, flag in FLAGS.items()}


@dataclass
class Line:
    """A parsed magic line.

    Attributes:
        options: option -> value, a string or the value of a notebook variable.
        space: the value of the variable that `--space` names, or None.
        dry_run: whether `--dry-run` was given.
        replace: whether `--replace` was given: a running experiment of the same name is stopped first.
        new: whether `--new` was given: the experiment gets another name if its own is a variable already.
        problems: the mistakes that were found.
    """

    options: dict[str, Any] = field(default_factory=dict)
    space: Any = None
    dry_run: bool = False
    replace: bool = False
    new: bool = False
    problems: list[Problem] = field(default_factory=list)


def parse_line(line: str, namespace: Mapping[str, Any]) -> Line:
    """Parse ``NAME --option VALUE --option=VALUE --switch`` in any order.

    Args:
        line: the text after the name of the magic.
        namespace: the notebook's variables, for values that are their names.
    """
    parsed = Line()
    try:
        words = split_line(line)
    except SpecError as error:
        parsed.problems += error.problems
        return parsed
    for argument in read_arguments(words, SWITCHES):
        name, flag, value = _NAMES.get(argument.name, argument.name), argument.flag, argument.value
        if not flag:
            _read_positional(str(value), parsed)
        elif name in SWITCHES:
            if value is not None:
                parsed.problems.append(Problem(f"{flag} takes no value, got {value!r}", code="syntax"))
            _read_switch(name, parsed)
        elif name in OPTIONS or name == "space":
            if value is None:
                parsed.problems.append(Problem("expected a value, got none", code="missing", option=name))
            else:
                (_read_space if name == "space" else _read_option)(name, value, parsed, namespace)
        else:
            text = f"unknown option {flag}{did_you_mean(flag, _FLAGS)}; %%tune? lists all options"
            parsed.problems.append(Problem(text, code="unknown"))
    return parsed


def _read_positional(word: str, parsed: Line) -> None:
    if "name" in parsed.options:
        text = f"unexpected {word!r}: the name is already {parsed.options['name']!r}, and options start with --"
        parsed.problems.append(Problem(text, code="syntax"))
    else:
        parsed.options["name"] = word


def _read_switch(name: str, parsed: Line) -> None:
    if name in {"dry_run", "replace", "new"}:
        setattr(parsed, name, True)
        if parsed.replace and parsed.new:
            text = "--replace and --new exclude each other: one stops the running experiment, the other keeps it"
            parsed.problems.append(Problem(text, code="conflict"))
    else:
        parsed.options["wait"] = name == "wait"


def _read_option(name: str, word: str, parsed: Line, namespace: Mapping[str, Any]) -> None:
    if name == "datasets":
        _read_datasets(word, parsed, namespace)
        return
    if name in parsed.options:
        parsed.problems.append(_given_twice(name))
    if OPTIONS[name].shows == "VAR" and word not in namespace:
        parsed.problems.append(_unknown_variable(name, word, namespace))
    elif _names_variable(name, word, namespace):
        parsed.options[name] = namespace[word]
    else:
        parsed.options[name] = word


def _read_datasets(word: str, parsed: Line, namespace: Mapping[str, Any]) -> None:
    """Read ``NAME=VAR,…``, or the name of a variable: of a data set, or of a dictionary of them."""
    name, known = "datasets", parsed.options.get("datasets", {})
    if word in namespace:
        given = named_datasets(namespace[word], word)
        pairs = dict(given) if isinstance(given, Mapping) else {}
    else:
        parts = [part.partition("=") for part in word.split(",")]
        variables = [variable.strip() or key.strip() for key, _, variable in parts]
        if unknown := [variable for variable in variables if variable not in namespace]:
            parsed.problems.append(_unknown_variable(name, unknown[0], namespace))
            return
        given = pairs = {key.strip(): namespace[one] for (key, _, _), one in zip(parts, variables, strict=True)}
        if len(pairs) < len(parts):
            parsed.problems.append(_given_twice(name))
    if isinstance(known, Mapping) and pairs:
        if known.keys() & pairs:
            parsed.problems.append(_given_twice(name))
        parsed.options[name] = {**known, **pairs}
    else:
        parsed.options[name] = given


def _read_space(name: str, word: str, parsed: Line, namespace: Mapping[str, Any]) -> None:
    if parsed.space is not None:
        parsed.problems.append(_given_twice(name))
    if word in namespace:
        parsed.space = namespace[word]
    else:
        parsed.problems.append(_unknown_variable(name, word, namespace))


def _given_twice(name: str) -> Problem:
    return Problem("given more than once", code="repeated", option=name)


def _unknown_variable(name: str, word: str, namespace: Mapping[str, Any]) -> Problem:
    hint = did_you_mean(word, (key for key in namespace if not key.startswith("_")))
    return Problem(f"expected the name of a variable, got {word!r}{hint}", code="unknown", option=name)


def _names_variable(option: str, word: str, namespace: Mapping[str, Any]) -> bool:
    """Tell whether a value is the name of a variable; the names of algorithms take precedence."""
    algorithms = {"search": SEARCHES, "scheduler": SCHEDULERS}.get(option, ())
    return OPTIONS[option].variable and word.isidentifier() and word not in algorithms and word in namespace
