"""The scatter of two objectives in the static picture, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nbtune.results.state import TrialState
from nbtune.results.store import Store
from nbtune.views.still.picture import Run, clean, cut, element, text_width, texts, ticks
from nbtune.views.still.still_curves import BEST, DIM, FAILED, RUNNING

__all__ = ["draw_front"]

_MAX_POINTS = 500  # of the front, and of the other trials
_PLOT, _MARGIN = 130, 6  # pixels: the height, and around the outermost points
_MAX_VALUE = 8e307  # the difference of two values must be a finite number
_OTHER, _GRID = "#8a8a8a", "#e8e8e8"


@dataclass(frozen=True)
class _Axis:
    """Maps values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)


def draw_front(store: Store, top: float, left: float, right: float) -> list[str]:
    """Return the scatter of the first two objectives as SVG elements; none without a trial that has both.

    Args:
        store: the experiment's state, with several objectives.
        top: its upper edge in pixels.
        left: its left edge.
        right: its right edge.
    """
    numbers = {state.number for state in store.front()}
    states = [state for state in store.states() if _has_both(state)]
    if not states:
        return []
    front = _thinned([state for state in states if state.number in numbers])
    others = _thinned([state for state in states if state.number not in numbers])
    drawn = [*others, *front]
    (x_low, x_high), (y_low, y_high) = (_range([_value(state, at) for state in drawn]) for at in (0, 1))
    marks = ticks(y_low, y_high, 4)
    plot_left = round(left + max(text_width(shown, 11) for _, shown in marks) + 8)
    plot_right, base = round(right - 10), top + 22 + _PLOT
    x = _Axis(x_low, x_high, plot_left + _MARGIN, plot_right - _MARGIN)
    y = _Axis(y_low, y_high, base - _MARGIN, top + 22 + _MARGIN)
    lines = _caption(store, len(drawn), len(states), front, others, top + 12, left, right)
    lines.append(f'<g font-size="11" fill="{DIM}">')
    for value, shown in marks:
        at = round(y.at(value)) + 0.5
        lines.append(element("path", d=f"M{plot_left} {at:g}H{plot_right}", stroke=_GRID))
        lines.append(texts(plot_left - 6, at + 3.5, Run(shown), text_anchor="end"))
    for value, shown in ticks(x_low, x_high, 6):
        lines.append(texts(x.at(value), base + 14, Run(shown), text_anchor="middle"))
    name = clean(store.objectives[0].metric, 100)
    lines.append(texts((plot_left + plot_right) / 2, base + 28, Run(name), text_anchor="middle"))
    lines.append(element("path", d=f"M{plot_left} {base + 0.5:g}H{plot_right}", stroke="#b5b5b5"))
    lines.append("</g>")
    if len(store.objectives) == 2:
        lines += _border(front, x, y, is_minimized=store.objectives[0].mode == "min")
    for states_of_kind, size, colour in (
        ([state for state in others if state.status not in {"running", "failed"}], 4.5, _OTHER),
        ([state for state in others if state.status == "running"], 5.5, RUNNING),
        (front, 8, BEST),
    ):
        if states_of_kind:
            path = "".join(f"M{x.at(_value(s, 0)):g} {y.at(_value(s, 1)):g}h0" for s in states_of_kind)
            lines.append(element("path", d=path, stroke=colour, stroke_width=size, stroke_linecap="round"))
    if failed := [state for state in others if state.status == "failed"]:
        path = "".join(f"M{x.at(_value(s, 0)) - 3:g} {y.at(_value(s, 1)) - 3:g}l6 6m0-6l-6 6" for s in failed)
        lines.append(element("path", d=path, stroke=FAILED, stroke_width=2))
    return lines


def _has_both(state: TrialState) -> bool:
    return len(state.values) > 1 and state.values[0].value is not None and state.values[1].value is not None


def _value(state: TrialState, position: int) -> float:
    return min(max(float(state.values[position].value or 0), -_MAX_VALUE), _MAX_VALUE)


def _thinned(states: Sequence[TrialState]) -> list[TrialState]:
    """Return an even selection of trials, if there are too many to draw."""
    if len(states) <= _MAX_POINTS:
        return list(states)
    return [states[position] for position in np.linspace(0, len(states) - 1, _MAX_POINTS).round().astype(int)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-300):  # as good as constant
        room = 0.05 * max(abs(low), abs(high))
        room = room if room > 1e-290 else 1.0
        return low - room, high + room
    return low, high


def _border(front: Sequence[TrialState], x: _Axis, y: _Axis, *, is_minimized: bool) -> list[str]:
    """Return the border of what is dominated, as steps from one trial of the front to the next."""
    points = sorted({(x.at(_value(state, 0)), y.at(_value(state, 1))) for state in front})
    if len(points) < 2:
        return []
    steps = "".join(f"H{px:g}V{py:g}" if is_minimized else f"V{py:g}H{px:g}" for px, py in points[1:])
    path = f"M{points[0][0]:g} {points[0][1]:g}{steps}"
    return [element("path", d=path, fill="none", stroke=BEST, stroke_width=1.5, stroke_opacity=0.6)]


def _caption(
    store: Store,
    drawn: int,
    total: int,
    front: Sequence[TrialState],
    others: Sequence[TrialState],
    y: float,
    left: float,
    right: float,
) -> list[str]:
    """Return the line above the plot: the objective of the y axis and the legend."""
    running = any(state.status == "running" for state in others)
    failed = any(state.status == "failed" for state in others)
    kinds = [("●", BEST, "Pareto front", bool(front)), ("●", RUNNING, "running", running)]
    kinds += [("●", _OTHER, "other trials", bool(others)), ("✗", FAILED, "failed", failed)]
    legend: list[Run] = []
    for sign, colour, word, is_drawn in kinds:
        if is_drawn:
            legend += [Run(sign, colour, bold=True, gap=12 if legend else 0), Run(f" {word}", DIM)]
    note = f"{drawn:,} of {total:,} trials" if drawn < total else ""
    room = right - left - 24 - sum(text_width(run.text, 11) + run.gap for run in legend) - text_width(note, 11)
    name = cut(clean(store.objectives[1].metric), room, lambda text: text_width(text, 12, bold=True))
    lines = [texts(left, y, Run(name, bold=True), font_size="12")]
    if note:
        lines.append(texts(left + text_width(name, 12, bold=True) + 10, y, Run(note, DIM), font_size="11"))
    return [*lines, texts(right, y, *legend, font_size="11", text_anchor="end")]
