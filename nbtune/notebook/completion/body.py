"""The names of nbtune in the code of a cell with ``%%tune``; Python's own names are left to IPython."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nbtune.notebook.completion.candidates import NOTHING, Candidate, Completions, candidates, matching
from nbtune.notebook.completion.cell import CellFacts
from nbtune.spec.cell.parse import HELPERS
from nbtune.spec.space.domain import SPACE_FUNCTIONS

__all__ = ["complete_body"]

_STRING = re.compile(r"""(?:\b[rRbBuUfF]{1,2})?('''|\"""|'|")""")
_NAME = re.compile(r"[^\W\d]\w*\Z|\Z")
_CALLED = re.compile(r"(?:^|[^\w.])((?:[^\W\d]\w{0,99}\.){0,5}([^\W\d]\w{0,99}))\s{0,9}\Z")
_KEYWORD = re.compile(r"(\w+)\s*=(?!=)")
_DECLARATION = re.compile(r"[^\W\d]\w*\s*:[^=]*\Z")
_DEFINED = re.compile(r"\s*(?:import|from|def|class|global|nonlocal|as)\b[^:;(]*\Z|.*\bas\s+\w*\Z")
_MAX = 100_000  # characters before the cursor


@dataclass
class _Position:
    """What the cursor is in: a comment, a string, and brackets that are not closed, the innermost last."""

    comment: bool = False
    string: int = -1
    brackets: list[int] = field(default_factory=list)


def complete_body(
    before: str, after: str, facts: Callable[[], CellFacts], metrics: Sequence[str], datasets: Sequence[str]
) -> Completions:
    """Return nbtune's names at the cursor: space functions, helpers, parameters, metrics and data sets.

    Args:
        before: the code up to the cursor.
        after: the code after it.
        facts: reads what the whole cell declares and reports.
        metrics: the metrics that the options name.
        datasets: the data sets that the options name.
    """
    if len(before) > _MAX:
        return NOTHING
    position = _scan(before)
    if position.comment:
        return NOTHING
    bracket = position.brackets[-1] if position.brackets else -1
    called = _CALLED.search(before[max(0, bracket - 200) : bracket]) if bracket >= 0 else None
    function = called[2] if called is not None and before[bracket] in "([" else ""
    if position.string >= 0:
        return _in_string(before, after, position, bracket, function, facts, metrics, datasets)
    name = _NAME.search(before[-200:])
    start = len(before) - len(name[0]) if name is not None else len(before)
    part, previous = before[start:], before[start - 1 : start]
    line = before[before.rfind("\n") + 1 :]
    if previous == "." or (previous.isalnum() and previous.isascii()) or _DEFINED.match(line[-1000:]):
        return NOTHING
    choices: list[Candidate] = []
    if bracket >= 0 and before[bracket] == "(" and before[:start].rstrip()[-1:] in ("(", ","):
        given = set(_KEYWORD.findall(before[bracket:start]))
        choices += [one for one in _keywords(function, facts, metrics) if one.text[:-1] not in given]
    declares = bool(_DECLARATION.match(_statement(before, position)))
    functions = candidates(SPACE_FUNCTIONS, "function")
    names = candidates(facts().parameters, "param")
    helpers = candidates([one for one in HELPERS if one not in SPACE_FUNCTIONS], "function")
    choices += [*functions, *names, *helpers] if declares else [*names, *helpers, *functions]
    return Completions(part, tuple(matching(choices, part)))


def _in_string(
    before: str,
    after: str,
    position: _Position,
    bracket: int,
    function: str,
    facts: Callable[[], CellFacts],
    metrics: Sequence[str],
    datasets: Sequence[str],
) -> Completions:
    """Complete the name of a data set, the key of a dictionary of parameters, or a metric in a dictionary."""
    opened = _STRING.match(before, position.string)
    if opened is None or bracket < 0:
        return NOTHING
    names: Sequence[str] = ()
    ahead = before[bracket + 1 : position.string].rstrip()
    if before[bracket] == "(" and function == "get_dataset_shard" and not ahead:
        names = datasets
    elif before[bracket] == "[" and not ahead:
        names = facts().parameters.get(function, ())
    elif before[bracket] == "{" and ahead[-1:] in ("", ",") and len(position.brackets) > 1:
        outer = position.brackets[-2]
        called = _CALLED.search(before[max(0, outer - 200) : outer])
        if before[outer] == "(" and called is not None and called[2] == "report":
            names = list(dict.fromkeys([*metrics, *facts().metrics]))
    part, mark = before[opened.end() :], opened[1]
    closing = "" if after.startswith(mark) else mark
    found = matching(candidates(names, "value"), part)
    return Completions(part, tuple(Candidate(f"{one.text}{closing}", one.type) for one in found))


def _keywords(function: str, facts: Callable[[], CellFacts], metrics: Sequence[str]) -> list[Candidate]:
    """Return the keyword arguments of a function of nbtune."""
    if function == "report":
        names = [name for name in dict.fromkeys([*metrics, *facts().metrics]) if name.isidentifier()]
        return [Candidate(f"{name}=", "param") for name in [*names, "checkpoint"]]
    if function in SPACE_FUNCTIONS:
        return [Candidate(f"{name}=", "param") for name in SPACE_FUNCTIONS[function].parameters]
    return []


def _statement(before: str, position: _Position) -> str:
    """Return the first line of the statement at the cursor, up to its first open bracket or the cursor."""
    end = position.brackets[0] if position.brackets else len(before)
    return before[before.rfind("\n", 0, end) + 1 : end]


def _scan(code: str) -> _Position:
    """Find what the end of the code is in."""
    position, at = _Position(), 0
    while at < len(code):
        character = code[at]
        if character == "#":
            end = code.find("\n", at)
            if end < 0:
                position.comment = True
                return position
            at = end
        elif character in "'\"" or (character in "rRbBuUfF" and _STRING.match(code, at)):
            opened = _STRING.match(code, at)
            assert opened is not None
            end = _end_of_string(code, opened.end(), opened[1])
            if end < 0:
                position.string = at
                return position
            at = end
            continue
        elif character in "([{":
            position.brackets.append(at)
        elif character in ")]}" and position.brackets:
            position.brackets.pop()
        at += 1
    return position


def _end_of_string(code: str, at: int, mark: str) -> int:
    """Return the position after the closing mark; -1 if the end of the code is inside. A line ends short strings."""
    while at < len(code):
        if code[at] == "\\":
            at += 2
        elif code.startswith(mark, at):
            return at + len(mark)
        elif code[at] == "\n" and len(mark) == 1:
            return at
        else:
            at += 1
    return -1
