"""The time until a stopped experiment has ended, and until its resources are free."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from tests.bench.measure import STORAGE, Options, Row, alternate, median, probe, write_result
from tests.bench.runs import connect_nbtune

__all__ = ["measure"]


def endless(config: dict[str, Any]) -> None:
    """Report ten times a second."""
    import nbtune

    while True:
        nbtune.report(pid=os.getpid())
        time.sleep(0.1)


def measure(options: Options) -> list[Row]:
    """Measure with two running and six pending trials."""
    results = alternate(options.rounds, ("stop",), lambda side: probe("stop", side))["stop"]
    ended, free = (median(one[name] for one in results) for name in ("ended", "free"))
    return [
        Row("stop", "exp.stop() until the experiment has ended", ended, limit=3.0, data={"stop": results}),
        Row("stop", "… until its processes and placement groups are gone and all CPUs are free", free, limit=3.0),
    ]


if __name__ == "__main__":
    import psutil
    import ray

    import nbtune

    connect_nbtune()
    experiment = nbtune.tune(endless, {"a": nbtune.uniform(0, 1)}, samples=8, storage=STORAGE, wait=False)

    def seconds_until(condition: Callable[[], Any], began: float) -> float:
        while not condition():
            time.sleep(0.01)
        return time.perf_counter() - began

    seconds_until(lambda: len(experiment.history) and experiment.history["trial"].nunique() == 2, 0.0)
    pids = experiment.history["pid"].unique()
    began = time.perf_counter()
    experiment.stop()
    ended = seconds_until(lambda: experiment.over, began)
    free = seconds_until(
        lambda: (
            not any(map(psutil.pid_exists, pids))
            and all(group["state"] == "REMOVED" for group in ray.util.placement_group_table().values())
            and ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"]
        ),
        began,
    )
    write_result(ended=ended, free=free)
