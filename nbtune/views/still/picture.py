"""The parts of an SVG picture: cleaned text and its width, elements, and the ticks of an axis."""

from __future__ import annotations

import html
import math
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from nbtune.shown import shown
from nbtune.views.text import number

__all__ = ["Run", "clean", "cut", "element", "span", "text_width", "texts", "ticks", "wrap"]

Measure = Callable[[str], float]
"""Returns the width of a text, in any unit."""

_MAX_TEXT = 2000  # characters: far more than fit on a line


def clean(text: object, longest: int = _MAX_TEXT) -> str:
    """Return text as `shown` does, which is valid in a file and in XML, with single spaces.

    Args:
        text: any object; its `str` is used.
        longest: the maximum number of characters.
    """
    string = str(text)
    line = " ".join(shown(string[:longest]).split())
    return line if len(string) <= longest else f"{line[: longest - 1]}…"


@cache
def _em(character: str) -> float:
    """Return the approximate width of a character in em: as in DejaVu and Verdana, the widest fonts in use."""
    if character in "ijl|.,:;'!`I ":
        return 0.34
    if character in "ft()[]{}/\\-r":
        return 0.42
    if character in "mMWw@%—…":
        return 1.0
    if character.isascii():
        return 0.78 if character.isupper() else 0.86 if character in "=+<>~^#&" else 0.64
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0.2  # they have no width, but a line of them must be cut, too
    return 0.8 if character < "\u2000" else 1.1


def text_width(text: str, size: float = 13, bold: bool = False) -> float:
    """Return the approximate width of a text in pixels, rather too large: the reader's font is unknown.

    Args:
        text: the text.
        size: the font's size in pixels.
        bold: whether it is bold.
    """
    return sum(map(_em, text)) * size * (1.13 if bold else 1.0)


def cut(text: str, width: float, measure: Measure = text_width) -> str:
    """Return a text, or as much of it as fits, followed by "…".

    Args:
        text: the text.
        width: the available width.
        measure: returns the width of a text.
    """
    if measure(text) <= width:
        return text
    fits = bisect_right(range(1, len(text) + 1), width, key=lambda end: measure(f"{text[:end]}…"))
    return f"{text[:fits].rstrip()}…"


def wrap(text: str, width: float, lines: int, measure: Measure = text_width) -> list[str]:
    """Return a text as lines, broken at spaces where possible; the last one is cut.

    Args:
        text: the text.
        width: the available width.
        lines: the maximum number of lines.
        measure: returns the width of a text.
    """
    wrapped: list[str] = []
    while len(wrapped) < lines - 1 and measure(text) > width:
        fits = max(1, len(cut(text, width, measure)) - 1)
        space = text.rfind(" ", 0, fits + 1)
        end = space if space > fits // 2 else fits
        wrapped.append(text[:end])
        text = text[end:].lstrip()
    return [*wrapped, cut(text, width, measure)]


def element(tag: str, content: str = "", /, **attributes: float | str | None) -> str:
    """Return an SVG element.

    Args:
        tag: its name.
        content: its content, as markup.
        attributes: an underscore in a name becomes a dash; those that are None are left out.
    """
    text = "".join(
        f' {name.replace("_", "-")}="{_value(value)}"' for name, value in attributes.items() if value is not None
    )
    return f"<{tag}{text}>{content}</{tag}>" if content else f"<{tag}{text}/>"


def _value(value: float | str) -> str:
    return html.escape(value) if isinstance(value, str) else f"{value:.10g}"


@dataclass(frozen=True)
class Run:
    """A piece of a line of text.

    Attributes:
        text: the text.
        fill: its colour, or None for that of the line.
        bold: whether it is bold.
        gap: pixels before it.
    """

    text: str
    fill: str | None = None
    bold: bool = False
    gap: float = 0


def span(run: Run, **attributes: float | str | None) -> str:
    """Return a piece of text as a <tspan>.

    Args:
        run: the piece.
        attributes: as for `element`.
    """
    weight = "600" if run.bold else None
    return element("tspan", html.escape(run.text), dx=run.gap or None, fill=run.fill, font_weight=weight, **attributes)


def texts(x: float, y: float, *runs: Run, **attributes: float | str | None) -> str:
    """Return pieces of text as one <text>: the browser places them by the width of its font.

    Args:
        x: the position in pixels.
        y: the baseline in pixels.
        runs: the pieces.
        attributes: as for `element`.
    """
    first, *others = [run for run in runs if run.text] or [Run("")]
    if others:
        return element("text", "".join(span(run) for run in (first, *others)), x=x, y=y, **attributes)
    weight = "600" if first.bold else None
    return element("text", html.escape(first.text), x=x, y=y, fill=first.fill, font_weight=weight, **attributes)


def ticks(low: float, high: float, count: int, *, integers: bool = False) -> list[tuple[float, str]]:
    """Return about `count` round numbers from `low` to `high`, each with a text of enough digits to distinguish them.

    Args:
        low: the lower end of the axis.
        high: its upper end, above `low`.
        count: the approximate number of ticks.
        integers: whether only integers are allowed.
    """
    target = high / count - low / count  # `high - low` may overflow
    power = 10.0 ** math.floor(math.log10(target))
    step = next((factor * power for factor in (1, 2, 5) if factor * power >= 0.7 * target), 10 * power)
    step = max(1.0, step) if integers else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [float(f"{index * step:.14g}") for index in range(first, last + 1)]
    if integers:
        return [(value, f"{value:,.0f}") for value in values]
    return list(zip(values, _distinct_texts(values), strict=True))


def _distinct_texts(values: Sequence[float]) -> list[str]:
    shown = [number(value) for value in values]
    for digits in range(5, 16):
        if len(set(shown)) == len(values):
            break
        shown = [f"{value:.{digits}g}" for value in values]
    return shown
