"""The exceptions of nbtune.

    NbtuneError
    ├── SpecError         what was asked for is wrong; nothing was started
    ├── ClusterError      no cluster could be reached or started
    └── ExperimentError   an experiment failed, was lost, or cannot be read

In a notebook they show as a message, not as a traceback: what was given, what is allowed and
what to do. In a program they are ordinary exceptions::

    try:
        experiment = nbtune.tune(train, space, metric="accuracy", mode="max")
    except nbtune.NbtuneError as error:
        print(error)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["ClusterError", "ExperimentError", "NbtuneError", "Problem", "SpecError", "did_you_mean"]


class NbtuneError(Exception):
    """The base of every error that nbtune raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """Show the message alone: IPython calls this in place of formatting a traceback."""
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Problem:
    """One mistake found before anything started.

    Attributes:
        message: what was given, what is allowed and what to do.
        line: the line of the cell, counted from 1, or None where it is not about a line.
    """

    message: str
    line: int | None = None

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line}: {self.message}"


class SpecError(NbtuneError):
    """What was asked for is wrong. Nothing was started.

    Attributes:
        problems: every mistake that was found, in the order of the lines.
    """

    def __init__(self, problems: Sequence[Problem | str]) -> None:
        found = [p if isinstance(p, Problem) else Problem(p) for p in problems]
        self.problems = sorted(dict.fromkeys(found), key=lambda problem: problem.line or 0)
        if len(self.problems) == 1:
            text = str(self.problems[0])
        else:
            lines = "\n".join(f"  - {problem}" for problem in self.problems)
            text = f"{len(self.problems)} problems, nothing was started:\n{lines}"
        super().__init__(text)

    def __reduce__(self) -> tuple[type[SpecError], tuple[list[Problem]]]:
        return type(self), (self.problems,)


class ClusterError(NbtuneError):
    """No Ray cluster could be reached or started."""


class ExperimentError(NbtuneError):
    """An experiment failed, was lost, or cannot be read."""


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` where something similar is allowed, else an empty string."""
    close = difflib.get_close_matches(given, list(allowed), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
