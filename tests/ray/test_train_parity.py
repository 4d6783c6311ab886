"""Training on two workers with nbtune gives the same losses as torchrun."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.ray import parity


def test_the_losses_equal_those_of_torchrun(run: Any, tmp_path: Path) -> None:
    found = tmp_path / "losses.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", parity.__file__]
    settings = {"epochs": 2, "width": 8}
    subprocess.run([*command, json.dumps(settings), str(found)], check=True, timeout=300, capture_output=True)
    experiment = run(parity.as_trial, settings, workers=2, metric="loss", mode="min").wait()
    assert experiment.status == "finished", experiment.trials[0].error
    losses = json.loads(found.read_text())["loss"]
    assert list(experiment.history["loss"]) == losses, "to the last bit"
    assert losses[1] < losses[0]
