"""The cost of each further trial that does nothing: (400 trials - 100 trials) / 300."""

from __future__ import annotations

import sys
from typing import Any

from tests.bench.measure import Options, Row, alternate, median, probe, write_result
from tests.bench.runs import connect_nbtune, init_stock, tune_nbtune, tune_stock

__all__ = ["measure"]


def train_model(config: dict[str, Any]) -> dict[str, Any]:
    """A trial that does nothing."""
    return {"score": config["model_id"]}


def measure(options: Options) -> list[Row]:
    """Measure both sides, each size in a separate process."""
    results = alternate(
        options.rounds,
        ("nbtune 100", "nbtune 400", "reuse 100", "reuse 400"),
        lambda side: probe("further", *side.split()),
    )
    whole = {side: median(one["whole"] for one in rounds) for side, rounds in results.items()}
    cost = {side: 1000 * (whole[f"{side} 400"] - whole[f"{side} 100"]) / 300 for side in ("nbtune", "reuse")}
    return [
        Row("further", "each further trial that does nothing, nbtune", cost["nbtune"], "ms", 10, data=results),
        Row("further", "each further trial, stock with reuse_actors", cost["reuse"], "ms"),
        Row("further", "each further trial, nbtune / reuse_actors", cost["nbtune"] / cost["reuse"], "x", 0.4),
    ]


if __name__ == "__main__":
    side, count = sys.argv[1], int(sys.argv[2])
    names = [f"model_{number}" for number in range(count)]
    if side == "nbtune":
        connect_nbtune()
        experiment, times = tune_nbtune(train_model, {"model_id": names})
        assert len(experiment.df) == count
    else:
        init_stock()
        results, times = tune_stock(train_model, {"model_id": names}, reuse=True)
        assert len(results) == count
    write_result(**times)
