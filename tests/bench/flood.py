"""50 trials that report 20 times a second each, for a minute: lost or duplicate reports, and memory."""

from __future__ import annotations

import time
from typing import Any

import psutil
import ray

import nbtune
from nbtune.engine.client.launch import Remote
from tests.bench.measure import STORAGE, Options, Row, probe, write_result

__all__ = ["measure"]

TRIALS, RATE, SECONDS = 50, 20, 60


def measure(options: Options) -> list[Row]:
    """Measure once, since it takes minutes and does not measure times."""
    results = probe("flood", timeout=580)
    note = f"{results['made']:,} of {results['wanted']:,} in {results['seconds']:.0f} s, {results['status']}"
    return [
        Row("flood", "missing or duplicate reports", results["wrong"], "", 0, note, results),
        Row("flood", "memory that the driver grew by, in MB", results["driver"], "", 150),
        Row("flood", "memory that the kernel grew by, in MB", results["kernel"], "", 150),
    ]


def _probe() -> None:
    def train(config: dict[str, Any]) -> None:
        import time

        due = time.monotonic()
        for step in range(config["reports"]):
            nbtune.report(step=step, value=0.5 * step)
            due += config["pause"]
            time.sleep(max(0.0, due - time.monotonic()))

    nbtune.connect(cpus=2)
    reports = RATE * SECONDS
    space = {"trial": nbtune.grid_search(list(range(TRIALS))), "reports": reports, "pause": 1 / RATE}
    experiment = nbtune.tune(train, space, cpus=2 / TRIALS, storage=STORAGE, wait=False)
    while len(experiment.history) < TRIALS * 10:
        time.sleep(0.2)
    ready = time.monotonic()
    assert isinstance(experiment._source, Remote)
    processes = {
        "driver": psutil.Process(ray.get(experiment._source.driver.actor.pid.remote())),
        "kernel": psutil.Process(),
    }
    before = {name: process.memory_info().rss for name, process in processes.items()}
    most = dict(before)
    while not experiment.over:
        for name, process in processes.items():
            if process.is_running():
                most[name] = max(most[name], process.memory_info().rss)
        time.sleep(0.5)
    wanted = list(range(reports))
    made = experiment.history.groupby("trial")["step"].apply(list)
    wrong = sum(len(set(wanted) ^ set(steps)) + len(steps) - len(set(steps)) for steps in made)
    write_result(
        status=experiment.status,
        made=len(experiment.history),
        wanted=TRIALS * reports,
        wrong=wrong + reports * (TRIALS - len(made)),
        seconds=time.monotonic() - ready,
        **{name: round((most[name] - before[name]) / 1e6) for name in before},
    )
    ray.shutdown()


if __name__ == "__main__":
    _probe()
