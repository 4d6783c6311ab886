"""One experiment of 10,000 trials with one report each: time, memory of driver and kernel, attaching."""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from typing import Any

from tests.bench.measure import STORAGE, Options, Row, probe, write_result
from tests.bench.runs import connect_nbtune

__all__ = ["measure"]

TRIALS = 10_000
COUNTS = (2_000, 5_000, TRIALS)
"""The numbers of trials after which the time is taken."""
TIMEOUT = 900


def train_model(config: dict[str, Any]) -> dict[str, Any]:
    """A trial that does nothing; the last one waits until it is told to end."""
    import time
    from pathlib import Path

    while config["number"] == config["last"] and not Path(config["go"]).exists():
        time.sleep(0.05)
    return {"score": config["number"]}


def measure(options: Options) -> list[Row]:
    """Measure once, since it takes minutes."""
    results = probe("many", str(TRIALS), timeout=TIMEOUT)
    parts = {
        end: 1000 * (results[f"after {end}"] - results[f"after {begin}"]) / (end - begin)
        for begin, end in pairwise(COUNTS)
    }
    first = 1000 * (results[f"after {COUNTS[0]}"] - results["first"]) / COUNTS[0]
    note = f"the first {COUNTS[0]:,} trials: {first:.1f} ms each; first report after {results['first']:.1f} s"
    last = parts[TRIALS]
    return [
        Row("many", "10,000 trials of one report", results[f"after {TRIALS}"], "s", note=note, data=results),
        Row("many", f"each of the last {TRIALS - COUNTS[-2]:,} of them", last, "ms", 10),
        Row("many", "each of the last / each of the first", last / first, "x", 1.2),
        Row(
            "many", "memory of the driver, in MB", results["driver"], "", 600, f"at its start {results['driver0']:.0f}"
        ),
        Row("many", "memory of the kernel, in MB", results["kernel"], "", 600, f"before it {results['kernel0']:.0f}"),
        Row("many", "the kernel's CPU meanwhile", 100 * results["share"], "%", 10),
        Row("many", "attaching to it", results["attach"], "s", 3),
        Row("many", "from the last report to the end of the experiment", results["end"], "s", 10),
    ]


def _probe(trials: int) -> None:
    from pathlib import Path

    import psutil
    import ray

    import nbtune
    from nbtune.engine.client.launch import Remote

    connect_nbtune()
    go = f"{STORAGE}-go"
    kernel = psutil.Process()
    results: dict[str, float] = {"kernel0": kernel.memory_info().rss / 1e6}
    space = {"number": nbtune.grid_search(list(range(trials))), "last": trials - 1, "go": go}
    began, used = time.perf_counter(), time.process_time()
    experiment = nbtune.tune(train_model, space, name="many", storage=STORAGE, time_budget=3600, wait=False)
    source = experiment._source
    assert isinstance(source, Remote)
    driver = psutil.Process(ray.get(source.driver.actor.pid.remote()))
    store = experiment._store
    while (over := store.progress()[0]) < trials - 1:
        now = time.perf_counter() - began
        if len(store.reports) and "first" not in results:
            results["first"], results["driver0"] = now, driver.memory_info().rss / 1e6
        for count in COUNTS:
            if over >= count:
                results.setdefault(f"after {count}", now)
        if experiment.over:
            raise RuntimeError(repr(experiment))
        time.sleep(0.1)
    results[f"after {trials}"] = time.perf_counter() - began
    results["share"] = (time.process_time() - used) / results[f"after {trials}"]
    results["attach"] = _attach(store.cursor)
    results["driver"], results["kernel"] = driver.memory_info().rss / 1e6, kernel.memory_info().rss / 1e6
    began = time.perf_counter()
    Path(go).touch()
    experiment.wait()
    results["end"] = time.perf_counter() - began
    assert len(experiment.df) == trials
    if experiment.status != "finished":
        raise RuntimeError(repr(experiment))
    write_result(**results)


def _attach(events: int) -> float:
    """Attach to the running experiment as another kernel does; return the seconds until it has all events."""
    from nbtune.engine.client.drivers import find
    from nbtune.engine.client.stored import events_since
    from nbtune.engine.protocol.environment import NAMESPACE
    from nbtune.results.experiment import Experiment

    began = time.perf_counter()
    ((source, info),) = find(NAMESPACE, events_since).drivers
    attached = Experiment(source, where=info.where)
    while attached._store.cursor < events:
        time.sleep(0.01)
    return time.perf_counter() - began


if __name__ == "__main__":
    _probe(int(sys.argv[1]))
