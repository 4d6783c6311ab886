"""The cost of a report for the training loop: how long `report` blocks it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tests.bench.measure import Options, Row, alternate, median, probe, write_result
from tests.bench.runs import connect_nbtune, init_stock, tune_nbtune, tune_stock

__all__ = ["measure"]

REPORTS = 300


def time_reports(report: Callable[[dict[str, float]], Any], count: int) -> dict[str, float]:
    """Time calls of `report`, with 20 ms of training between them and with none.

    Args:
        report: the function to time.
        count: the number of calls in each case.

    Returns:
        `MEASURED` -> seconds: the median and the 95th percentile for both cases.
    """
    import statistics
    import time

    times = {}
    for pause, name in ((0.02, "spaced"), (0.0, "at_once")):
        durations = []
        for number in range(count):
            time.sleep(pause)
            started = time.perf_counter()
            report({"loss": 1 / (number + 1)})
            durations.append(time.perf_counter() - started)
        times[name] = statistics.median(durations)
        times[f"{name}_95"] = sorted(durations)[int(0.95 * len(durations))]
    return times


def with_nbtune(config: dict[str, Any]) -> None:
    """Time nbtune's reports."""
    import nbtune

    nbtune.report({"loss": 0.0, **time_reports(nbtune.report, config["reports"])})


def with_tune(config: dict[str, Any]) -> None:
    """Time stock Tune's reports."""
    from ray import tune

    tune.report({"loss": 0.0, **time_reports(tune.report, config["reports"])})


MEASURED = ("spaced", "spaced_95", "at_once", "at_once_95")


def measure(options: Options) -> list[Row]:
    """Measure both sides in turns, one trial each.

    Args:
        options: the options of the bench.
    """
    results = alternate(min(options.rounds, 2), ("nbtune", "stock"), lambda side: probe("report", side))
    rows = []
    for side, shown in (("nbtune", "nbtune"), ("stock", "stock Tune")):
        ms = {name: 1000 * median(one[name] for one in results[side]) for name in MEASURED}
        note = f"95 %: {ms['spaced_95']:.1f} ms; without training between: {ms['at_once']:.1f} ms"
        rows.append(
            Row("report", f"one report blocks the training loop, {shown}", ms["spaced"], "ms", note=note, data=results)
        )
    return rows


if __name__ == "__main__":
    if sys.argv[1] == "nbtune":
        connect_nbtune()
        experiment, _ = tune_nbtune(with_nbtune, {"reports": REPORTS, "number": [0]})
        metrics = experiment.trials[0].metrics
    else:
        init_stock()
        results, _ = tune_stock(with_tune, {"reports": REPORTS, "number": [0]}, reuse=False)
        metrics = results[0].metrics
    write_result(**{name: metrics[name] for name in MEASURED})
