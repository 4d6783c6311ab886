"""100 reports a second in JupyterLab: from the report in a trial to its point on the screen, and what that costs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from tests.bench.measure import STORAGE, Options, Row, alternate, hand_back, median, probe

__all__ = ["measure"]

REPORTS = 1000
"""Of each of two trials, 50 a second: 20 seconds."""
WINDOW = 10.0
"""Seconds in the middle over which the processes' shares are taken."""
CONNECT = """%load_ext nbtune
import nbtune, time
nbtune.connect(cpus=2)
time.sleep(6)"""
# The whole part of a value says which trial's it is: the page knows lines, not trials.
SWEEP = """%%tune demo --metric accuracy --mode max --storage {storage}
number: grid_search([0, 1])

began = time.perf_counter()
for step in range(1, {reports} + 1):
    report(accuracy=number + 0.9 * step / {reports}, at=time.time())
    time.sleep(max(0.0, began + step / 50 - time.perf_counter()))"""
READ = "demo.wait()\ntell(history=demo.history[['trial', 'iteration', 'at']].values.tolist(), errors=demo.dashboard.errors)"


def measure(options: Options) -> list[Row]:
    """Measure in a browser and kernel that have nothing else to do."""
    rounds = alternate(min(options.rounds, 3), ("nbtune",), lambda side: probe("stream"))["nbtune"]
    found = {name: median(one[name] for one in rounds) for name in rounds[0] if name != "latencies"}
    note = f"{found['rate']:.0f} reports a second, {found['drawings']:.1f} drawings; longest {found['most']:.0f} ms"
    share = f"the browser's main thread {100 * found['page']:.0f} %"
    return [
        Row("stream", "from report to drawn, median", found["median"], "ms", 150, note, {"rounds": rounds}),
        Row("stream", "from report to drawn, 95 % within", found["most of them"], "ms", 400),
        Row("stream", "kernel's CPU with the dashboard shown", 100 * found["kernel"], "%", 10, share),
    ]


def latencies(history: Sequence[Sequence[float]], drawn: Sequence[dict[str, Any]], began: float) -> list[float]:
    """Return milliseconds from each report to the frame after the first drawing that has it.

    Args:
        history: trial, iteration and the time of each report.
        drawn: each drawing: when, and the last iteration that it has of each trial.
        began: when it counts from.
    """
    found = []
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
                found.append(1000 * (steps[place][0] - at))
    return found


def _probe() -> None:
    import psutil

    from tests.bench.lab import lab

    with lab() as opened:
        notebook = opened.notebook(CONNECT, SWEEP.format(storage=STORAGE, reports=REPORTS), READ)
        notebook.run(1, timeout=120)
        opened.watch()
        notebook.start(2)
        kernel = psutil.Process(opened.told("pid"))
        # Both trials are there, and plotly.js has come to the page: it takes its time once.
        began = opened.until_drawn("d.ends[0] >= 50 && d.ends[1] >= 50", 120)["when"]
        first, used = opened.meter.read(), kernel.cpu_times()
        opened.page.wait_for_timeout(1000 * WINDOW)
        last, after = opened.meter.read(), kernel.cpu_times()
        opened.until_drawn(f"d.ends[0] >= {REPORTS} && d.ends[1] >= {REPORTS}", 120)
        notebook.run(3)
        drawn, history = opened.drawn(), opened.told("history")
        if opened.told("errors"):
            raise RuntimeError(str(opened.told("errors")))
    wall = last["when"] - first["when"]
    took = latencies(history, drawn, began)
    within = [at for _, _, at in history if first["when"] <= at < last["when"]]
    hand_back(
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
