"""What the tab key offers: candidates, and the text before the cursor that they replace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["NOTHING", "Candidate", "Completions", "candidates", "matching"]


@dataclass(frozen=True)
class Candidate:
    """One completion.

    Attributes:
        text: what it stands for, without quotes; in `Completions`, what is inserted.
        type: its kind, which JupyterLab shows beside it: "keyword", "value", "param", "function", "instance", "path".
        final: whether the word is complete with it; not so for a folder, or for a name before ``(`` or ``=``.
    """

    text: str
    type: str
    final: bool = True


@dataclass(frozen=True)
class Completions:
    """The candidates at the cursor.

    Attributes:
        fragment: the text before the cursor that a candidate replaces.
        candidates: the candidates, in the order in which they are shown.
    """

    fragment: str = ""
    candidates: tuple[Candidate, ...] = field(default_factory=tuple)


NOTHING = Completions()


def candidates(names: Iterable[str], kind: str, *, final: bool = True) -> list[Candidate]:
    """Return a candidate for each name.

    Args:
        names: the names.
        kind: the type of all.
        final: as for `Candidate`.
    """
    return [Candidate(name, kind, final) for name in names]


def matching(choices: Iterable[Candidate], start: str) -> list[Candidate]:
    """Return the candidates that begin with a text, each text once; without regard to case only if there are no others.

    Args:
        choices: the candidates.
        start: the text.
    """
    distinct = list({choice.text: choice for choice in reversed(list(choices))}.values())[::-1]
    exact = [choice for choice in distinct if choice.text.startswith(start)]
    return exact or [choice for choice in distinct if choice.text.lower().startswith(start.lower())]
