"""How soon the call that starts an experiment comes back, so that the next cell can run."""

from __future__ import annotations

import sys
import time
from typing import Any

from tests.bench.measure import Options, Row, alternate, hand_back, median, probe
from tests.bench.runs import SETTLE, connect_nbtune, tune_nbtune

__all__ = ["measure"]


def train_model(config: dict[str, Any]) -> dict[str, Any]:
    """The seed's trial."""
    return {"score": config["model_id"]}


def measure(options: Options) -> list[Row]:
    """Measure with a cluster that is there, twice in one session, and with Ray to start."""
    found = alternate(options.rounds, ("warm", "cold"), lambda side: probe("returns", side))
    warm = median(one["first_call"] for one in found["warm"])
    again = median(one["second_call"] for one in found["warm"])
    cold = median(one["first_call"] for one in found["cold"])
    return [
        Row("returns", "nbtune.tune returns, warm cluster", warm, reach=1.0, data=found),
        Row("returns", "nbtune.tune returns, the same session's second", again, reach=1.0),
        Row("returns", "nbtune.tune returns, Ray to start", cold, reach=10.0),
    ]


if __name__ == "__main__":
    if sys.argv[1] == "warm":
        connect_nbtune()
    space = {"model_id": ["model_0", "model_1"]}
    found = {"first_call": tune_nbtune(train_model, space)[1]["returned"]}
    if sys.argv[1] == "warm":
        time.sleep(SETTLE)  # processes are started ahead again
        found["second_call"] = tune_nbtune(train_model, space)[1]["returned"]
    hand_back(**found)
