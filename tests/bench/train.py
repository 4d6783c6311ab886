"""Training on two workers through nbtune beside torchrun, and a checkpoint of 100 MB beside `torch.save`."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.measure import STORAGE, Options, Row, alternate, hand_back, median, probe
from tests.bench.runs import connect_nbtune, tune_nbtune
from tests.ray import parity

__all__ = ["measure"]

EPOCHS, WIDTH = 12, 32
SIZE = 100_000_000  # bytes of the checkpoint
SAVES = 5


def save(config: dict[str, Any]) -> None:
    """Save the same state by `torch.save` and by `report`, in turn, each into the experiment's storage."""
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
    """Measure both."""
    sides = ("nbtune", "torchrun")
    found = alternate(options.rounds, sides, lambda side: probe("train", side))
    seconds = {side: median(one["seconds"] for one in rounds) for side, rounds in found.items()}
    losses = {json.dumps(one["losses"]) for rounds in found.values() for one in rounds}
    note = f"{seconds['nbtune']:.2f} s, {seconds['torchrun']:.2f} s; losses {'equal' if len(losses) == 1 else 'DIFFER'}"
    what = "2 workers of PyTorch, from the first batch to the last: nbtune / torchrun"
    rows = [Row("train", what, seconds["nbtune"] / seconds["torchrun"], "x", 1.025, note, found)]
    saved = probe("train", "save")
    note = f"{saved['reported']:.2f} s, {saved['plain']:.2f} s"
    what = "report with a checkpoint of 100 MB / torch.save of the same"
    return [*rows, Row("train", what, saved["reported"] / saved["plain"], "x", note=note, data=saved)]


if __name__ == "__main__":
    side = sys.argv[1]
    if side == "torchrun":
        out = Path(STORAGE) / "torchrun.json"
        out.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
        subprocess.run([*command, parity.__file__, str(EPOCHS), str(WIDTH), str(out)], check=True, capture_output=True)
        hand_back(**json.loads(out.read_text()))
    else:
        connect_nbtune()
        options = {"workers": 2}
        if side == "save":
            folder = Path(STORAGE) / "plain"
            folder.mkdir(parents=True, exist_ok=True)
            experiment, _ = tune_nbtune(save, {"folder": str(folder)}, **options)
            last = experiment.history.iloc[-1]
            hand_back(plain=last["plain"], reported=last["reported"])
        else:
            experiment, _ = tune_nbtune(parity.as_trial, {"epochs": EPOCHS, "width": WIDTH}, **options)
            history = experiment.history
            hand_back(losses=list(history["loss"]), seconds=history["seconds"][0])
