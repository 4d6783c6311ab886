"""The marks in the curves of the static picture: copies of trials, rungs of a scheduler, and where labels have room."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from nbtune.results.lineage import Copy, Rung
from nbtune.results.store import Store
from nbtune.views.still.picture import Run, element, text_width, texts

__all__ = ["COPIED", "RUNG", "Marks", "collect_marks", "copy_marks", "rung_lines", "rung_texts", "spread"]

COPIED, RUNG = "#0072b2", "#8a8a8a"  # as in the dashboard
_SIZE = 9  # of a copy's diamond, from its centre to a corner, in half pixels
_FONT = 10


@dataclass(frozen=True)
class Marks:
    """What is marked in the curves.

    Attributes:
        copies: the copies of trials, each with the value of its first report.
        rungs: the rungs that are counted in iterations.
    """

    copies: Sequence[tuple[Copy, float]] = ()
    rungs: Sequence[Rung] = ()


def collect_marks(store: Store, metric: str, drawn: Collection[int]) -> Marks:
    """Return what is marked in the curves of a metric.

    Args:
        store: the experiment's state.
        metric: the metric.
        drawn: the numbers of the trials whose curves are drawn.
    """
    copies = []
    for copy in store.lineage.copies():
        value = store.reports.value_at(metric, copy.row) if copy.trial in drawn else None
        if isinstance(value, (int, float)) and math.isfinite(value):
            copies.append((copy, float(value)))
    return Marks(copies, [rung for rung in store.lineage.rungs() if rung.unit == "training_iteration"])


def copy_marks(places: Sequence[tuple[int, int]]) -> list[str]:
    """Return diamonds as an SVG element; none without places.

    Args:
        places: their centres in half pixels.
    """
    path = "".join(f"M{x} {y - _SIZE}l{_SIZE} {_SIZE} {-_SIZE} {_SIZE} {-_SIZE} {-_SIZE}z" for x, y in places)
    return [element("path", d=path, fill=COPIED, stroke="#fff", stroke_width=2)] if places else []


def rung_lines(places: Sequence[int], height: int) -> list[str]:
    """Return vertical lines as an SVG element; none without places.

    Args:
        places: their positions in half pixels.
        height: their length in half pixels.
    """
    path = "".join(f"M{x} 0V{height}" for x in places)
    return [element("path", d=path, stroke=RUNG, stroke_width=2, stroke_dasharray="2 6")] if places else []


def rung_texts(places: Sequence[float], rungs: Sequence[Rung], y: float) -> list[str]:
    """Return how many trials went on, of those that have reached each rung; those without room are left out.

    Args:
        places: the positions in pixels, ascending.
        rungs: the rungs.
        y: the baseline in pixels.
    """
    lines, end = [], -math.inf
    for x, rung in zip(places, rungs, strict=True):
        shown = f"{rung.went_on}/{rung.reached}"
        half = text_width(shown, _FONT) / 2
        if x - half > end:
            lines.append(texts(x, y, Run(shown, RUNG), text_anchor="middle", font_size=str(_FONT)))
            end = x + half + 2
    return lines


def spread(
    places: Sequence[tuple[float, float]], width: float, gap: float, low: float, high: float
) -> list[tuple[float, float]]:
    """Return places for labels: those that are beside each other are moved up and down until none hides another.

    Args:
        places: the places without that, (x, y).
        width: the width of the labels.
        gap: the smallest vertical distance.
        low: the smallest y.
        high: the largest y.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    column: list[int] = []
    for i, following in zip(order, [*order[1:], None], strict=False):
        column.append(i)
        if following is None or places[following][0] - places[i][0] >= width:
            ys = _apart([places[i][1] for i in column], gap, low, high) if len(column) > 1 else [places[i][1]]
            for i, y in zip(column, ys, strict=True):
                moved[i] = places[i][0], y
            column = []
    return moved


def _apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions that are as near to given ones as their distances allow, in the order of these.

    Args:
        places: the given positions.
        gap: the smallest distance; less if there is no room for it.
        low: the lowest position.
        high: the highest one.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    gap = min(gap, (high - low) / max(len(places) - 1, 1))
    groups: list[list[int]] = []  # of neighbours that are moved together, around their mean

    def start(group: list[int]) -> float:
        centre = sum(places[i] for i in group) / len(group) - gap * (len(group) - 1) / 2
        return min(max(centre, low), high - gap * (len(group) - 1))

    for i in order:
        groups.append([i])
        while len(groups) > 1 and start(groups[-2]) + gap * len(groups[-2]) > start(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    found = dict[int, float]()
    for group in groups:
        found |= {i: start(group) + gap * position for position, i in enumerate(group)}
    return [found[i] for i in range(len(places))]
