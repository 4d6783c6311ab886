"""100 trials of one second on two slots, including the start, compared to the minimum of 50 seconds."""

from __future__ import annotations

import sys
from typing import Any

from tests.bench.measure import Options, Row, alternate, median, probe, write_result
from tests.bench.runs import CPUS, connect_nbtune, init_stock, tune_nbtune, tune_stock

__all__ = ["measure"]

TRIALS = 100


def sleep_a_second(config: dict[str, Any]) -> dict[str, Any]:
    """A trial that sleeps for one second."""
    import time

    time.sleep(1)
    return {"score": config["number"]}


def measure(options: Options) -> list[Row]:
    """Measure nbtune and stock Tune."""
    sides = ("nbtune",) if options.quick else ("nbtune", "reuse")
    results = alternate(max(1, options.rounds // 3), sides, lambda side: probe("floor", side))
    floor = TRIALS / CPUS
    whole = {side: median(one["whole"] for one in rounds) for side, rounds in results.items()}
    what = "100 trials of 1 s on 2 slots / their floor of 50 s"
    note = f"{whole['nbtune']:.2f} s"
    rows = [Row("floor", f"{what}, nbtune", whole["nbtune"] / floor, "x", 1.08, note, results)]
    if "reuse" in whole:
        note = f"{whole['reuse']:.2f} s"
        rows.append(Row("floor", f"{what}, stock with reuse_actors", whole["reuse"] / floor, "x", note=note))
    return rows


if __name__ == "__main__":
    space = {"number": list(range(TRIALS))}
    if sys.argv[1] == "nbtune":
        connect_nbtune()
        experiment, times = tune_nbtune(sleep_a_second, space)
        assert len(experiment.df) == TRIALS
    else:
        init_stock()
        results, times = tune_stock(sleep_a_second, space, reuse=True)
    write_result(**times)
