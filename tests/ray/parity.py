"""One training function on two workers, through nbtune and under torchrun: the same losses, and how long it takes.

``python -m torch.distributed.run --nproc-per-node=2 parity.py SETTINGS FILE`` is the second of them.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["train"]


def train(epochs: int, width: int = 16) -> tuple[list[float], float]:
    """Train a convolutional network on digits, in a process group that is there.

    Args:
        epochs: how many times over the data.
        width: channels of its first layer.

    Returns:
        The loss of each epoch, the mean over the workers, and the seconds from the first batch to the last.
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


def take_turns(side: int, settings: dict[str, Any], rank: int) -> list[tuple[float, float]]:
    """Train several times, in turns with another process group: on a busy machine only neighbours compare.

    Args:
        side: 0 or 1; with two sides, who is first changes from pair to pair.
        settings: "times" for each side, "epochs", "width", and the "folder" in which a file says whose turn it is.
        rank: of this worker.

    Returns:
        The loss of each epoch, with the seconds of its training.
    """
    found, turns = [], 2 * settings["times"]

    def until(turn: int) -> None:
        end = time.monotonic() + 120
        while not Path(settings["folder"], str(turn)).exists():
            if time.monotonic() > end:
                raise TimeoutError(f"turn {turn} does not come")
            time.sleep(0.05)

    for turn in range(turns):
        if ((turn + 1) // 2) % 2 == side:  # 0 1 1 0 0 1 1 0
            until(turn)
            losses, seconds = train(settings["epochs"], settings["width"])
            found += [(loss, seconds) for loss in losses]
            if rank == 0:
                Path(settings["folder"], str(turn + 1)).touch()
    until(turns)  # what a process does at its end would slow down the other side
    return found


def as_trial(config: dict[str, Any]) -> None:
    """Train, and report the losses: what `nbtune.tune` runs on each worker."""
    import nbtune

    if "folder" in config:
        found = take_turns(0, config, nbtune.get_context().get_world_rank())
    else:
        losses, seconds = train(config["epochs"], config["width"])
        found = [(loss, seconds) for loss in losses]
    for loss, seconds in found:
        nbtune.report(loss=loss, seconds=seconds)


if __name__ == "__main__":
    import torch.distributed as dist

    settings = json.loads(sys.argv[1])
    dist.init_process_group("gloo")
    if "folder" in settings:
        Path(settings["folder"], "0").touch()  # ready
        found = take_turns(1, settings, dist.get_rank())
    else:
        losses, seconds = train(settings["epochs"], settings["width"])
        found = [(loss, seconds) for loss in losses]
    if dist.get_rank() == 0:
        losses, seconds = zip(*found, strict=True)
        Path(sys.argv[2]).write_text(json.dumps({"loss": losses, "seconds": seconds}))
    dist.destroy_process_group()
