"""A dashboard of 1,000 trials with 1,000 reports each: time to draw it, and the cost of an update."""

from __future__ import annotations

import sys

from tests.bench.measure import Options, Row, alternate, median, probe, write_result

__all__ = ["measure"]

TRIALS, REPORTS = 1000, 1000
FEWER = 100
"""A number of trials that all sides can draw."""
MANY = 10_000
"""A number of trials with one report each."""
UPDATES = {"nbtune": 50, "FigureWidget": 10, "Tune's reporter": 50}
"""The number of updates, ten a second. nbtune decides by itself how often to update for 100 reports a second."""
EVERY, PATIENCE = 0.1, 120  # seconds
NBTUNE = (
    """import nbtune
from nbtune.results.experiment import Experiment
from tests.bench.big import GrowingSource
source = GrowingSource({trials}, {reports})
began = time.time()
exp = Experiment(source)
while exp._store.cursor < source.end:
    time.sleep(0.005)
record(filled=time.time() - began)""",
    """record(began=time.time())
display(exp.dashboard)
record(displayed=time.time())""",
    "source.go({seconds})",
    "record(end=source.reported, errors=exp.dashboard.errors)",
)
FIGURE = (
    """import numpy as np, plotly.graph_objects as go
from tests.bench.big import values
x = np.arange(1, {reports} + 1)
ys = [values(number, 1, {reports} + 1) for number in range({trials})]""",
    """record(began=time.time())
fig = go.FigureWidget([go.Scatter(x=x, y=y, mode="lines", name=str(number)) for number, y in enumerate(ys)])
display(fig)
record(displayed=time.time())""",
    """began = time.monotonic()
for update in range(1, {updates} + 1):
    reports = {reports} + 5 * update
    with fig.batch_update():
        for number in ({trials} - 2, {trials} - 1):
            fig.data[number].x = np.arange(1, reports + 1)
            fig.data[number].y = np.append(ys[number], values(number, {reports} + 1, reports + 1))
    time.sleep(max(0, began + update * {every} - time.monotonic()))""",
    "record(end=reports, errors=[])",
)
REPORTER = (
    """from tests.bench.stock_reporter import reporter, result, trials_of
trials = trials_of({trials}, {reports})""",
    "record(began=time.time())\nshown = reporter({trials})\nshown.report(trials, False)\nrecord(displayed=time.time())",
    """began = time.monotonic()
for update in range(1, {updates} + 1):
    for number in ({trials} - 2, {trials} - 1):
        result(trials[number], number, {reports} + 5 * update)
    shown.report(trials, False)
    time.sleep(max(0, began + update * {every} - time.monotonic()))""",
    "record(end={reports} + 5 * {updates}, errors=[])",
)
CELLS = {"nbtune": NBTUNE, "FigureWidget": FIGURE, "Tune's reporter": REPORTER}
MARK = b'"type": "update"'
"""A part of each message from the kernel to nbtune's curves; the cells of the other sides count their updates."""


def measure(options: Options) -> list[Row]:
    """Measure all sides alternately; nbtune and FigureWidget also with a tenth of the trials."""
    names = [f"{side}|{TRIALS}|{REPORTS}" for side in CELLS]
    names += [f"{side}|{FEWER}|{REPORTS}" for side in ("nbtune", "FigureWidget")]
    names += [f"nbtune|{MANY}|1"]
    rounds = alternate(min(2, options.rounds), names, lambda name: probe("large", *name.split("|")))
    results = {name: {what: median(one[what] for one in each) for what in each[0]} for name, each in rounds.items()}
    rows = []
    for side, one in results.items():
        name, trials, reports = side.split("|")
        own = name == "nbtune" and trials != str(FEWER)
        what = f"{int(trials):,} x {int(reports):,} in {name}"
        note = f"in the kernel {one['kernel']:.2f} s"
        note += f"; its store was filled in {one['filled']:.2f} s" if name == "nbtune" else ""
        rows.append(Row("large", f"{what}: until it is drawn", one["open"], limit=3 if own else None, note=note))
        note = f"{one['updates']:.0f} updates in {one['seconds']:.1f} s"
        limit = 50 if own else None
        rows.append(Row("large", f"{what}: browser's main thread an update", one["task"], "ms", limit, note))
        if one["drawings"]:  # nbtune draws less often than the kernel updates, FigureWidget every time
            each = one["task"] * one["updates"] / one["drawings"]
            note = f"{one['drawings']:.0f} drawings"
            rows.append(Row("large", f"{what}: browser's main thread a drawing", each, "ms", limit, note))
        note = "ten reports, and the table's two rows" if own else ""
        rows.append(Row("large", f"{what}: sent for an update", one["bytes"] / 1000, "kB", note=note))
    for count in (TRIALS, FEWER):
        ours, theirs = results[f"nbtune|{count}|{REPORTS}"], results[f"FigureWidget|{count}|{REPORTS}"]
        for name, what in (("open", "until drawn"), ("task", "main thread"), ("bytes", "sent")):
            what = f"{count:,} x {REPORTS:,}, nbtune / FigureWidget: {what}"
            rows.append(Row("large", what, ours[name] / theirs[name], "x", data=rounds))
    return rows


def _probe(side: str, trials: int, reports: int) -> None:
    from tests.bench.lab import lab

    planned = UPDATES[side]
    values = {"trials": trials, "reports": reports, "updates": planned, "every": EVERY, "seconds": planned * EVERY}
    with lab() as opened:
        meter = opened.meter
        meter.mark = MARK
        notebook = opened.notebook(*(cell.format(**values) for cell in CELLS[side]))
        notebook.run(1, timeout=60)
        opened.watch()
        drawings = side != "Tune's reporter"
        notebook.start(2)
        if drawings:
            # Not all of the curves in the background are drawn.
            shown = opened.until_drawn(f"d.points > {trials if reports > 1 else 200}", PATIENCE)["when"]
        else:
            opened.page.get_by_text("TERMINATED").first.wait_for()
            shown = opened.page.evaluate("Date.now() / 1000")
        notebook.idle()
        opened.page.wait_for_timeout(3000)
        before, count = meter.read(), len(opened.drawn())
        notebook.start(3)
        if drawings:  # the cell of nbtune only starts the reports
            last = reports + (50 * EVERY if side == "nbtune" else 5) * planned
            opened.until_drawn(f"d.longest >= {last}", PATIENCE)
        else:
            notebook.idle()
            opened.page.wait_for_timeout(1000)
        after = meter.read()
        drawn = opened.drawn()[count:]
        notebook.run(4)
        if opened.recorded("errors"):
            raise RuntimeError(str(opened.recorded("errors")))
        began, displayed = opened.recorded("began"), opened.recorded("displayed")
        filled = opened.recorded("filled") if side == "nbtune" else 0.0
    updates = after["marked"] - before["marked"] if side == "nbtune" else planned
    write_result(
        open=shown - began,
        kernel=displayed - began,
        filled=filled,
        updates=updates,
        drawings=len(drawn),
        seconds=after["when"] - before["when"],
        task=1000 * (after["task"] - before["task"]) / updates,
        bytes=(after["bytes"] - before["bytes"]) / updates,
    )


if __name__ == "__main__":
    _probe(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
