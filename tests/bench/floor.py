"""Trials of one second, including the start, compared to the minimum: 100 on two slots, 640 on 32."""

from __future__ import annotations

import sys
from typing import Any

from tests.bench.measure import Options, Row, alternate, median, probe, write_result
from tests.bench.runs import CPUS, connect_nbtune, init_stock, tune_nbtune, tune_stock

__all__ = ["measure"]

TRIALS = {CPUS: 100, 32: 640}
"""Slots -> the number of trials. 32 processes have to start on the two cores before all slots are used."""


def sleep_a_second(config: dict[str, Any]) -> dict[str, Any]:
    """A trial that sleeps for one second."""
    import time

    time.sleep(1)
    return {"score": config["number"]}


def measure(options: Options) -> list[Row]:
    """Measure nbtune and stock Tune."""
    sides = ("nbtune",) if options.quick else ("nbtune", "reuse")
    names = [f"{side} {slots}" for slots in TRIALS for side in sides]
    rounds = alternate(max(1, options.rounds // 3), names, lambda name: probe("floor", *name.split()))
    rows = []
    for name, results in rounds.items():
        side, slots = name.split()
        floor = TRIALS[int(slots)] / int(slots)
        what = f"{TRIALS[int(slots)]} trials of 1 s on {slots} slots / their floor of {floor:.0f} s"
        whole, first = (median(one[time] for one in results) for time in ("whole", "first"))
        note = f"{whole:.2f} s, the first report after {first:.1f} s"
        if side == "nbtune":
            limit = 1.05 if slots == str(CPUS) else 1.15
            rows.append(Row("floor", f"{what}, nbtune", whole / floor, "x", limit, note, {"rounds": results}))
        else:
            rows.append(Row("floor", f"{what}, stock with reuse_actors", whole / floor, "x", note=note))
    return rows


if __name__ == "__main__":
    slots = int(sys.argv[2])
    space = {"number": list(range(TRIALS[slots]))}
    if sys.argv[1] == "nbtune":
        connect_nbtune(cpus=slots)
        experiment, times = tune_nbtune(sleep_a_second, space)
        assert len(experiment.df) == TRIALS[slots]
    else:
        init_stock(cpus=slots)
        results, times = tune_stock(sleep_a_second, space, reuse=True)
    write_result(**times)
