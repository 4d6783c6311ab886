"""A training cell of a notebook under torchrun: what it reports there.

    python -m torch.distributed.run --nproc-per-node=2 --standalone under_torchrun.py NOTEBOOK NAME CONFIG FILE

The cells above it run first, without their magic lines and without those that are about a cluster. The cell itself runs
in Ray Train's local mode, which is that of torchrun where this has started the processes ("ScalingConfig(num_workers=0)
with torchrun", in its guide), with the parameters of CONFIG.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import ray.train
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer

from nbtune.spec.cell.parse import parse_cell


def main(notebook: str, name: str, config: str, file: str) -> None:
    """Run the cell; rank 0 writes what it has reported."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    reports: list[dict[str, Any]] = []
    for one in nbformat.read(notebook, as_version=4).cells:
        if one.cell_type != "code":
            continue
        if one.source.startswith(f"%%tune {name} "):
            break
        if not re.search(r"nbtune\.(connect|plan)\(", one.source):
            exec(re.sub(r"(?m)^%.*$", "", one.source), namespace)  # noqa: S102 - the repository's own notebook
    cell, problems = parse_cell(one.source.partition("\n")[2], namespace)
    assert cell is not None, problems

    def report(checkpoint: Any = None, **metrics: Any) -> None:
        reports.append({key: float(value) for key, value in metrics.items()})

    def train() -> None:
        namespace.update(json.loads(config), report=report, get_context=ray.train.get_context)
        exec(cell.code, namespace)  # noqa: S102
        if ray.train.get_context().get_world_rank() == 0:
            Path(file).write_text(json.dumps(reports))

    TorchTrainer(train, scaling_config=ScalingConfig(num_workers=0)).fit()


if __name__ == "__main__":
    main(*sys.argv[1:])
