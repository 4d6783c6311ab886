"""The static picture of an experiment in the notebook's file: the dashboard as SVG and as text."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence

from nbtune.results.state import TrialState
from nbtune.results.store import ENDED, Store
from nbtune.results.values import value_words
from nbtune.spec.units import format_duration
from nbtune.views.still.picture import Run, clean, cut, element, span, text_width, texts, wrap
from nbtune.views.still.still_curves import BEST, DIM, FAILED, FINISHED, HEIGHT, RUNNING, STOPPED, collect, draw
from nbtune.views.still.still_front import draw_front
from nbtune.views.still.still_table import SIGNS, Cells, fit, plain_table, shown, table
from nbtune.views.text import (
    best_label,
    best_line,
    best_numbers,
    best_of_each,
    count_line,
    objective_names,
    repeat_note,
    shown_counts,
    shows_iteration,
    status_of,
    summary,
    trial_count,
)

__all__ = ["still"]

_WIDTH, _LEFT, _RIGHT = 760, 16, 744
_BAR_WIDTH = 90  # pixels
_MAX_ROWS, _ROW_HEIGHT = 8, 18  # of the table; the height in pixels
_FILLS = dict.fromkeys(("failed", "lost", "unread"), FAILED) | {
    "running": RUNNING,
    "running elsewhere": RUNNING,
    "finished": FINISHED,
    "stopped": STOPPED,
}
_TEXT, _GRID = "#1f1f1f", "#e0e0e0"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_MAX_LINES, _MAX_LINE = 8, 240  # of the summary as text: lines, and characters per line


def still(store: Store) -> dict[str, str]:
    """Return an experiment as a picture and as text, by MIME type, for frontends without widgets.

    Both together have at most about 60 kB, whatever the size of the experiment, and contain no paths of this machine.
    The id of the picture's root is "nbtune-still": a live view hides the picture by it.

    Args:
        store: the experiment's state.
    """
    states, best = store.ranked(), store.best()
    columns = table(store, states[:_MAX_ROWS])
    text = "\n\n".join([_summary(store), *([plain_table(columns)] if states else [])])
    return {"image/svg+xml": _picture(store, states, best, columns), "text/plain": text}


def _summary(store: Store) -> str:
    text = summary(store)
    if store.metadata.get("path"):
        text = text.rpartition("\nstored in ")[0] or text
    return "\n".join(clean(line, _MAX_LINE) for line in text.splitlines()[:_MAX_LINES])


def _picture(store: Store, states: list[TrialState], best: TrialState | None, columns: list[Cells]) -> str:
    y = 28
    lines = _header(store, y)
    y += 26
    front = len(store.objectives) > 1 and bool(store.front())
    lines += _best(store, best, y) if best is not None else _front(store, y) if front else _note(store, y)
    if store.metadata.get("started"):  # a separate element: all others are equal in another run with the same seed
        lines.append(texts(_RIGHT, y, Run(format_duration(store.elapsed()), DIM), text_anchor="end"))
    errors = wrap(clean(store.metadata["error"]), _RIGHT - _LEFT, 3) if store.metadata.get("error") else []
    for error in errors:
        y += 19
        lines.append(texts(_LEFT, y, Run(error, FAILED)))
    if chart := _chart(store, states, y + 12):
        lines += chart
        y += 12 + HEIGHT
    top = states[: _MAX_ROWS - len(errors)]
    if top:
        lines += _rows(store, fit(columns, _RIGHT - _LEFT, 18, 112, _small), top, y + 22)
        y += 26 + _ROW_HEIGHT * len(top)
    for below in _below(store, states, len(states) - len(top)):
        y += 20
        lines.append(texts(_LEFT, y, *below, font_size="12"))
    return _card(store, best, lines, y + 15)


def _chart(store: Store, states: list[TrialState], y: float) -> list[str]:
    """Return the curves of the metric, or the scatter of several objectives; nothing without a metric or report."""
    if len(store.objectives) > 1:
        return draw_front(store, y, _LEFT, _RIGHT)
    return draw(collect(store, store.metric, states), y, _LEFT, _RIGHT) if store.metric is not None else []


def _small(text: str) -> float:
    return text_width(text, 12)


def _card(store: Store, best: TrialState | None, lines: list[str], height: int) -> str:
    over, total = store.progress()
    title = f"{clean(store.metadata.get('name', 'experiment'), 100)}: {store.status}, {over:,} of {total:,} trials"
    described = count_line(store)
    if best is not None and store.metric is not None:
        of = repeat_note(store) or f"of trial {best.number}"
        described += f"; {clean(best_label(store), 100)} {shown(store.best_value())}, {of}"
    elif len(store.objectives) > 1 and (line := best_line(store)):
        described += f"; {clean(line, 200)}"
    # `max-width` lets narrow pages shrink the picture; tabular digits all have the same width.
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" id="nbtune-still" role="img" width="{_WIDTH}" height="{height}"'
        f' viewBox="0 0 {_WIDTH} {height}" font-family="{_FONT}" font-size="13" fill="{_TEXT}"'
        ' style="max-width:100%;height:auto;font-variant-numeric:tabular-nums">'
    )
    card = element("rect", x=0.5, y=0.5, width=_WIDTH - 1, height=height - 1, rx=4, fill="#fff", stroke="#d0d0d0")
    names = [element("title", html.escape(title)), element("desc", html.escape(described))]
    # Tells pictures of the same experiment from others; see widgets/src/picture.js.
    if folder := str(store.metadata.get("path", "")).rpartition("/")[2]:
        names.append(element("metadata", html.escape(clean(folder))))
    return "\n".join([root, *names, card, *lines, "</svg>"])


def _header(store: Store, y: float) -> list[str]:
    """Return the first line: name, status, bar and counts."""
    over, total = store.progress()
    status = f"{SIGNS.get(store.status, '')} {store.status}"
    done, counts = f"{over:,} of {total:,} trials", count_line(store)
    room = _RIGHT - _LEFT - text_width(status, bold=True) - 12 - 16 - _BAR_WIDTH - 10 - text_width(done) - 14
    name = clean(store.metadata.get("name", "experiment"))
    if text_width(counts) + min(_title_width(name), 120) > room:
        by_status = shown_counts(store)
        counts = "  ".join(f"{SIGNS[status]} {by_status[status]:,}" for status in SIGNS if status in by_status)
    name = cut(name, room - text_width(counts), _title_width)
    bar = round(_LEFT + _title_width(name) + 12 + text_width(status, bold=True) + 16)
    fill = _FILLS.get(store.status, DIM)
    return [
        texts(_LEFT, y, Run(name, bold=True), Run(status, fill, bold=True, gap=12)),
        *_bar(store, total, bar, y - 10),
        texts(bar + _BAR_WIDTH + 10, y, Run(done), Run(counts, DIM, gap=14)),
    ]


def _title_width(text: str) -> float:
    return text_width(text, bold=True)


def _bar(store: Store, total: int, x: float, y: float) -> list[str]:
    lines = [element("rect", x=x, y=y, width=_BAR_WIDTH, height=11, rx=2, fill="#e6e6e6")]
    for status in ("finished", "stopped", "failed"):
        width = round(_BAR_WIDTH * store.counts[status] / max(total, 1), 1)
        if width:
            lines.append(element("rect", x=x, y=y, width=width, height=11, fill=_FILLS[status]))
        x += width
    return lines


def _best(store: Store, best: TrialState, y: float) -> list[str]:
    """Return the second line: the best value, its trial and as many of its parameters as fit."""
    label = cut(clean(best_label(store)), 220, _title_width)
    at = f", iteration {best.single.iteration}" if shows_iteration(store, best) else ""
    of = repeat_note(store) or f"trial {best.number}{at}"
    runs = [Run(f"★ {label} {shown(store.best_value())}", BEST, bold=True), Run(of, gap=14)]
    room = _RIGHT - _LEFT - 90 - sum(text_width(run.text, bold=run.bold) + run.gap for run in runs)
    parameters = [(clean(name, 60), shown(value)) for name, value in store.value_configuration(best).parameters.items()]
    for position, (name, value) in enumerate(parameters):
        remaining = len(parameters) - position
        more = text_width(f"+ {remaining} more") + 14
        name, value = cut(name, 140), cut(value, 140)
        width = text_width(f"{name} {value}") + 14
        if width > room - (more if remaining > 1 else 0):
            runs.append(Run(f"+ {remaining} more", DIM, gap=14))
            break
        runs += [Run(name, DIM, gap=14), Run(f" {value}")]
        room -= width
    return [texts(_LEFT, y, *runs)]


def _front(store: Store, y: float) -> list[str]:
    """Return the second line of several objectives: how many trials are on the front, and the best value of each."""
    runs = [Run(f"★ Pareto front: {trial_count(store.front())}", BEST, bold=True)]
    room = _RIGHT - _LEFT - 90 - text_width(runs[0].text, bold=True)
    for label, value in best_of_each(store):
        parts = [Run(cut(clean(label), 220), DIM, gap=14), Run(f" {clean(value)}")]
        room -= sum(text_width(run.text) + run.gap for run in parts)
        if room < 0:
            break
        runs += parts
    return [texts(_LEFT, y, *runs)]


def _note(store: Store, y: float) -> list[str]:
    """Return the second line of an experiment without a best trial: why there is none."""
    ended = store.status in ENDED
    if not store.trials:
        note = "no trial was started" if ended else "starting the trials' processes"
    elif not store.objectives:
        note = "no metric to compare the trials by"
    elif ended:
        reported = ", ".join(store.metrics()) or "none"
        words = f"{value_words(store.scope)} of {objective_names(store)}"
        note = f"no trial has a finite {words}; reported metrics: {reported}"
    else:
        note = f"no finite value of {objective_names(store)} yet" if store.metrics() else "no report yet"
    return [texts(_LEFT, y, Run(cut(clean(note), _RIGHT - _LEFT - 80), DIM))]


def _rows(store: Store, columns: list[Cells], states: Sequence[TrialState], y: float) -> list[str]:
    """Return the table, one element per row; the first has the titles."""
    positions, x = [], float(_LEFT)
    for column in columns:
        positions.append(round(x + column.width) if column.right else round(x))
        x += column.width + 18
    anchors = ["end" if column.right else None for column in columns]
    lines = []
    kinds = {column.kind for column in columns}
    compared = {"trial", next((kind for kind in ("mean", "value") if kind in kinds), "metric")}
    best = best_numbers(store)
    for row in range(-1, len(states)):
        spans = []
        for column, position, anchor in zip(columns, positions, anchors, strict=True):
            run = Run(column.title, DIM)
            if row >= 0:
                state = states[row]
                top = state.number in best and column.kind in compared
                fill = BEST if top else _FILLS.get(status_of(store, state)) if column.kind == "status" else None
                run = Run(column.cells[row], fill, bold=top)
            if run.text:
                spans.append(span(run, x=position, text_anchor=anchor))
        lines.append(element("text", "".join(spans), y=y, font_size="12"))
        if row < 0:
            lines.append(element("path", d=f"M{_LEFT} {y + 5.5:g}H{_RIGHT}", stroke=_GRID))
            y += 4
        y += _ROW_HEIGHT
    return lines


def _below(store: Store, states: Sequence[TrialState], hidden: int) -> list[list[Run]]:
    """Return the lines below the table: how many trials it does not show, the first error, the time of the state."""
    lines = []
    if hidden:
        lines.append([Run(f"and {hidden:,} more", DIM)])
    failed = sorted((s for s in states if s.status == "failed"), key=lambda state: state.number)
    if failed:
        more = f"and {len(failed) - 1:,} more failed" if len(failed) > 1 else ""
        room = _RIGHT - _LEFT - _small(more) - 14
        error = cut(f"✗ trial {failed[0].number}: {clean(failed[0].error)}", room, _small)
        lines.append([Run(error, FAILED), Run(more, DIM, gap=14)])
    if store.status not in ENDED:  # the file may be read when it has ended long ago
        lines.append([Run(f"{store.status} at {time.strftime('%Y-%m-%d %H:%M')}", DIM)])
    return lines
