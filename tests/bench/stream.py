"""100 reports a second in JupyterLab: the time from a report to its point on the screen, and the cost."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from tests.bench.measure import STORAGE, Options, Row, alternate, median, probe, write_result

__all__ = ["measure"]

REPORTS = 1000
"""The number of reports of each of two trials; 50 a second take 20 seconds."""
WINDOW = 10.0
"""Seconds in the middle of the run, over which the CPU shares are measured."""
CONNECT = """%load_ext nbtune
import nbtune, time
nbtune.connect(cpus=2)
time.sleep(6)"""
# The integer part of a value identifies the trial, since the page knows lines only.
SWEEP = """%%tune demo --metric accuracy --mode max --storage {storage}
number: grid_search([0, 1])

began = time.perf_counter()
for step in range(1, {reports} + 1):
    report(accuracy=number + 0.9 * step / {reports}, at=time.time())
    time.sleep(max(0.0, began + step / 50 - time.perf_counter()))"""
READ = "demo.wait()\nrecord(history=demo.history[['trial', 'iteration', 'at']].values.tolist(), errors=demo.dashboard.errors)"


def measure(options: Options) -> list[Row]:
    """Measure in an otherwise idle browser and kernel."""
    rounds = alternate(min(options.rounds, 3), ("nbtune",), lambda side: probe("stream"))["nbtune"]
    results = {name: median(one[name] for one in rounds) for name in rounds[0] if name != "latencies"}
    note = (
        f"{results['rate']:.0f} reports a second, {results['drawings']:.1f} drawings; longest {results['most']:.0f} ms"
    )
    share = f"the browser's main thread {100 * results['page']:.0f} %"
    return [
        Row("stream", "from report to drawn, median", results["median"], "ms", 150, note, {"rounds": rounds}),
        Row("stream", "from report to drawn, 95 % within", results["most of them"], "ms", 400),
        Row("stream", "kernel's CPU with the dashboard shown", 100 * results["kernel"], "%", 10, share),
    ]


def latencies(history: Sequence[Sequence[float]], drawn: Sequence[dict[str, Any]], began: float) -> list[float]:
    """Return the milliseconds from each report to the frame after the first drawing that contains it.

    Args:
        history: trial, iteration and time of each report.
        drawn: the time of each drawing, and the last iteration of each trial in it.
        began: the time from which reports are counted.
    """
    results = []
    for number in (0, 1):
        steps = [(one["when"], one["ends"].get(str(number), 0)) for one in drawn]
        place = 0
        for trial, iteration, at in history:
            if trial != number:
                continue
            while place < len(steps) and steps[place][1] < iteration:
                place += 1
            if place == len(steps):
                raise RuntimeError(f"report {iteration:.0f} of trial {trial:.0f} was never drawn")
            if at >= began:
                results.append(1000 * (steps[place][0] - at))
    return results


def _probe() -> None:
    import psutil

    from tests.bench.lab import lab

    with lab() as opened:
        notebook = opened.notebook(CONNECT, SWEEP.format(storage=STORAGE, reports=REPORTS), READ)
        notebook.run(1, timeout=120)
        opened.watch()
        notebook.start(2)
        kernel = psutil.Process(opened.recorded("pid"))
        # Both trials are running, and the page has loaded plotly.js.
        began = opened.until_drawn("d.ends[0] >= 50 && d.ends[1] >= 50", 120)["when"]
        first, used = opened.meter.read(), kernel.cpu_times()
        opened.page.wait_for_timeout(1000 * WINDOW)
        last, after = opened.meter.read(), kernel.cpu_times()
        opened.until_drawn(f"d.ends[0] >= {REPORTS} && d.ends[1] >= {REPORTS}", 120)
        notebook.run(3)
        drawn, history = opened.drawn(), opened.recorded("history")
        if opened.recorded("errors"):
            raise RuntimeError(str(opened.recorded("errors")))
    wall = last["when"] - first["when"]
    took = latencies(history, drawn, began)
    within = [at for _, _, at in history if first["when"] <= at < last["when"]]
    write_result(
        median=statistics.median(took),
        **{"most of them": statistics.quantiles(took, n=20)[-1]},
        most=max(took),
        rate=len(within) / wall,
        drawings=sum(first["when"] <= one["when"] < last["when"] for one in drawn) / wall,
        kernel=(after.user + after.system - used.user - used.system) / wall,
        page=(last["task"] - first["task"]) / wall,
        latencies=[round(each, 1) for each in took],
    )


if __name__ == "__main__":
    _probe()
