"""One training function on two workers, with nbtune and under torchrun, to compare losses and times.

``python -m torch.distributed.run --nproc-per-node=2 parity.py SETTINGS FILE`` runs it under torchrun.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["as_trial", "take_turns", "train"]


def train(epochs: int, width: int = 16) -> tuple[list[float], float]:
    """Train a convolutional network on digits, in an existing process group.

    Args:
        epochs: the number of epochs.
        width: the number of channels of the first layer.

    Returns:
        The loss of each epoch (summed over the batches and workers), and the seconds from the first batch to the last.
    """
    import torch
    import torch.distributed as dist
    from sklearn.datasets import load_digits
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel
    from torch.utils.data import DataLoader, TensorDataset
    from torch.utils.data.distributed import DistributedSampler

    torch.set_num_threads(1)
    torch.manual_seed(7)
    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16, torch.tensor(labels))
    sampler = DistributedSampler(data, seed=7)
    loader = DataLoader(data, batch_size=32, sampler=sampler)
    network = nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(8 * width, 10),
    )  # fmt: skip
    model = DistributedDataParallel(network)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    dist.barrier()
    began = time.perf_counter()
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        total = torch.zeros(1)
        for x, y in loader:
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        dist.all_reduce(total)
        losses.append(total.item())
    dist.barrier()
    return losses, time.perf_counter() - began


def take_turns(
    side: int, settings: dict[str, Any], rank: int, train: Callable[[], tuple[list[float], float]]
) -> list[tuple[float, float]]:
    """Train several times, alternately with other workers, so that both see the same load of the machine.

    Args:
        side: 0 or 1. Which side is first alternates from pair to pair. Side 1 says that it is ready by the file "0".
        settings: "times" per side, and the "folder" in which a file for each turn is created.
        rank: the rank of this worker.
        train: trains once; returns the loss of each epoch, and the seconds of the whole training.

    Returns:
        The loss of each epoch, with the seconds of the whole training.
    """
    results, turns = [], 2 * settings["times"]
    if side == 1 and rank == 0:
        Path(settings["folder"], "0").touch()

    def until(turn: int) -> None:
        end = time.monotonic() + 120
        while not Path(settings["folder"], str(turn)).exists():
            if time.monotonic() > end:
                raise TimeoutError(f"timed out while waiting for turn {turn}")
            time.sleep(0.05)

    for turn in range(turns):
        if ((turn + 1) // 2) % 2 == side:  # 0 1 1 0 0 1 1 0
            until(turn)
            losses, seconds = train()
            results += [(loss, seconds) for loss in losses]
            if rank == 0:
                Path(settings["folder"], str(turn + 1)).touch()
    until(turns)  # the shutdown of a process would slow down the other side
    return results


def as_trial(config: dict[str, Any]) -> None:
    """Train and report the losses; `nbtune.tune` runs this on each worker.

    Args:
        config: "epochs" and "width", or the settings of `take_turns`.
    """
    import nbtune

    if "folder" in config:
        rank = nbtune.get_context().get_world_rank()
        results = take_turns(0, config, rank, lambda: train(config["epochs"], config["width"]))
    else:
        losses, seconds = train(config["epochs"], config["width"])
        results = [(loss, seconds) for loss in losses]
    for loss, seconds in results:
        nbtune.report(loss=loss, seconds=seconds)


if __name__ == "__main__":
    import torch.distributed as dist

    settings = json.loads(sys.argv[1])
    dist.init_process_group("gloo")
    if "folder" in settings:
        results = take_turns(1, settings, dist.get_rank(), lambda: train(settings["epochs"], settings["width"]))
    else:
        losses, seconds = train(settings["epochs"], settings["width"])
        results = [(loss, seconds) for loss in losses]
    if dist.get_rank() == 0:
        columns = list(zip(*results, strict=True))
        Path(sys.argv[2]).write_text(json.dumps({"loss": columns[0], "seconds": columns[1]}))
    dist.destroy_process_group()
