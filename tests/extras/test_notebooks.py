"""The tutorials that need the libraries of all search algorithms and frameworks: they run, and their files are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks.outputs import check_outputs, check_pictures, read
from tests.run_notebook import run, tutorials

pytestmark = [pytest.mark.ray, pytest.mark.notebooks]
FRAMEWORKS = (
    "torch",
    "lightning",
    "transformers",
    "accelerate",
    "deepspeed",
    "tensorflow",
    "xgboost",
    "lightgbm",
    "jax",
)
SWEEPS = {
    "08_more_frameworks": {f"in_{name}": 2 for name in FRAMEWORKS},
    "09_fine_tuning": {"dreambooth": 4},
}
"""Tutorial -> its sweeps and their trials."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", tutorials("extras"), ids=lambda path: path.stem)
def test_a_tutorial_runs(path: Path, ray_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # of the results
    stored = read(path)
    cells = [cell for cell in run(path).cells if cell.cell_type == "code"]
    check_outputs(cells, stored)
    for outputs in (cells, stored):
        check_pictures(outputs, SWEEPS[path.stem])
    assert [cell.execution_count for cell in stored] == list(range(1, len(stored) + 1)), "not from one run"
