"""The tutorials run, and the outputs stored in the repository are complete and free of machine paths."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest

import nbtune

pytestmark = pytest.mark.notebooks
ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUICKSTART = "01_quickstart"
DISTRIBUTED = "05_distributed_training"
EXTRA_CODE = """
import json
print(json.dumps({"config": cnn.best.config, "reports": cnn.best.history[["accuracy", "loss"]].to_dict("records")}))
"""


def runner() -> ModuleType:
    """Import tests/run_notebook.py, which `make demo` runs, too."""
    spec = importlib.util.spec_from_file_location("run_notebook", ROOT / "tests" / "run_notebook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def under_torchrun(path: Path, cell: str, config: dict[str, Any], folder: Path) -> list[dict[str, float]]:
    """Run a cell of a notebook on two workers under torchrun, and return the reports of rank 0."""
    script, file = Path(__file__).parent / "under_torchrun.py", folder / "reports.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", str(script)]
    process = subprocess.run([*command, str(path), cell, json.dumps(config), str(file)], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    reports: list[dict[str, float]] = json.loads(file.read_text())
    return reports


def name(path: Path) -> str:
    return path.stem


@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_notebook_runs(path: Path, ray_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # results go to a temporary folder
    try:
        notebook = runner().run(path, extra_code=EXTRA_CODE if path.stem == DISTRIBUTED else None)
    finally:
        nbtune.stop_cluster()  # if the notebook has started one and failed before stopping it
    last = next(cell for cell in reversed(notebook.cells) if cell.cell_type == "code")
    assert runner().texts(last), "the last cell has no output"
    if path.stem == QUICKSTART:
        output = "\n".join(text for cell in notebook.cells if cell.cell_type == "code" for text in runner().texts(cell))
        (accuracy,) = re.findall(r"validation \d\.\d+, test (\d\.\d+)", output)
        assert float(accuracy) > 0.95
        assert "20 of 20 trials" in output
    if path.stem == DISTRIBUTED:
        trial = json.loads("".join(runner().texts(last)))
        assert trial["reports"] == under_torchrun(path, "cnn", trial["config"], tmp_path), "losses under nbtune and torchrun differ"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_stored_notebook_has_outputs_and_no_machine_paths(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    expected = [cell for cell in code if "raises-exception" in cell.metadata.get("tags", [])]
    failed = [cell for cell in code if any(output.output_type == "error" for output in cell.outputs)]
    assert failed == expected
    assert sum(bool(cell.outputs) for cell in code) > len(code) / 2
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    text = json.dumps(notebook)
    for machine_path in ("/root", "/home/", "/tmp/", "/work/"):
        assert machine_path not in text
    assert path.stat().st_size < 300_000
