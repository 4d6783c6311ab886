"""What a drawing is made of: text as its characters, how wide it is, elements of SVG, and the ticks of an axis."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from nbtune.views.text import number

__all__ = ["Run", "clean", "cut", "element", "span", "text_width", "texts", "ticks", "wrap"]

Measure = Callable[[str], float]
"""How wide a text is, in any unit."""

_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # not in XML 1.0, or controls
    "|[\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # these turn around what is written after them
)
_LONGEST = 2000  # characters: far more than any line has room for


def clean(text: object, longest: int = _LONGEST) -> str:
    """Return any text as one line of characters that can be written to a file and in XML.

    What cannot is shown as U+FFFD: control characters, halves of surrogate pairs, marks of direction.
    """
    whole = str(text)
    line = " ".join(_FORBIDDEN.sub("\ufffd", whole[:longest]).split())
    return line if len(whole) <= longest else f"{line[: longest - 1]}…"


@cache
def _em(character: str) -> float:
    """Return about how wide a character is, of the font's size: as in DejaVu and Verdana, the widest in use."""
    if character in "ijl|.,:;'!`I ":
        return 0.34
    if character in "ft()[]{}/\\-r":
        return 0.42
    if character in "mMWw@%—…":
        return 1.0
    if character.isascii():
        return 0.78 if character.isupper() else 0.86 if character in "=+<>~^#&" else 0.64
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0.2  # they have no width, but a line of nothing else has to end as well
    return 0.8 if character < "\u2000" else 1.1


def text_width(text: str, size: float = 13, bold: bool = False) -> float:
    """Return about how wide a text is in pixels, rather more than less: the reader's font is not known."""
    return sum(map(_em, text)) * size * (1.13 if bold else 1.0)


def cut(text: str, width: float, measure: Measure = text_width) -> str:
    """Return a text, or as much of it as fits and "…"."""
    if measure(text) <= width:
        return text
    fits = bisect_right(range(1, len(text) + 1), width, key=lambda end: measure(f"{text[:end]}…"))
    return f"{text[:fits].rstrip()}…"


def wrap(text: str, width: float, lines: int, measure: Measure = text_width) -> list[str]:
    """Return a text in at most so many lines, broken at spaces where there are any; the last is cut."""
    found: list[str] = []
    while len(found) < lines - 1 and measure(text) > width:
        fits = max(1, len(cut(text, width, measure)) - 1)
        space = text.rfind(" ", 0, fits + 1)
        end = space if space > fits // 2 else fits
        found.append(text[:end])
        text = text[end:].lstrip()
    return [*found, cut(text, width, measure)]


def element(tag: str, content: str = "", /, **attributes: float | str | None) -> str:
    """Return an element. An underscore in a name is a dash; None is left out; `content` is markup."""
    written = "".join(
        f' {name.replace("_", "-")}="{_value(value)}"' for name, value in attributes.items() if value is not None
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def _value(value: float | str) -> str:
    return html.escape(value) if isinstance(value, str) else f"{value:.10g}"


@dataclass(frozen=True)
class Run:
    """A piece of a line of text.

    Attributes:
        text: what it says.
        fill: its colour, or None for the line's.
        bold: whether it is bold.
        gap: pixels between the piece before and this.
    """

    text: str
    fill: str | None = None
    bold: bool = False
    gap: float = 0


def span(run: Run, **attributes: float | str | None) -> str:
    """Return a piece of text as an element."""
    weight = "600" if run.bold else None
    return element("tspan", html.escape(run.text), dx=run.gap or None, fill=run.fill, font_weight=weight, **attributes)


def texts(x: float, y: float, *runs: Run, **attributes: float | str | None) -> str:
    """Return pieces of text one after another as one element, which the browser spaces by its own font."""
    first, *rest = [run for run in runs if run.text] or [Run("")]
    if rest:
        return element("text", "".join(span(run) for run in (first, *rest)), x=x, y=y, **attributes)
    weight = "600" if first.bold else None
    return element("text", html.escape(first.text), x=x, y=y, fill=first.fill, font_weight=weight, **attributes)


def ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[tuple[float, str]]:
    """Return about `count` round numbers from `low` to `high`, with as many digits as tell them apart.

    Args:
        low: where the axis begins.
        high: where it ends, above `low`.
        count: how many there should be.
        whole: whether only whole numbers make sense.
    """
    rough = high / count - low / count  # the difference itself may be beyond all numbers
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1, 2, 5) if factor * power >= 0.7 * rough), 10 * power)
    step = max(1.0, step) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [float(f"{place * step:.14g}") for place in range(first, last + 1)]
    if whole:
        return [(value, f"{value:,.0f}") for value in values]
    return list(zip(values, _apart(values), strict=True))


def _apart(values: Sequence[float]) -> list[str]:
    shown = [number(value) for value in values]
    for digits in range(5, 16):
        if len(set(shown)) == len(values):
            break
        shown = [f"{value:.{digits}g}" for value in values]
    return shown
