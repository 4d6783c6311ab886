"""From a fresh kernel to the first result, including imports and the start of Ray."""

from __future__ import annotations

import sys
import time
from typing import Any

from tests.bench.measure import Options, Row, alternate, median, probe, write_result
from tests.bench.runs import connect_nbtune, init_stock, tune_nbtune, tune_stock

__all__ = ["measure"]


def train_model(config: dict[str, Any]) -> dict[str, Any]:
    """A trial that does nothing."""
    return {"score": config["model_id"]}


def measure(options: Options) -> list[Row]:
    """Measure both sides alternately."""
    results = alternate(options.rounds, ("stock", "nbtune"), lambda side: probe("fresh", side))
    first = {side: median(one["first"] for one in rounds) for side, rounds in results.items()}
    ready = {side: median(one["ready"] for one in rounds) for side, rounds in results.items()}
    note = {side: f"Ray is up at {ready[side]:.2f} s" for side in results}
    return [
        Row("fresh", "fresh kernel to first result, stock", first["stock"], note=note["stock"]),
        Row(
            "fresh",
            "fresh kernel to first result, nbtune",
            first["nbtune"],
            note=note["nbtune"],
        ),
        Row(
            "fresh",
            "fresh kernel to first result, nbtune / stock",
            first["nbtune"] / first["stock"],
            "x",
            0.5,
            data=results,
        ),
    ]


if __name__ == "__main__":
    began = time.perf_counter()
    space = {"model_id": ["model_0", "model_1"]}
    if sys.argv[1] == "nbtune":
        connect_nbtune(settle=0)
        ready = time.perf_counter() - began
        _, times = tune_nbtune(train_model, space)
    else:
        init_stock(settle=0)
        ready = time.perf_counter() - began
        _, times = tune_stock(train_model, space, reuse=False)
    write_result(ready=ready, **{name: ready + times[name] for name in ("first", "whole")})
