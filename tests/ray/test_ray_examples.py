"""The examples that Ray ships run through nbtune, unchanged but for ``tuner.fit()``, with the results of Ray Tune."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ray.examples import Run, run_example

SAMPLED = [
    # Random search with one seed: all parameters and metrics are those of Ray Tune.
    "custom_checkpointing_with_callback",
    "custom_func_checkpointing",
    "logging_example",
    "tune_basic_example",
    "hyperband_function_example",
]
POPULATIONS = ["pbt_example", "pbt_function"]
"""Random numbers decide which trial is copied."""


def check_counts(run: Run) -> None:
    """Check what does not depend on random numbers."""
    ours, stock = run.ours, run.stock
    assert len(ours.configs) == len(stock.configs)
    assert sorted(ours.iterations) == sorted(stock.iterations)
    assert (ours.errors, ours.checkpoints, ours.metrics) == (stock.errors, stock.checkpoints, stock.metrics)
    assert run.experiment.status == "finished"


@pytest.mark.parametrize("name", SAMPLED)
def test_a_sampled_example(name: str, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [run] = run_example(name, ["--smoke-test"], tmp_path, monkeypatch)
    check_counts(run)
    assert sorted(map(repr, run.ours.configs)) == sorted(map(repr, run.stock.configs))
    assert (run.ours.best, run.ours.value) == (run.stock.best, run.stock.value)
    if name == "logging_example":  # it names the folders of its trials
        assert all(folder.startswith("easy_objective_") and folder.endswith("_123") for folder in run.folders[0])


@pytest.mark.parametrize("name", POPULATIONS)
def test_a_population(name: str, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [run] = run_example(name, ["--smoke-test"], tmp_path, monkeypatch)
    check_counts(run)
    assert run.ours.value > 0
