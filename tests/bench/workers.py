"""The first report of a trial with two workers: the first one of a session, the next one, that of the next experiment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.bench.measure import STORAGE, Options, Row, alternate, median, probe, write_result
from tests.bench.runs import connect_nbtune

__all__ = ["first_reports", "measure"]


def steps(config: dict[str, Any]) -> None:
    """Add numbers on each of the workers of a process group."""
    import torch
    import torch.distributed as dist

    import nbtune

    for step in range(3):
        total = torch.tensor([float(config["number"])])
        dist.all_reduce(total)
        nbtune.report(step=step, total=total.item())


def measure(options: Options) -> list[Row]:
    """Measure two experiments of two trials in one session, without a pause between them."""
    results = alternate(options.rounds, ("workers",), lambda side: probe("workers"))["workers"]
    first, following, experiment = (median(one[name] for one in results) for name in ("first", "next", "experiment"))
    return [
        Row("workers", "first report of a trial of 2 workers, the first of a session", first, data={"rounds": results}),
        Row("workers", "… the next of the same experiment, after the end of the first", following, limit=0.1),
        Row("workers", "… the first of the next experiment, after the call", experiment, limit=0.5),
    ]


def first_reports(train: Callable[..., Any], space: Mapping[str, Any]) -> tuple[float, float]:
    """Run an experiment of two trials of two workers, one after the other.

    Args:
        train: the training function.
        space: the space, with two points.

    Returns:
        The seconds from the call to the first report of the first trial, and from the end of that trial to the first
        report of the second one.
    """
    import nbtune

    began = time.perf_counter()
    experiment = nbtune.tune(train, space, storage=STORAGE, workers=2, wait=False)

    def moment(condition: Callable[[], Any]) -> float:
        while not condition():
            if experiment.over and not condition():
                raise RuntimeError(repr(experiment))
            time.sleep(0.002)
        return time.perf_counter()

    first = moment(lambda: 0 in experiment.trials and experiment.trials[0].metrics)
    ended = moment(lambda: experiment.trials[0].status == "finished")
    following = moment(lambda: 1 in experiment.trials and experiment.trials[1].metrics)
    experiment.wait()
    if experiment.status != "finished":
        raise RuntimeError(repr(experiment))
    return first - began, following - ended


def _run() -> tuple[float, float]:
    import nbtune

    return first_reports(steps, {"number": nbtune.grid_search([1, 2])})


if __name__ == "__main__":
    connect_nbtune()
    first, following = _run()
    again, _ = _run()
    write_result(first=first, next=following, experiment=again)
