"""Runs a training cell of a notebook under torchrun, and writes what it reports.

    python -m torch.distributed.run --nproc-per-node=2 --standalone under_torchrun.py NOTEBOOK NAME CONFIG FILE

The cells above it run first, without magic lines, except for those that connect to a cluster or plan. The cell itself
runs with the parameters of CONFIG in Ray Train's local mode (``ScalingConfig(num_workers=0)``), which uses the process
group of torchrun.
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
    """Run the cell; rank 0 writes its reports to a JSON file.

    Args:
        notebook: the path of the notebook.
        name: the name of the experiment in the cell's magic line.
        config: the parameters, as JSON.
        file: the file to write.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    reports: list[dict[str, Any]] = []
    for notebook_cell in nbformat.read(notebook, as_version=4).cells:
        if notebook_cell.cell_type != "code":
            continue
        if notebook_cell.source.startswith(f"%%tune {name} "):
            break
        if not re.search(r"nbtune\.(connect|plan)\(", notebook_cell.source):
            exec(re.sub(r"(?m)^%.*$", "", notebook_cell.source), namespace)
    cell, problems = parse_cell(notebook_cell.source.partition("\n")[2], namespace)
    assert cell is not None, problems

    def report(checkpoint: Any = None, **metrics: Any) -> None:
        reports.append({key: float(value) for key, value in metrics.items()})

    def train() -> None:
        namespace.update(json.loads(config), report=report, get_context=ray.train.get_context)
        exec(cell.code, namespace)
        if ray.train.get_context().get_world_rank() == 0:
            Path(file).write_text(json.dumps(reports))

    TorchTrainer(train, scaling_config=ScalingConfig(num_workers=0)).fit()


if __name__ == "__main__":
    main(*sys.argv[1:])
