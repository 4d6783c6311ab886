"""How soon an experiment that is stopped has ended, and has given everything back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from tests.bench.measure import STORAGE, Options, Row, alternate, hand_back, median, probe
from tests.bench.runs import connect_nbtune

__all__ = ["measure"]


def endless(config: dict[str, Any]) -> None:
    """Report ten times a second."""
    import nbtune

    while True:
        nbtune.report(pid=os.getpid())
        time.sleep(0.1)


def measure(options: Options) -> list[Row]:
    """Measure with two trials that run and some that wait."""
    found = alternate(options.rounds, ("stop",), lambda side: probe("stop", side))["stop"]
    ended, free = (median(one[name] for one in found) for name in ("ended", "free"))
    return [
        Row("stop", "exp.stop() until the experiment has ended", ended, reach=3.0, data={"stop": found}),
        Row("stop", "… and no trial's process and no placement group is left, all CPUs are back", free, reach=3.0),
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
    hand_back(ended=ended, free=free)
