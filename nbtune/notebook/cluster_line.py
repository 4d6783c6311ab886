"""The line of ``%tune cluster``: words to what is to be done."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any

from nbtune.cluster.link.address import parse
from nbtune.errors import ClusterError, SpecError, did_you_mean
from nbtune.spec.units import parse_duration

__all__ = ["Order", "read_line"]

_SHAPES = (
    "%tune cluster with HOST:PORT, ray://HOST:PORT, auto, local or nothing;"
    " with start [--cpus N] [--gpus N] [--idle TIME]; or with stop"
)


@dataclass(frozen=True)
class Order:
    """What a line asks for.

    Attributes:
        action: "connect", "start" or "stop".
        options: the keyword arguments of the function that does it.
    """

    action: str
    options: dict[str, Any] = field(default_factory=dict)


def read_line(line: str) -> Order:
    """Read what follows ``%tune cluster``.

    Raises:
        SpecError: it names every mistake, and what may be written.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise SpecError([f"%tune cluster {line}: {error}; write {_SHAPES}"]) from None
    if not words:
        return Order("connect", {"address": None})
    word, *rest = words
    if word == "start":
        return Order("start", _options(rest))
    if word != "stop":
        try:
            parse(word)
        except ClusterError as error:
            close = did_you_mean(word, ["start", "stop", "auto", "local"])
            message = f"%tune cluster {word}: there is no such command{close}" if ":" not in word else str(error)
            raise SpecError([f"{message}; write {_SHAPES}"]) from None
    if rest:
        raise SpecError([f"%tune cluster {word} takes nothing more, but there is {' '.join(rest)!r}; write {_SHAPES}"])
    return Order("stop") if word == "stop" else Order("connect", {"address": word})


def _options(words: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    problems: list[str] = []
    rest = list(words)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        name = flag.removeprefix("--")
        if not flag.startswith("--") or name not in _READ:
            known = did_you_mean(flag, [f"--{name}" for name in _READ])
            problems.append(f"%tune cluster start has no {flag}{known}; it has --cpus N, --gpus N and --idle TIME")
            if rest and not rest[0].startswith("--") and not equals:
                rest.pop(0)  # most likely its value, and no mistake of its own
            continue
        if not equals:
            if not rest or rest[0].startswith("--"):
                problems.append(f"{flag} needs a value: {_READ[name][1]}")
                continue
            value = rest.pop(0)
        if name in options:
            problems.append(f"{flag} is given twice")
        try:
            options[name] = _READ[name][0](value)
        except ValueError:
            problems.append(f"{flag} {value} is not {_READ[name][1]}")
    if problems:
        raise SpecError(problems)
    return options


def _count(least: int) -> Any:
    def read(text: str) -> int:
        number = int(text)
        if number < least:
            raise ValueError(text)
        return number

    return read


_READ: dict[str, tuple[Any, str]] = {
    "cpus": (_count(1), "a whole number from 1 on"),
    "gpus": (_count(0), "a whole number"),
    "idle": (parse_duration, "a time such as 90s, 30m or 2h"),
}
