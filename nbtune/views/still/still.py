"""The picture that stays in the notebook file: the dashboard, drawn without a browser, and the same as text."""

from __future__ import annotations

import html
from collections.abc import Sequence

from nbtune.results.state import TrialState
from nbtune.results.store import ENDED, Store, flat
from nbtune.spec.units import format_duration
from nbtune.views.still.picture import Run, clean, cut, element, span, text_width, texts, wrap
from nbtune.views.still.still_curves import BEST, DIM, FAILED, FINISHED, HEIGHT, RUNNING, STOPPED, collect, draw
from nbtune.views.still.still_table import SIGNS, Cells, fit, plain_table, ranked, shown, table
from nbtune.views.text import count_line, shown_counts, status_of, summary

__all__ = ["still"]

_WIDTH, _LEFT, _RIGHT = 760, 16, 744
_BAR = 90  # pixels
_ROWS, _ROW = 8, 18  # of the table: how many, and how high
_FILLS = dict.fromkeys(("failed", "lost", "unread"), FAILED) | {
    "running": RUNNING,
    "finished": FINISHED,
    "stopped": STOPPED,
}
_TEXT, _GRID = "#1f1f1f", "#e0e0e0"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_LINES, _LINE = 8, 240  # of the text: lines of the summary, and characters of each


def still(store: Store) -> dict[str, str]:
    """Return an experiment as a picture and as text, by MIME type, for where no widget can be.

    Both together have at most some 60 kB, whatever the experiment's size, and name no place on this machine.
    The picture's root has the id "nbtune-still", by which a live view finds it to take its place.
    """
    states, best = ranked(store), store.best()
    columns = table(store, states[:_ROWS], best)
    text = "\n\n".join([_summary(store), *([plain_table(columns)] if states else [])])
    return {"image/svg+xml": _picture(store, states, best, columns), "text/plain": text}


def _summary(store: Store) -> str:
    text = summary(store)
    if store.metadata.get("path"):
        text = text.removesuffix(f"\nkept in {store.metadata['path']}")
    return "\n".join(clean(line, _LINE) for line in text.splitlines()[:_LINES])


def _picture(store: Store, states: list[TrialState], best: TrialState | None, columns: list[Cells]) -> str:
    y = 28
    lines = _head(store, y)
    y += 26
    lines += _best(store, best, y) if best is not None else _note(store, y)
    if store.metadata.get("began"):  # in a line of its own, the only one that another run with the same seed changes
        lines.append(texts(_RIGHT, y, Run(format_duration(store.elapsed()), DIM), text_anchor="end"))
    errors = wrap(clean(store.metadata["error"]), _RIGHT - _LEFT, 3) if store.metadata.get("error") else []
    for error in errors:
        y += 19
        lines.append(texts(_LEFT, y, Run(error, FAILED)))
    if store.metric is not None and (chart := draw(collect(store, store.metric, states, best), y + 12, _LEFT, _RIGHT)):
        lines += chart
        y += 12 + HEIGHT
    top = states[: _ROWS - len(errors)]
    if top:
        lines += _rows(store, fit(columns, _RIGHT - _LEFT, 18, 112, _small), best, top, y + 22)
        y += 26 + _ROW * len(top)
    for below in _below(states, len(states) - len(top)):
        y += 20
        lines.append(texts(_LEFT, y, *below, font_size="12"))
    return _card(store, best, lines, y + 15)


def _small(text: str) -> float:
    return text_width(text, 12)


def _card(store: Store, best: TrialState | None, lines: list[str], height: int) -> str:
    over, total = store.progress()
    title = f"{clean(store.metadata.get('name', 'experiment'), 100)}: {store.status}, {over:,} of {total:,} trials"
    described = count_line(store)
    if best is not None and store.metric is not None:
        value = shown(best.metrics[store.metric])
        described += f"; best {clean(store.metric, 100)} {value}, of trial {best.number}"
    # The size is a picture's own, so that a narrow page can shrink it; the digits are all as wide as each other.
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" id="nbtune-still" role="img" width="{_WIDTH}" height="{height}"'
        f' viewBox="0 0 {_WIDTH} {height}" font-family="{_FONT}" font-size="13" fill="{_TEXT}"'
        ' style="max-width:100%;height:auto;font-variant-numeric:tabular-nums">'
    )
    card = element("rect", x=0.5, y=0.5, width=_WIDTH - 1, height=height - 1, rx=4, fill="#fff", stroke="#d0d0d0")
    names = [element("title", html.escape(title)), element("desc", html.escape(described))]
    return "\n".join([root, *names, card, *lines, "</svg>"])


