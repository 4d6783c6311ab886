"""The arguments of ``%tune cluster``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nbtune.cluster.link.address import parse
from nbtune.errors import ClusterError, Problem, SpecError, did_you_mean
from nbtune.spec.options.tokenizer import read_arguments, split_line
from nbtune.spec.units import parse_duration

__all__ = ["ClusterCommand", "parse_cluster_line"]

_USAGE = (
    "%tune cluster [HOST:PORT | ray://HOST:PORT | auto | local],"
    " %tune cluster start [--cpus N] [--gpus N] [--idle TIME], %tune cluster stop"
)


@dataclass(frozen=True)
class ClusterCommand:
    """A parsed ``%tune cluster`` line.

    Attributes:
        action: "connect", "start" or "stop".
        options: the keyword arguments of `connect` or `start_cluster`.
    """

    action: str
    options: dict[str, Any] = field(default_factory=dict)


def parse_cluster_line(line: str) -> ClusterCommand:
    """Parse the text after ``%tune cluster``.

    Args:
        line: an address, ``start`` with its options, ``stop``, or an empty string for the default cluster.

    Raises:
        SpecError: it has every mistake of the line.
    """
    words = split_line(line)
    if not words:
        return ClusterCommand("connect", {"address": None})
    word, *arguments = words
    if word == "start":
        return ClusterCommand("start", _start_options(arguments))
    if word != "stop":
        try:
            parse(word)
        except ClusterError as error:
            hint = did_you_mean(word, ["start", "stop", "auto", "local"])
            message = str(error) if ":" in word else f"%tune cluster: unknown command {word!r}{hint}"
            raise SpecError([f"{message}; usage: {_USAGE}"]) from None
    if arguments:
        raise SpecError([f"%tune cluster {word}: unexpected {' '.join(arguments)!r}; usage: {_USAGE}"])
    return ClusterCommand("stop") if word == "stop" else ClusterCommand("connect", {"address": word})


def _start_options(words: list[str]) -> dict[str, Any]:
    """Read the options of ``%tune cluster start``."""
    options: dict[str, Any] = {}
    problems: list[Problem | str] = []
    for argument in read_arguments(words):
        flag, name, value = argument.flag, argument.name, argument.value
        if not flag or name not in _READERS:
            hint = did_you_mean(flag, [f"--{name}" for name in _READERS])
            problems.append(f"%tune cluster start: unknown argument {flag or value}{hint}; usage: {_USAGE}")
            continue
        read, expected = _READERS[name]
        if value is None:
            problems.append(f"{flag} needs a value: {expected}")
            continue
        if name in options:
            problems.append(f"{flag} is given twice")
        try:
            options[name] = read(value)
        except ValueError:
            problems.append(f"{flag}: expected {expected}, got {value!r}")
    if problems:
        raise SpecError(problems)
    return options


def _integer_from(minimum: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text)
        if number < minimum:
            raise ValueError(text)
        return number

    return read


_READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "cpus": (_integer_from(1), "an integer >= 1"),
    "gpus": (_integer_from(0), "an integer >= 0"),
    "idle": (parse_duration, "a duration such as 90s, 30m or 2h"),
}
