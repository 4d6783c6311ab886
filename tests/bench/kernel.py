"""The CPU share of the kernel while about 100 reports a second arrive, and the number of lost reports."""

from __future__ import annotations

import sys
import time
from typing import Any

from tests.bench.measure import STORAGE, Options, Row, alternate, median, probe, write_result
from tests.bench.runs import CPUS, connect_nbtune

__all__ = ["measure"]

REPORTS = 500
EVERY = 0.02  # seconds


def report_steadily(config: dict[str, Any]) -> None:
    """Report at a fixed beat; what one report takes longer is made up for by the next."""
    import time

    import nbtune

    began = time.perf_counter()
    for number in range(config["reports"]):
        nbtune.report({"loss": 1 / (number + 1), "accuracy": number / 500})
        time.sleep(max(0.0, began + (number + 1) * config["every"] - time.perf_counter()))


def measure(options: Options) -> list[Row]:
    """Measure an otherwise idle kernel, and one whose main thread trains."""
    sides = ("idle", "trains")
    rounds = alternate(min(options.rounds, 2), sides, lambda side: probe("kernel", side))
    share = {side: 100 * median(one["share"] for one in rounds[side]) for side in sides}
    rate = {side: median(one["rate"] for one in rounds[side]) for side in sides}
    before = median(one["before"] for one in rounds["idle"])
    lost = float(max(one["lost"] for side in sides for one in rounds[side]))
    note = f"{rate['idle']:.0f} reports a second came in; {100 * before:.1f} % with nothing running"
    beside = f"{rate['trains']:.0f} reports a second came in, with a dashboard"
    return [
        Row("kernel", "kernel's CPU while they stream in", share["idle"], "%", 10, note),
        Row("kernel", "the same beside training in the kernel, without the training", share["trains"], "%", 5, beside),
        Row("kernel", "reports that did not arrive", lost, "", 0, f"of {CPUS * REPORTS}", {"rounds": rounds}),
    ]


def _train(seconds: float) -> None:
    """Keep the main thread busy, as training in a cell does."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        sum(number * number for number in range(1000))


if __name__ == "__main__":
    import nbtune

    trains = sys.argv[1] == "trains"
    connect_nbtune()
    began, used = time.perf_counter(), time.process_time()
    time.sleep(3)
    idle = (time.process_time() - used) / (time.perf_counter() - began)
    experiment = nbtune.tune(
        report_steadily,
        {"number": nbtune.grid_search(list(range(CPUS))), "reports": REPORTS, "every": EVERY},
        storage=STORAGE,
        wait=False,
    )
    if trains:
        _ = experiment.dashboard
    while not len(experiment.history):
        time.sleep(0.02)
    time.sleep(0.5)
    reports = experiment._store.reports
    began, used, own, before = time.perf_counter(), time.process_time(), time.thread_time(), len(reports)
    (_train if trains else time.sleep)(8)
    wall, cpu = time.perf_counter() - began, time.process_time() - used - (time.thread_time() - own)
    rate = (len(reports) - before) / wall
    running = experiment.status == "running"
    experiment.wait()
    history = experiment.history
    arrived = {number: sorted(rows["iteration"]) for number, rows in history.groupby("trial")}
    complete = sum(len(set(numbers) & set(range(1, REPORTS + 1))) for numbers in arrived.values())
    lost = CPUS * REPORTS - complete
    write_result(share=cpu / wall, before=idle, rate=rate, lost=lost, throughout=running)
