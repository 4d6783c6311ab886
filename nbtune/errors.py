"""The exceptions of nbtune.

    NbtuneError
    ├── SpecError         the request is invalid; nothing was started
    ├── ClusterError      no cluster could be reached or started
    └── ExperimentError   an experiment failed, was lost, or cannot be read
        ├── WaitTimeoutError   it is not over in time; also a TimeoutError
        └── UntrustedError     it needs code of a folder that is not trusted

In a notebook they show as a message, not as a traceback: what was given, what is allowed and
what to do. In a program they are ordinary exceptions::

    try:
        experiment = nbtune.tune(train, space, metric="accuracy", mode="max")
    except nbtune.NbtuneError as error:
        print(error)

An option has two spellings, ``metric="accuracy"`` for a caller of Python and ``--metric accuracy`` on the magic line.
A message refers to an option by `option_ref`; `spell_option` is the one place that writes it out, when the message is
shown.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from nbtune.passwords import without_passwords
from nbtune.shown import shown_lines

__all__ = [
    "FLAGS",
    "ClusterError",
    "Code",
    "ExperimentError",
    "NbtuneError",
    "Problem",
    "SpecError",
    "Spelling",
    "UntrustedError",
    "WaitInterrupted",
    "WaitTimeoutError",
    "did_you_mean",
    "option_ref",
    "spell",
    "spell_option",
    "spelled",
]

Spelling = Literal["python", "line"]
"""How options are written: ``metric=…`` (Python), or ``--metric`` (the magic line)."""

Code = Literal[
    "invalid",  # a value that is not allowed
    "missing",  # something that is required is not given
    "unknown",  # a name that does not exist
    "repeated",  # given or declared more than once
    "conflict",  # things that exclude each other
    "syntax",  # a text that cannot be parsed
    "unplaceable",  # resources that no node can provide
    "unpicklable",  # a value that cannot be sent to the trials
    "unsupported",  # something that cannot be done here
]
"""What kind of mistake a `Problem` is."""

# Private-use characters, which no message contains otherwise.
_START, _END = "\ue000", "\ue001"
_REFERENCE = re.compile(f"{_START}([a-z_]+)(?:=([^{_START}{_END}]*))?{_END}")


_MAX_MESSAGE = 2000  # characters


def option_ref(name: str, value: str | None = None) -> str:
    """Return a reference to an option, for the text of a message.

    Args:
        name: the option's name, as a keyword argument of `nbtune.tune`.
        value: the value to show with it, or a placeholder in capitals; None for the option alone.
    """
    return f"{_START}{name}{_END}" if value is None else f"{_START}{name}={value}{_END}"


FLAGS = {"warm_start": "from", "datasets": "dataset"}
"""Options whose flag has another name: Python does not allow it for an argument, or each flag gives one of several."""


def spell_option(name: str, value: str | None, spelling: Spelling) -> str:
    """Return an option as its user writes it: ``--mode min`` or ``mode="min"``.

    Args:
        name: as in `option_ref`.
        value: as in `option_ref`.
        spelling: for the magic line or for Python.
    """
    if spelling == "line":
        flag = "--" + FLAGS.get(name, name).replace("_", "-")
        return flag if value is None else f"{flag} {value}"
    if value is None:
        return f"{name}=…"
    return f"{name}={value}" if value.isupper() else f'{name}="{value}"'


def spell(text: str, spelling: Spelling) -> str:
    """Return the text of a message with its references to options written out.

    Args:
        text: the text; its references were made by `option_ref`.
        spelling: for the magic line or for Python.
    """
    return _REFERENCE.sub(lambda found: spell_option(found[1], found[2], spelling), text)


class NbtuneError(Exception):
    """The base of every error that nbtune raises on purpose.

    Its arguments are texts, or a `Problem` where the error is about an option.

    Attributes:
        spelling: how its message writes options; the magics set it to "line".
    """

    spelling: Spelling = "python"

    def render(self, spelling: Spelling) -> str:
        """Return the message.

        Args:
            spelling: how it writes options.
        """
        parts = (
            part.render(spelling) if isinstance(part, Problem) else spell(str(part), spelling) for part in self.args
        )
        return "\n".join(parts)

    def __str__(self) -> str:
        return shown_lines(without_passwords(self.render(self.spelling)))

    def _render_traceback_(self) -> list[str]:
        """Show the message alone: IPython calls this in place of formatting a traceback."""
        return [f"{type(self).__name__}: {self}"]


@contextmanager
def spelled(spelling: Spelling) -> Iterator[None]:
    """Let the errors that leave a ``with`` block write options in one spelling.

    Args:
        spelling: the spelling of the caller: the magics are the only one that is not "python".
    """
    try:
        yield
    except NbtuneError as error:
        error.spelling = spelling
        raise


@dataclass(frozen=True)
class Problem:
    """One mistake found before anything started.

    Attributes:
        message: what was given, what is allowed and what to do, without the name of the option or parameter that it is
            about. Other options in it are references, see `option_ref`.
        line: the line of the cell, counted from 1, or None where it is not about a line.
        code: what kind of mistake it is.
        option: the name of the option that it is about, or None.
        parameter: the name of the parameter that it is about, or None.
        field: the part of the parameter that it is about: an argument of its space function, such as "lower", or None.
    """

    message: str
    line: int | None = None
    code: Code = "invalid"
    option: str | None = None
    parameter: str | None = None
    field: str | None = None

    def render(self, spelling: Spelling = "python", *, subject: bool = True, line: bool = True) -> str:
        """Return it as a person reads it.

        Args:
            spelling: how options are written.
            subject: whether the option or parameter is named in front; not where a field of a form shows it.
            line: whether the line of the cell is named in front.
        """
        parts = []
        if line and self.line is not None:
            parts.append(f"line {self.line}")
        if subject and self.option is not None:
            parts.append(spell_option(self.option, None, spelling))
        if subject and self.parameter is not None:
            parts.append(self.parameter)
        return ": ".join([*parts, spell(self.message, spelling)])

    def __str__(self) -> str:
        return self.render()


class SpecError(NbtuneError):
    """The request is invalid. Nothing was started.

    Args:
        problems: every mistake that was found.

    Attributes:
        problems: the same, each once, in the order of their lines.
    """

    def __init__(self, problems: Sequence[Problem | str]) -> None:
        distinct = dict.fromkeys(problem if isinstance(problem, Problem) else Problem(problem) for problem in problems)
        self.problems = sorted(distinct, key=lambda problem: problem.line or 0)
        super().__init__(self.problems)

    def render(self, spelling: Spelling) -> str:
        """Return the message: the problem, or a list of them."""
        texts = [_shortened(problem.render(spelling)) for problem in self.problems]
        if len(texts) == 1:
            return texts[0]
        return "\n".join([f"{len(texts)} problems, nothing was started:", *(f"  - {text}" for text in texts)])


def _shortened(text: str) -> str:
    """Return a message without its middle if it shows a very long text that the user has given."""
    return text if len(text) <= _MAX_MESSAGE else f"{text[: _MAX_MESSAGE - 300]} […] {text[-300:]}"


class ClusterError(NbtuneError):
    """No Ray cluster could be reached or started."""


class ExperimentError(NbtuneError):
    """An experiment failed, was lost, or cannot be read."""


class WaitTimeoutError(ExperimentError, TimeoutError):
    """An experiment is not over in time."""


class UntrustedError(ExperimentError):
    """Something needs code or objects of an experiment's folder that is not trusted; looking at it does not."""


class WaitInterrupted(KeyboardInterrupt):
    """The user has interrupted a call that waits. In a notebook it shows as its message, and no further cells run."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` where something similar is allowed, else an empty string.

    Args:
        given: what was given.
        allowed: what is allowed.
    """
    close = difflib.get_close_matches(given, list(allowed), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
