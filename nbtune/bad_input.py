"""Input that cannot be read: text that is not valid Unicode, code that is nested too deeply, and values that raise."""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbtune.errors import NbtuneError, Problem, SpecError

__all__ = [
    "MAX_BITS",
    "MAX_DEPTH",
    "NESTED",
    "invalid_characters",
    "parse_code",
    "parse_expression",
    "readable_input",
    "shortened",
    "too_large",
]

_PACKAGE = f"{Path(__file__).parent}/"
_INVALID = re.compile("[\ud800-\udfff\0]")
MAX_BITS = 10_000
"""The longest integer that is written: Python refuses to read or write more than 4,300 digits."""
MAX_DEPTH = 100
"""How deeply lists and dictionaries may be nested: JSON is read and written recursively."""
NESTED = "nested too deeply: Python's own parser and compiler have a limit as well. Use fewer brackets or operators"


def invalid_characters(text: str) -> tuple[str, int] | None:
    """Return what is wrong with the characters of a text, and its line, counted from 1; None if they are valid.

    Args:
        text: any text. A lone surrogate cannot be written to a file or sent, and Python's parser refuses null.
    """
    found = _INVALID.search(text)
    if found is None:
        return None
    name = "the null character" if found[0] == "\0" else "a lone surrogate, which is not valid Unicode"
    message = f"contains {found[0]!r} at position {found.start()}: {name}. Remove it"
    return message, text.count("\n", 0, found.start()) + 1


def parse_code(text: str, filename: str = "<unknown>") -> ast.Module:
    """Parse statements of Python.

    Args:
        text: any text.
        filename: for the messages of syntax errors.

    Raises:
        SyntaxError: it is not valid Python, not valid Unicode, or nested too deeply.
    """
    try:
        return ast.parse(text, filename)
    except (RecursionError, MemoryError):  # the parser raises the latter if its own stack is too small
        raise SyntaxError(NESTED) from None
    except ValueError:
        raise SyntaxError((invalid_characters(text) or ("it is not valid text", 0))[0]) from None


def parse_expression(text: str) -> ast.expr:
    """Parse an expression of Python.

    Args:
        text: any text.

    Raises:
        SyntaxError: as for `parse_code`, or it is something else than one expression.
    """
    try:
        return ast.parse(text, mode="eval").body
    except (RecursionError, MemoryError):
        raise SyntaxError(NESTED) from None
    except ValueError:
        raise SyntaxError((invalid_characters(text) or ("it is not valid text", 0))[0]) from None


def too_large(value: Any, depth: int = 0) -> str | None:
    """Return why Python, JSON and tables cannot write a value; None if they can.

    Args:
        value: any value. The items of lists, tuples and dictionaries count, other objects do not.
        depth: how many values it is inside of.
    """
    if type(value) is int and value.bit_length() > MAX_BITS:
        return "an integer of more than 3,000 digits, which Python may refuse to write"
    if type(value) not in (list, tuple, dict):
        return None
    if depth == MAX_DEPTH:
        return f"lists or dictionaries that are nested more than {MAX_DEPTH} levels deep"
    items = [*value, *value.values()] if type(value) is dict else value
    return next((reason for item in items if (reason := too_large(item, depth + 1)) is not None), None)


def shortened(text: str, length: int = 60) -> str:
    """Return a text that is not longer than a number of characters.

    Args:
        text: any text.
        length: the number.
    """
    return text if len(text) <= length else f"{text[: length - 3]}..."


@contextmanager
def readable_input() -> Iterator[None]:
    """Turn what a given value raises inside of a ``with`` block, for instance in its `__eq__`, into a `SpecError`.

    Exceptions that nbtune's own code raises are not changed.
    """
    try:
        yield
    except NbtuneError:
        raise
    except RecursionError as error:
        raise SpecError([Problem(f"a value or an expression is {NESTED}", code="syntax")]) from error
    except UnicodeError as error:
        raise SpecError([Problem(f"a text is not valid Unicode: {shortened(str(error), 200)}")]) from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        if not frames or frames[-1].filename.startswith(_PACKAGE):
            raise
        last = frames[-1]
        reason = shortened(f"{type(error).__name__}: {error}", 200)
        text = f"a value that was given raises {reason} ({last.filename}, line {last.lineno}, in {last.name})"
        raise SpecError([Problem(text)]) from error
