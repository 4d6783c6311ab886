"""The CPU share of the kernel while about 100 reports a second arrive, and the number of lost reports."""

from __future__ import annotations

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
    """Measure an otherwise idle kernel."""
    rounds = alternate(min(options.rounds, 2), ("kernel",), lambda side: probe("kernel"))["kernel"]
    rate = median(one["rate"] for one in rounds)
    idle = median(one["idle"] for one in rounds)
    note = f"{rate:.0f} reports a second came in; {100 * idle:.1f} % with nothing running"
    lost = float(max(one["lost"] for one in rounds))
    return [
        Row("kernel", "kernel's CPU while they stream in", 100 * median(one["share"] for one in rounds), "%", 10, note),
        Row("kernel", "reports that did not arrive", lost, "", 0, f"of {CPUS * REPORTS}", {"rounds": rounds}),
    ]


if __name__ == "__main__":
    import nbtune

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
    while not len(experiment.history):
        time.sleep(0.02)
    time.sleep(0.5)
    began, used, before = time.perf_counter(), time.process_time(), len(experiment.history)
    time.sleep(8)
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    rate = (len(experiment.history) - before) / wall
    running = experiment.status == "running"
    experiment.wait()
    history = experiment.history
    arrived = {number: sorted(rows["iteration"]) for number, rows in history.groupby("trial")}
    complete = sum(len(set(numbers) & set(range(1, REPORTS + 1))) for numbers in arrived.values())
    write_result(share=cpu / wall, idle=idle, rate=rate, lost=CPUS * REPORTS - complete, throughout=running)
