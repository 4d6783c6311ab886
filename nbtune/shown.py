"""Text as it is shown: without characters that a terminal executes, that reorder other text, or that nobody sees."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["shown", "shown_lines"]

_MARK = "\ufffd"
_SPACES = str.maketrans("\t\n\r\v\f\x85\u2028\u2029", " " * 8)
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Emoji and some scripts join characters with them. Between others they would only make two texts look equal.
_JOINER = re.compile("(?<=[^\0-\x7f\u200c\u200d])[\u200c\u200d](?=[^\0-\x7f\u200c\u200d])")


def shown(text: object) -> str:
    """Return text as one line. Characters that are not visible themselves become U+FFFD.

    Names, values and messages may come from others: of a stored experiment, of a trial, of a library. They may contain
    escape sequences of terminals, null characters, overrides of the writing direction and characters without width.

    Args:
        text: any object; its `str` is used.
    """
    string = str(text)
    return string if string.isprintable() else _visible(string.translate(_SPACES), "")


def shown_lines(text: object) -> str:
    """Return text like `shown`, but with its lines and tabs.

    Args:
        text: any object; its `str` is used.
    """
    string = str(text)
    return string if string.isprintable() else _visible(string.replace("\r\n", "\n"), "\n\t")


def _visible(text: str, kept: str) -> str:
    joiners = {found.start() for found in _JOINER.finditer(text)}
    return "".join(
        _MARK if _is_hidden(character) and character not in kept and position not in joiners else character
        for position, character in enumerate(text)
    )


def _is_hidden(character: str) -> bool:
    if unicodedata.category(character) in _HIDDEN:
        return True
    return ord(character) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(character) <= 0xFDEF  # no characters, not valid in XML
