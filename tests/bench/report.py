"""What a report costs the training loop: how long `report` keeps it."""

from __future__ import annotations

import sys
from typing import Any

from tests.bench.measure import Options, Row, alternate, hand_back, median, probe
from tests.bench.runs import connect_nbtune, init_stock, tune_nbtune, tune_stock

__all__ = ["measure"]

REPORTS = 300


def with_nbtune(config: dict[str, Any]) -> None:
    """Time nbtune's reports, with 20 ms of training between them and with none."""
    import statistics
    import time

    import nbtune

    found = {}
    for pause in (0.02, 0.0):
        taken = []
        for number in range(config["reports"]):
            time.sleep(pause)
            began = time.perf_counter()
            nbtune.report({"loss": 1 / (number + 1)})
            taken.append(time.perf_counter() - began)
        found["spaced" if pause else "at_once"] = statistics.median(taken)
        found["spaced_95" if pause else "at_once_95"] = sorted(taken)[int(0.95 * len(taken))]
    nbtune.report({"loss": 0.0, **found})


def with_tune(config: dict[str, Any]) -> None:
    """The same with stock Tune's reports."""
    import statistics
    import time

    from ray import tune

    found = {}
    for pause in (0.02, 0.0):
        taken = []
        for number in range(config["reports"]):
            time.sleep(pause)
            began = time.perf_counter()
            tune.report({"loss": 1 / (number + 1)})
            taken.append(time.perf_counter() - began)
        found["spaced" if pause else "at_once"] = statistics.median(taken)
        found["spaced_95" if pause else "at_once_95"] = sorted(taken)[int(0.95 * len(taken))]
    tune.report({"loss": 0.0, **found})


MEASURED = ("spaced", "spaced_95", "at_once", "at_once_95")


def measure(options: Options) -> list[Row]:
    """Measure both sides in turns, one trial each."""
    found = alternate(min(options.rounds, 2), ("nbtune", "stock"), lambda side: probe("report", side))
    rows = []
    for side, shown in (("nbtune", "nbtune"), ("stock", "stock Tune")):
        ms = {name: 1000 * median(one[name] for one in found[side]) for name in MEASURED}
        note = f"95 %: {ms['spaced_95']:.1f} ms; without training between: {ms['at_once']:.1f} ms"
        rows.append(
            Row("report", f"one report keeps the training loop, {shown}", ms["spaced"], "ms", note=note, data=found)
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
    hand_back(**{name: metrics[name] for name in MEASURED})
