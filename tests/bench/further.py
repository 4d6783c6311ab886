"""The cost of each further trial that does nothing: from the 100th report of a sweep to the 600th."""

from __future__ import annotations

import sys
import time
from typing import Any

from tests.bench.measure import STORAGE, Options, Row, alternate, median, probe, write_result
from tests.bench.runs import connect_nbtune, init_stock

__all__ = ["measure"]

BEGIN, END = 100, 600
"""The numbers of reports between which the time is taken. Start and end of a sweep are not in it."""


def train_model(config: dict[str, Any]) -> dict[str, Any]:
    """A trial that does nothing."""
    return {"score": config["number"]}


def measure(options: Options) -> list[Row]:
    """Measure both sides."""
    rounds = alternate(options.rounds, ("nbtune", "reuse"), lambda side: probe("further", side))
    cost = {side: median(one["each"] for one in results) for side, results in rounds.items()}
    ratio = median(
        ours["each"] / theirs["each"] for ours, theirs in zip(rounds["nbtune"], rounds["reuse"], strict=True)
    )
    return [
        Row("further", "each further trial that does nothing, nbtune", cost["nbtune"], "ms", 10, data=rounds),
        Row("further", "each further trial, stock with reuse_actors", cost["reuse"], "ms"),
        Row("further", "each further trial, nbtune / reuse_actors", ratio, "x", 0.4),
    ]


def _nbtune(numbers: list[int]) -> list[float]:
    import nbtune

    connect_nbtune()
    experiment = nbtune.tune(train_model, {"number": nbtune.grid_search(numbers)}, storage=STORAGE, wait=False)
    reports, times = experiment._store.reports, []
    for count in (BEGIN, END):
        while len(reports) < count:
            time.sleep(0.005)
        times.append(time.perf_counter())
    experiment.wait()
    assert len(experiment.df) == len(numbers)
    return times


def _stock(numbers: list[int]) -> list[float]:
    from ray import tune

    times: list[float] = []

    class Clock(tune.Callback):
        """Notes the times of these reports."""

        seen = 0

        def on_trial_result(self, *arguments: Any, **named: Any) -> None:
            self.seen += 1
            if self.seen in (BEGIN, END):
                times.append(time.perf_counter())

    init_stock()
    tuner = tune.Tuner(
        tune.with_resources(train_model, {"cpu": 1}),
        param_space={"number": tune.grid_search(numbers)},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(storage_path=STORAGE, callbacks=[Clock()]),
    )
    assert len(tuner.fit()) == len(numbers)
    return times


if __name__ == "__main__":
    began, ended = (_nbtune if sys.argv[1] == "nbtune" else _stock)(list(range(END + 20)))
    write_result(each=1000 * (ended - began) / (END - BEGIN))
