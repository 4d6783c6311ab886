"""The unfinished word of a command line that the cursor is in, and how a completion of it is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from nbtune.errors import SpecError
from nbtune.notebook.completion.candidates import Candidate, Completions, matching
from nbtune.spec.options.tokenizer import quote, read_part, split_line

__all__ = ["Word", "split_unfinished", "words_after"]

_BRACKETS = "([{"


@dataclass(frozen=True)
class Word:
    """A word up to the cursor.

    Attributes:
        raw: the word as it was typed.
        value: what it stands for, without quotes and backslashes.
        inside: the quote that is not closed, the opening bracket that is not closed, or an empty string.
        following: the character after the cursor.
    """

    raw: str = ""
    value: str = ""
    inside: str = ""
    following: str = ""

    def after(self, prefix: str) -> Word:
        """Return the word without its first characters, which are neither quotes nor backslashes.

        Args:
            prefix: these characters, such as ``--option=``.
        """
        return replace(self, raw=self.raw.removeprefix(prefix), value=self.value.removeprefix(prefix))

    def complete(self, part: str, choices: Iterable[Candidate]) -> Completions:
        """Return the completions of the last part of the word.

        Args:
            part: the end of `value` that is completed, such as what follows a comma.
            choices: what may stand in its place.
        """
        is_typed = self.raw.endswith(part)
        found = matching(choices, part)
        if not is_typed:  # with quotes or backslashes in it: the whole word is written anew
            found = [choice for choice in found if choice.text.startswith(part)]
        written = [(choice, self._written(choice, part)) for choice in found]
        head = "" if is_typed else self.raw
        return Completions(
            part if is_typed else self.raw,
            tuple(
                replace(choice, text=f"{head}{text if is_typed else text[len(part) :]}")
                for choice, text in written
                if text is not None
            ),
        )

    def _written(self, choice: Candidate, part: str) -> str | None:
        """Return how a choice is written here; None if this is impossible."""
        kept = part if choice.text.startswith(part) else ""
        rest = choice.text[len(kept) :]
        if self.inside in _BRACKETS and self.inside:
            return kept + rest
        if self.inside == "'":
            if "'" in rest:
                return None
        elif self.inside == '"':
            rest = rest.replace("\\", "\\\\").replace('"', '\\"')
        elif not self.raw and choice.final:
            return quote(choice.text)
        else:
            rest = "".join(f"\\{one}" if one.isspace() or one in "\\'\"[{" else one for one in rest)
        closed = self.inside if self.inside and choice.final and self.following != self.inside else ""
        return f"{kept}{rest}{closed}"


def split_unfinished(text: str, following: str = "") -> tuple[list[str], Word] | None:
    """Split a command line up to the cursor into its words, as `split_line` does, and the word at the cursor.

    Args:
        text: the line up to the cursor.
        following: the text after it.

    Returns:
        The words before, and that at the cursor, which may be empty; None in a comment, or after a backslash.
    """
    words: list[str] = []
    value, start, position, inside = "", -1, 0, ""
    while position < len(text):
        character = text[position]
        if character.isspace():
            if start >= 0:
                words.append(value)
            value, start, position = "", -1, position + 1
            continue
        if start < 0:
            if character == "#":
                return None
            start = position
        try:
            part, position = read_part(text, position)
        except SpecError:
            if character == "\\":
                return None
            inside = character
            unclosed = _decoded(text[position + 1 :], character) if character in "'\"" else text[position:]
            if unclosed is None:
                return None
            value += unclosed
            break
        value += part
    raw = text[start:] if start >= 0 else ""
    return words, Word(raw, value, inside, following[:1])


def words_after(text: str) -> list[str]:
    """Return the words after the cursor, as far as they can be read.

    Args:
        text: the text after the cursor.
    """
    _, _, rest = text.partition(" ")  # the first word belongs to the one at the cursor
    try:
        return split_line(rest)
    except SpecError:
        return rest.split()


def _decoded(text: str, opened: str) -> str | None:
    """Return what stands after an opening quote; None after a backslash."""
    if opened == "'":
        return text
    plain, position = [], 0
    while position < len(text):
        if text[position] == "\\":
            if position + 1 == len(text):
                return None
            if text[position + 1] in '"\\':
                position += 1
        plain.append(text[position])
        position += 1
    return "".join(plain)
