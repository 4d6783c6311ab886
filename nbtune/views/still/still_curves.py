"""The curves of the static picture: selection, range, and SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nbtune.results.columns import groups, valid_iterations
from nbtune.results.state import TrialState
from nbtune.results.store import Store
from nbtune.views.base.decimate import decimate
from nbtune.views.still.picture import Run, clean, cut, element, text_width, texts, ticks
from nbtune.views.still.still_marks import (
    COPIED,
    RUNG,
    Marks,
    collect_marks,
    copy_marks,
    rung_lines,
    rung_texts,
    spread,
)
from nbtune.views.text import best_numbers, status_of

__all__ = ["BEST", "DIM", "FAILED", "FINISHED", "HEIGHT", "RUNNING", "STOPPED", "Chart", "collect", "draw"]

# The dashboard's colours on white (widgets/src/theme.css).
BEST, RUNNING, FINISHED, STOPPED, FAILED = "#c85200", "#0072b2", "#00795a", "#6b6b6b", "#b3261e"
DIM, _OTHER, _GRID = "#5c5c5c", "#8a8a8a", "#e8e8e8"

HEIGHT = 186
"""The height of the chart in pixels."""

_MAX_CURVES, _MAX_DOTS = 60, 600  # trials that are drawn as curves, or as one point each
_BEST_POINTS, _OTHER_POINTS = 200, 64  # points of the best curve, and of each other one
_PLOT = 130  # height in pixels
_FOR_RUNGS = 12  # pixels of it for the texts of rungs
_MARGIN = 8  # half pixels around the outermost points, so that no line is cut off
_MAX_VALUE = 8e307  # the difference of two values must be a finite number

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """One trial's curve.

    Attributes:
        state: the trial.
        kind: "best", or the trial's status as it is shown.
        x: ascending, shape (n,).
        y: finite, shape (n,); n is at least 1.
        gaps: how many reports without a finite value there are before each point, shape (n,); None for none at all.
    """

    state: TrialState
    kind: str
    x: _Floats
    y: _Floats
    gaps: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Chart:
    """The curves of a metric.

    Attributes:
        metric: its name.
        curves: by trial; at most 60, or 600 points.
        total: the number of all curves.
        single: whether no trial has more than one point; then x is the trial's number, not the iteration.
        marks: what is marked in the curves.
    """

    metric: str
    curves: Sequence[Curve]
    total: int
    single: bool
    marks: Marks = Marks()  # noqa: RUF009 - it is immutable


def collect(store: Store, metric: str, ranked: Sequence[TrialState]) -> Chart:
    """Return the curves of a metric, without values that are not finite.

    Args:
        store: the experiment's state.
        metric: the metric.
        ranked: all trials, the best first.
    """
    _, (trial, iteration, _, value) = store.reports.points(metric, 0)
    finite = np.isfinite(value)
    reports = np.bincount(trial[finite], minlength=max((s.number + 1 for s in ranked), default=0))
    reported = [state for state in ranked if reports[state.number]]
    single = reports.max(initial=0) <= 1
    drawn = _choose(reported, _MAX_DOTS if single else _MAX_CURVES)
    is_drawn = np.zeros(len(reports), bool)
    is_drawn[[state.number for state in drawn]] = True
    rows = np.flatnonzero(is_drawn[trial])
    states = {state.number: state for state in drawn}
    curves, best = [], best_numbers(store)
    for number, positions in groups(trial[rows]):
        every = rows[positions][valid_iterations(iteration[rows[positions]])]
        valid = every[finite[every]]
        if not len(valid):
            continue
        missing = np.cumsum(~finite[every])[finite[every]] if len(valid) < len(every) else None
        x = np.array([number], float) if single else iteration[valid].astype(float)
        kind = "best" if number in best else status_of(store, states[number])
        curves.append(Curve(states[number], kind, x, np.clip(value[valid], -_MAX_VALUE, _MAX_VALUE), missing))
    marks = Marks() if single else collect_marks(store, metric, states)
    return Chart(metric, curves, len(reported), single, marks)


def _choose(ranked: Sequence[TrialState], limit: int) -> list[TrialState]:
    """Return at most `limit` trials: the best, some running ones, and an even selection of the others."""
    if len(ranked) <= limit:
        return list(ranked)
    by_number = sorted(ranked, key=lambda state: state.number)
    running = [state for state in by_number if state.status == "running"][:8]
    first = {state.number: state for state in (*ranked[: limit // 3], *running)}
    others = [state for state in by_number if state.number not in first]
    positions = np.linspace(0, len(others) - 1, limit - len(first)).round().astype(int)
    return [*first.values(), *(others[position] for position in positions)]


def draw(chart: Chart, top: float, left: float, right: float) -> list[str]:
    """Return the chart as SVG elements; none without curves.

    Args:
        chart: the curves.
        top: its upper edge in pixels.
        left: its left edge.
        right: its right edge.
    """
    curves = chart.curves
    if not curves:
        return []
    low, high, outside = _range(curves)
    marks = ticks(low, high, 4)
    plot_left = round(left + max(text_width(shown, 11) for _, shown in marks) + 8)
    named = [text_width(str(curve.state.number), bold=True) for curve in curves if curve.kind == "best"]
    plot_right = round(right - max([34, *named]))  # room for the number of the best trial
    plot_top, base = top + 22, top + 22 + _PLOT
    xs = np.concatenate([curve.x for curve in curves])
    first, last = (xs.min(), xs.max()) if xs.min() < xs.max() else (xs.min() - 0.5, xs.max() + 0.5)
    rungs = [rung for rung in chart.marks.rungs if first <= rung.at <= last]
    if rungs:
        plot_top += _FOR_RUNGS
    plot = _Plot(first, last, low, high, 2 * (plot_right - plot_left), round(2 * (base - plot_top)))

    lines = _caption(chart, outside, top + 12, left, right)
    lines.append(f'<g font-size="11" fill="{DIM}">')
    for value, shown in marks:
        y = round(plot_top + plot.y(np.array([value]))[0] / 2) + 0.5
        path = f"M{plot_left} {y:g}H{plot_right}"
        lines.append(element("path", d=path, stroke=_GRID))
        lines.append(texts(plot_left - 6, y + 3.5, Run(shown), text_anchor="end"))
    for value, shown in ticks(first, last, 6, integers=True):
        x = plot_left + plot.x(np.array([value]))[0] / 2
        lines.append(texts(x, base + 14, Run(shown), text_anchor="middle"))
    name = "trial" if chart.single else "iteration"
    lines.append(texts((plot_left + plot_right) / 2, base + 28, Run(name), text_anchor="middle"))
    lines.append(element("path", d=f"M{plot_left} {base + 0.5:g}H{plot_right}", stroke="#b5b5b5"))
    rung_places = plot.x(np.array([rung.at for rung in rungs], float)).tolist()
    lines += rung_texts([plot_left + x / 2 for x in rung_places], rungs, plot_top - 3)
    lines.append("</g>")
    # A nested <svg> clips its content without an id, which another picture on the page could have, too. Its unit is
    # half a pixel, so that integers are sufficient.
    lines.append(
        f'<svg x="{plot_left}" y="{plot_top:g}" width="{plot_right - plot_left}" height="{base - plot_top:g}"'
        f' viewBox="0 0 {plot.width} {plot.height}" fill="none" stroke-linejoin="round" stroke-linecap="round">'
    )
    lines += rung_lines(rung_places, plot.height)
    for kind, style in _STYLES.items():
        lines += _group([curve for curve in curves if curve.kind == kind], plot, style, best=kind == "best")
    lines += copy_marks(
        [(int(plot.x(np.array([c.iteration]))[0]), int(plot.y(np.array([y]))[0])) for c, y in chart.marks.copies]
    )
    lines.append("</svg>")
    best = [curve for curve in curves if curve.kind == "best"]
    # Repeats end close to each other, where their numbers would hide each other.
    ends = [(plot_left + plot.x(curve.x[-1:])[0] / 2 + 6, plot_top + plot.y(curve.y[-1:])[0] / 2 + 4) for curve in best]
    halo = {"stroke": "#fff", "stroke_width": "3", "paint_order": "stroke"}
    for curve, (x, y) in zip(best, spread(ends, max(named, default=0), 13, plot_top + 8, base + 2), strict=True):
        lines.append(texts(x, y, Run(str(curve.state.number), BEST, bold=True), **halo))
    return lines


@dataclass(frozen=True)
class _Style:
    """The style of a kind of curve; the width is in half pixels. `sign` and `word` are for the legend."""

    stroke: str
    width: int
    sign: str
    word: str
    dashes: str | None = None
    opacity: float | None = None


# In the order of drawing: the last is on top.
_STYLES = {
    "pending": _Style(_OTHER, 2, "─", "pending", opacity=0.6),
    "unfinished": _Style(_OTHER, 2, "─", "unfinished", opacity=0.6),
    "paused": _Style(_OTHER, 2, "╌", "paused", dashes="10 6", opacity=0.8),
    "stopped": _Style(_OTHER, 2, "┄", "stopped early", dashes="4 6", opacity=0.8),
    "finished": _Style(_OTHER, 2, "─", "finished", opacity=0.6),
    "failed": _Style(_OTHER, 2, "✗", "failed", opacity=0.6),
    "running": _Style(RUNNING, 3, "─", "running"),
    "best": _Style(BEST, 5, "━", "best"),
}


@dataclass(frozen=True)
class _Plot:
    """Maps values to integer positions in half pixels."""

    first: float
    last: float
    low: float
    high: float
    width: int
    height: int

    def x(self, values: _Floats) -> npt.NDArray[np.int64]:
        part = (values - self.first) / (self.last - self.first)
        return np.rint(_MARGIN + part * (self.width - 2 * _MARGIN)).astype(np.int64)

    def y(self, values: _Floats) -> npt.NDArray[np.int64]:
        with np.errstate(over="ignore"):
            part = (self.high - values) / (self.high - self.low)
        part = np.clip(part, -9, 9)  # far outside is as good as outside, and fewer digits
        return np.rint(part * self.height).astype(np.int64)


def _range(curves: Sequence[Curve]) -> tuple[float, float, bool]:
    """Return from where to where values are shown, and whether some lie outside.

    A tenth of them at either end may, where all the others would have less than a tenth of the height: what a
    loss begins with, or ends with where it diverges.
    """
    values = np.concatenate([curve.y for curve in curves])
    least, most = low, high = float(values.min()), float(values.max())
    inner = float(np.quantile(values, 0.1, method="higher")), float(np.quantile(values, 0.9, method="lower"))
    spread = inner[1] - inner[0]
    ends = [float(curve.y[-1]) for curve in curves if curve.kind == "best"]
    if len(values) >= 10 and 0 < 10 * spread < inner[0] - low:
        low = min(inner[0] - spread / 4, *ends, inner[0])
    if len(values) >= 10 and 0 < 10 * spread < high - inner[1]:
        high = max(inner[1] + spread / 4, *ends, inner[1])
    room = 0.05 * (high - low)
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-300):  # as good as constant
        room = 0.05 * max(abs(low), abs(high)) or 1.0
        room = 1.0 if room < 1e-290 else room
    return low - room, high + room, least < low or most > high


def _caption(chart: Chart, outside: bool, y: float, left: float, right: float) -> list[str]:
    """Return the line above the plot: the metric and the legend."""
    kinds = Counter(curve.kind for curve in chart.curves)
    legend: list[Run] = []
    for kind, style in reversed(_STYLES.items()):
        if kind in kinds:
            sign = style.sign if kind == "failed" or not chart.single else "■" if kind == "stopped" else "●"
            fill = FAILED if kind == "failed" else style.stroke
            word = "best configuration" if kind == "best" and kinds[kind] > 1 else style.word
            legend += [Run(sign, fill, bold=True, gap=12 if legend else 0), Run(f" {word}", DIM)]
    if chart.marks.copies:
        legend += [Run("◆", COPIED, gap=12), Run(" copied", DIM)]
    if chart.marks.rungs:
        legend += [Run("┊", RUNG, bold=True, gap=12), Run(" went on/reached", DIM)]
    notes = []
    if len(chart.curves) < chart.total:
        notes.append(f"{len(chart.curves)} of {chart.total:,} {'points' if chart.single else 'curves'}")
    if outside:
        notes.append("extreme values are cut off")
    note = ", ".join(notes)
    room = right - left - 24 - sum(text_width(run.text, 11) + run.gap for run in legend) - text_width(note, 11)
    name = cut(clean(chart.metric), room, lambda text: text_width(text, 12, bold=True))
    lines = [texts(left, y, Run(name, bold=True), font_size="12")]
    if note:
        lines.append(texts(left + text_width(name, 12, bold=True) + 10, y, Run(note, DIM), font_size="11"))
    return [*lines, texts(right, y, *legend, font_size="11", text_anchor="end")]


def _group(curves: Sequence[Curve], plot: _Plot, style: _Style, *, best: bool) -> list[str]:
    """Return the curves of one kind as paths, and those of one point as markers."""
    if not curves:
        return []
    points: list[str] = []
    crosses: list[str] = []
    paths: list[str] = []
    for curve in curves:
        indexes = decimate(curve.x, curve.y, _BEST_POINTS if best else _OTHER_POINTS)
        places = np.column_stack([plot.x(curve.x[indexes]), plot.y(curve.y[indexes])])
        gaps = np.zeros(len(places), np.int64) if curve.gaps is None else curve.gaps[indexes]
        kept = np.append(True, (np.diff(places, axis=0) != 0).any(axis=1) | (np.diff(gaps) != 0))
        places, gaps = places[kept], gaps[kept]
        x, y = places[-1].tolist()
        if style.word == "failed":
            crosses.append(f"M{x - 6} {y - 6}l12 12m0-12l-12 12")
        if len(places) > 1:
            parts = np.split(places, np.flatnonzero(np.diff(gaps)) + 1)  # a report without a value is a gap
            paths.append(element("path", d="".join(map(_path, parts))))
        elif style.word != "failed":
            points.append(f"M{x} {y}h0")
    shared: dict[str, str | float | None] = {"stroke": style.stroke, "stroke_opacity": style.opacity}
    lines = []
    if paths:
        content = "\n" + "\n".join(paths) + "\n"
        lines.append(element("g", content, **shared, stroke_width=style.width, stroke_dasharray=style.dashes))
    if points:
        size, cap = (14 if best else 10), ("square" if style.dashes else None)
        lines.append(element("path", d="".join(points), **shared, stroke_width=size, stroke_linecap=cap))
    if crosses:
        lines.append(element("path", d="".join(crosses), stroke=FAILED, stroke_width=4))
    return lines


def _path(places: npt.NDArray[np.int64]) -> str:
    """Return the path through points, with relative coordinates, which have fewer digits; a single one is a dash."""
    if len(places) == 1:
        return f"M{places[0, 0]} {places[0, 1]}h2"
    steps = "".join(f"{step}" if step < 0 else f" {step}" for step in np.diff(places, axis=0).ravel().tolist())
    return f"M{places[0, 0]} {places[0, 1]}l{steps.lstrip()}"