def _head(store: Store, y: float) -> list[str]:
    """Return the first line: name, state, bar and counts."""
    over, total = store.progress()
    status = f"{SIGNS.get(store.status, '')} {store.status}"
    done, counts = f"{over:,} of {total:,} trials", count_line(store)
    room = _RIGHT - _LEFT - text_width(status, bold=True) - 12 - 16 - _BAR - 10 - text_width(done) - 14
    name = clean(store.metadata.get("name", "experiment"))
    if text_width(counts) + min(_title_width(name), 120) > room:
        found = shown_counts(store)
        counts = "  ".join(f"{SIGNS[status]} {found[status]:,}" for status in SIGNS if status in found)
    name = cut(name, room - text_width(counts), _title_width)
    bar = round(_LEFT + _title_width(name) + 12 + text_width(status, bold=True) + 16)
    fill = _FILLS.get(store.status, DIM)
    return [
        texts(_LEFT, y, Run(name, bold=True), Run(status, fill, bold=True, gap=12)),
        *_bar(store, total, bar, y - 10),
        texts(bar + _BAR + 10, y, Run(done), Run(counts, DIM, gap=14)),
    ]


def _title_width(text: str) -> float:
    return text_width(text, bold=True)


def _bar(store: Store, total: int, x: float, y: float) -> list[str]:
    lines = [element("rect", x=x, y=y, width=_BAR, height=11, rx=2, fill="#e6e6e6")]
    for status in ("finished", "stopped", "failed"):
        width = round(_BAR * store.counts[status] / max(total, 1), 1)
        if width:
            lines.append(element("rect", x=x, y=y, width=width, height=11, fill=_FILLS[status]))
        x += width
    return lines


def _best(store: Store, best: TrialState, y: float) -> list[str]:
    """Return the second line: the best value, its trial and as many of its parameters as fit."""
    value = shown(best.metrics[str(store.metric)])
    metric = cut(clean(store.metric), 220, _title_width)
    runs = [Run(f"★ {metric} {value}", BEST, bold=True), Run(f"trial {best.number}", gap=14)]
    room = _RIGHT - _LEFT - 90 - sum(text_width(run.text, bold=run.bold) + run.gap for run in runs)
    parameters = [(clean(name, 60), shown(value)) for name, value in flat(best.config)]
    for place, (name, value) in enumerate(parameters):
        left = len(parameters) - place
        more = text_width(f"+ {left} more") + 14
        name, value = cut(name, 140), cut(value, 140)
        width = text_width(f"{name} {value}") + 14
        if width > room - (more if left > 1 else 0):
            runs.append(Run(f"+ {left} more", DIM, gap=14))
            break
        runs += [Run(name, DIM, gap=14), Run(f" {value}")]
        room -= width
    return [texts(_LEFT, y, *runs)]


def _note(store: Store, y: float) -> list[str]:
    """Return the second line where there is no best trial: what is to come, or why there is none."""
    ended, metric = store.status in ENDED, store.metric
    if not store.trials:
        note = "no trial was started" if ended else "starting the trials' processes"
    elif metric is None:
        note = "no metric was named to compare the trials by"
    elif ended:
        seen = ", ".join(store.metrics()) or "nothing"
        note = f"no trial has a finite value of {metric} as its last; reported were: {seen}"
    else:
        note = f"no finite value of {metric} yet" if store.metrics() else "no report yet"
    return [texts(_LEFT, y, Run(cut(clean(note), _RIGHT - _LEFT - 80), DIM))]


def _rows(
    store: Store, columns: list[Cells], best: TrialState | None, states: Sequence[TrialState], y: float
) -> list[str]:
    """Return the table, each row a line, the first of which is the titles."""
    places, x = [], float(_LEFT)
    for column in columns:
        places.append(round(x + column.width) if column.right else round(x))
        x += column.width + 18
    anchors = ["end" if column.right else None for column in columns]
    lines = []
    for row in range(-1, len(states)):
        spans = []
        for column, place, anchor in zip(columns, places, anchors, strict=True):
            run = Run(column.title, DIM)
            if row >= 0:
                state = states[row]
                top = best is not None and state.number == best.number and column.kind in {"trial", "metric"}
                fill = BEST if top else _FILLS.get(status_of(store, state)) if column.kind == "status" else None
                run = Run(column.cells[row], fill, bold=top)
            if run.text:
                spans.append(span(run, x=place, text_anchor=anchor))
        lines.append(element("text", "".join(spans), y=y, font_size="12"))
        if row < 0:
            lines.append(element("path", d=f"M{_LEFT} {y + 5.5:g}H{_RIGHT}", stroke=_GRID))
            y += 4
        y += _ROW
    return lines


def _below(states: Sequence[TrialState], hidden: int) -> list[list[Run]]:
    """Return the lines below the table: how many trials it leaves out, and the first error."""
    lines = []
    if hidden:
        lines.append([Run(f"and {hidden:,} more", DIM)])
    failed = sorted((s for s in states if s.status == "failed"), key=lambda state: state.number)
    if failed:
        more = f"and {len(failed) - 1:,} more failed" if len(failed) > 1 else ""
        room = _RIGHT - _LEFT - _small(more) - 14
        error = cut(f"✗ trial {failed[0].number}: {clean(failed[0].error)}", room, _small)
        lines.append([Run(error, FAILED), Run(more, DIM, gap=14)])
    return lines
