"""The tokenizer of every command line: ``%%tune``, ``%tune COMMAND`` and the line in the form on a space."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from nbtune.errors import SpecError

__all__ = ["Argument", "quote", "read_arguments", "read_part", "split_comment", "split_first", "split_line"]

_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Argument:
    """One argument of a command line.

    Attributes:
        flag: the flag as it was typed, such as ``--samples``, without its value; an empty string for a positional
            argument.
        value: the value of the flag, or the positional argument itself; None where a flag has no value.
        attached: whether the value is attached to its flag, as in ``--samples=4``.
    """

    flag: str
    value: str | None
    attached: bool = False

    @property
    def name(self) -> str:
        """The name of the flag as a Python identifier: ``max_failures`` of ``--max-failures``."""
        return self.flag.removeprefix("--").replace("-", "_")


def split_line(line: str) -> list[str]:
    """Split a command line into words.

    Spaces separate words. Quotes and backslashes work as in a POSIX shell. A bracket groups everything up to its
    closing bracket, quotes included, so that ``layers=[64, 32]`` and ``names=["a", "b"]`` are one word each. A ``#`` at
    the beginning of a word starts a comment.

    Args:
        line: the text after the name of the magic or of the command.

    Raises:
        SpecError: a quote or a bracket is not closed, or the line ends with a backslash.
    """
    return split_comment(line)[0]


def split_comment(line: str) -> tuple[list[str], str]:
    """Split a command line into words and its comment.

    Args:
        line: the same as for `split_line`.

    Returns:
        The words, and the comment with its ``#``; an empty string where the line has none.

    Raises:
        SpecError: the same as for `split_line`.
    """
    scanned = list(_scan(line))
    end = scanned[-1][1] if scanned else 0
    return [word for word, _ in scanned], line[end:].strip()


def split_first(line: str) -> tuple[str, str]:
    """Split a command line into its first word and the text after it.

    Args:
        line: the same as for `split_line`.

    Returns:
        The first word, an empty string where the line has none; and what follows it, as it was typed.

    Raises:
        SpecError: the first word is not closed.
    """
    word, end = next(_scan(line), ("", len(line)))
    return word, line[end:].strip()


def quote(word: str) -> str:
    """Return a word as it is written on a command line: in quotes where it needs them.

    Args:
        word: any text; `split_line` reads it back as one word.
    """
    try:
        plain = split_line(word) == [word]
    except SpecError:
        plain = False
    return word if plain else shlex.quote(word)


def read_arguments(words: Sequence[str], switches: Collection[str] = ()) -> Iterator[Argument]:
    """Read words as ``POSITIONAL``, ``--flag VALUE``, ``--flag=VALUE`` and ``--switch``, in any order.

    An unknown flag takes the word after it as its value, as a known one does: the word is most likely its value, and
    not a second mistake. A word that begins with ``--`` is never a value.

    Args:
        words: what `split_line` returns.
        switches: the names (see `Argument.name`) of the flags without a value.

    Yields:
        The arguments, in their order.
    """
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        if not word.startswith("--"):
            yield Argument("", word)
            continue
        flag, equals, text = word.partition("=")
        argument = Argument(flag, text if equals else None, attached=bool(equals))
        if not equals and argument.name not in switches and remaining and not remaining[0].startswith("--"):
            argument = Argument(flag, remaining.pop(0))
        yield argument


def _scan(line: str) -> Iterator[tuple[str, int]]:
    """Yield each word with the position after it, up to the comment."""
    word: str | None = None  # None between words: an empty pair of quotes is a word, too
    position = 0
    while position < len(line):
        character = line[position]
        if character.isspace():
            if word is not None:
                yield word, position
            word = None
            position += 1
        elif character == "#" and word is None:
            return
        else:
            text, position = read_part(line, position)
            word = (word or "") + text
    if word is not None:
        yield word, position


def read_part(line: str, start: int) -> tuple[str, int]:
    """Read a character, a quoted text or a bracketed text.

    Args:
        line: the line.
        start: where it begins; not a space.

    Returns:
        What it stands for, and the position after it.

    Raises:
        SpecError: the quote or bracket is not closed, or nothing follows a backslash.
    """
    character = line[start]
    if character == "\\":
        if start + 1 == len(line):
            raise _error(line, "nothing follows the backslash at its end")
        return line[start + 1], start + 2
    if character in "'\"":
        end = _end_of_quote(line, start)
        text = line[start + 1 : end - 1]
        if character == '"':
            text = _unescape(text)
        return text, end
    if character in _CLOSING:
        end = _end_of_bracket(line, start)
        return line[start:end], end
    return character, start + 1


def _end_of_quote(line: str, start: int) -> int:
    """Return the position after the closing quote. As in a shell, only double quotes have escapes."""
    position = start + 1
    while position < len(line):
        if line[position] == line[start]:
            return position + 1
        position += 2 if line[position] == "\\" and line[start] == '"' else 1
    raise _error(line, f"the quote {line[start]} at position {start + 1} is not closed")


def _end_of_bracket(line: str, start: int) -> int:
    """Return the position after the closing bracket. Brackets inside quotes do not count."""
    expected, position = [_CLOSING[line[start]]], start + 1
    while position < len(line):
        character = line[position]
        if character in "'\"":
            position = _end_of_quote(line, position)
            continue
        if character in _CLOSING:
            expected.append(_CLOSING[character])
        elif character == expected[-1]:
            expected.pop()
            if not expected:
                return position + 1
        position += 1
    raise _error(line, f"the bracket {line[start]} at position {start + 1} is not closed")


def _unescape(text: str) -> str:
    r"""Return what stands between double quotes: ``\"`` and ``\\`` are a quote and a backslash."""
    characters, position = [], 0
    while position < len(text):
        if text[position] == "\\" and text[position + 1] in '"\\':
            position += 1
        characters.append(text[position])
        position += 1
    return "".join(characters)


def _error(line: str, reason: str) -> SpecError:
    return SpecError([f"cannot read the line {line.strip()!r}: {reason}"])
