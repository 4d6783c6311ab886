"""Training on two workers compared to torchrun, a checkpoint of 100 MB compared to `torch.save`, and the time to
stop such a trial."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.measure import STORAGE, Options, Row, alternate, median, probe, write_result
from tests.bench.runs import connect_nbtune, tune_nbtune
from tests.ray import parity

__all__ = ["measure"]

EPOCHS, WIDTH = 4, 96
PAIRS = 4  # trainings of each side per round
NICENESS = "15"  # Ray's default for its workers
SIZE = 100_000_000  # bytes of the checkpoint
SAVES = 5


def save(config: dict[str, Any]) -> None:
    """Save the same state alternately with `torch.save` and with `report`, both in the experiment's storage."""
    import torch

    import nbtune

    state = {"weights": torch.rand(SIZE // 4)}
    rank = nbtune.get_context().get_world_rank()
    plain, reported = [], []
    for number in range(SAVES):
        began = time.perf_counter()
        if rank == 0:
            torch.save(state, Path(config["folder"]) / f"{number}.pt")
        plain.append(time.perf_counter() - began)
        began = time.perf_counter()
        nbtune.report(step=number, checkpoint=state if rank == 0 else None)
        reported.append(time.perf_counter() - began)
    nbtune.report(plain=statistics.median(plain), reported=statistics.median(reported))


def measure(options: Options) -> list[Row]:
    """Measure training, saving and stopping."""
    results = probe("train", "turns", str(PAIRS * options.rounds), timeout=900)
    seconds = {side: list(dict.fromkeys(results[side]["seconds"])) for side in ("nbtune", "torchrun")}
    pairs = [ours / plain for ours, plain in zip(seconds["nbtune"], seconds["torchrun"], strict=True)]
    same = "equal" if results["nbtune"]["loss"] == results["torchrun"]["loss"] else "DIFFER"
    middle = {side: median(of_side) for side, of_side in seconds.items()}
    note = f"{middle['nbtune']:.2f} s, {middle['torchrun']:.2f} s; of {len(pairs)} pairs; losses {same}"
    what = "2 workers of PyTorch, from the first batch to the last: nbtune / torchrun"
    rows = [Row("train", what, median(pairs), "x", 1.025, note, results)]
    saved = probe("train", "save")
    note = f"{saved['reported']:.2f} s, {saved['plain']:.2f} s"
    what = "report with a checkpoint of 100 MB / torch.save of the same"
    rows.append(Row("train", what, saved["reported"] / saved["plain"], "x", note=note, data=saved))
    stopped = alternate(options.rounds, ("stop",), lambda side: probe("train", side))["stop"]
    what = "stop of a trial of 2 workers: until all CPUs are free and the workers' processes are gone"
    return [*rows, Row("train", what, median(one["free"] for one in stopped), "s", 5.0, data={"stop": stopped})]


def turns(number: int) -> None:
    """Let both sides train alternately, each in the same processes all the time."""
    folder = Path(STORAGE, "turns")
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"epochs": EPOCHS, "width": WIDTH, "times": number, "folder": str(folder)}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", parity.__file__]
    # With the niceness of Ray's workers, so that both sides have the same priority.
    plain = subprocess.Popen(["nice", "-n", NICENESS, *command, json.dumps(settings), str(folder / "torchrun.json")])
    try:
        history = tune_nbtune(parity.as_trial, settings, workers=2)[0].history
        if plain.wait(60):
            raise RuntimeError("torchrun failed")
    finally:
        plain.terminate()
    ours = {name: list(history[name]) for name in ("loss", "seconds")}
    write_result(nbtune=ours, torchrun=json.loads((folder / "torchrun.json").read_text()))


def steps(config: dict[str, Any]) -> None:
    """Report ten times a second."""
    import nbtune

    for step in range(config["steps"]):
        nbtune.report(step=step)
        time.sleep(0.1)


def stop() -> None:
    """Stop a trial that runs in the workers of an earlier one."""
    import psutil
    import ray

    import nbtune

    space = {"steps": nbtune.grid_search([2, 1000])}
    experiment = nbtune.tune(steps, space, storage=STORAGE, workers=2, wait=False)

    def until(condition: Callable[[], Any]) -> None:
        while not condition():
            time.sleep(0.01)

    until(lambda: 1 in experiment.trials and experiment.trials[1].metrics)
    trial = experiment.trials[1]
    pids = trial.workers["pid"]
    began = time.perf_counter()
    trial.stop()
    until(
        lambda: (
            ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"]
            and not any(map(psutil.pid_exists, pids))
        )
    )
    write_result(free=time.perf_counter() - began)


if __name__ == "__main__":
    connect_nbtune()
    if sys.argv[1] == "turns":
        turns(int(sys.argv[2]))
    elif sys.argv[1] == "stop":
        stop()
    else:
        folder = Path(STORAGE) / "plain"
        folder.mkdir(parents=True, exist_ok=True)
        experiment, _ = tune_nbtune(save, {"folder": str(folder)}, workers=2)
        last = experiment.history.iloc[-1]
        write_result(plain=last["plain"], reported=last["reported"])
