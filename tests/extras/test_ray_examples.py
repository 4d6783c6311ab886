"""Ray's examples of search libraries run through nbtune, unchanged but for ``tuner.fit()``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = {
    "ax_example --smoke-test": 10,
    "bayesopt_example --smoke-test": 10,
    "bohb_example": 32,
    "hyperopt_conditional_search_space_example --smoke-test": 10,
    "nevergrad_example --smoke-test": 10,
    "optuna_define_by_run_example --smoke-test": 10,
}
"""An example and its arguments -> the number of its trials."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, ray_folder: Path) -> dict[str, Any]:
    """Returns the runs of all examples, which share one Ray: they need more than two logical CPUs."""
    folder = str(tmp_path_factory.mktemp("examples"))
    done = subprocess.run(
        [sys.executable, "-m", "tests.ray.examples", folder, *EXAMPLES],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    lines = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    found = {line["name"]: line["runs"] for line in lines}
    assert len(found) == len(EXAMPLES), f"{list(found)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return found


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example(results: dict[str, Any], example: str) -> None:
    [run] = results[example.split()[0]]
    ours, stock = run["ours"], run["stock"]
    assert run["status"] == "finished"
    assert len(ours["configs"]) == len(stock["configs"]) == EXAMPLES[example]
    assert (ours["errors"], ours["metrics"]) == (stock["errors"], stock["metrics"])
    assert max(ours["iterations"]) == max(stock["iterations"]), "the best trial runs to its end"
    keys = {frozenset(config) - {"mult"} for config in (*ours["configs"], *stock["configs"])}
    assert len(keys) == 1, "conditional parameters aside"
    if example.startswith("bohb"):  # its brackets are the same, whichever trials go on
        assert sorted(ours["iterations"]) == sorted(stock["iterations"])
    if example.startswith("hyperopt"):  # without a seed, it uses one of its own
        assert sorted(map(repr, ours["configs"])) == sorted(map(repr, stock["configs"]))
