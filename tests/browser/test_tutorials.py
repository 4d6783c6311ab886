"""The tutorials as their readers run them: by "Run All" in JupyterLab, with their dashboards and their saved pictures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect

import nbtune
from tests.browser.lab import Notebook, Server
from tests.notebooks.outputs import check_outputs, check_pictures, is_tagged, read, texts
from tests.run_notebook import tutorials

pytestmark = [pytest.mark.browser, pytest.mark.ray, pytest.mark.notebooks]

AFTER_THE_KILL = "Attach to the experiment"  # where a reader goes on when the kernel has restarted
LIMIT = 400.0  # seconds for all cells; about 50 on two idle cores
EXTRA_CODE = """
import json
print(json.dumps({"config": cnn.best.config, "reports": cnn.best.history[["accuracy", "loss"]].to_dict("records")}))
"""
SWEEPS = {
    "01_quickstart": {"digits": 20},
    "02_search_spaces": {"models": 100, "draws": 8, "svm": 12, "smart": 30, "perceptron": 8, "kept": 4, "reduced": 4},
    "03_long_runs": {"long": 8},
    "04_spaces_and_scaling": {"linear": 12, "formed": 4, "shaped": 4},
    "05_distributed_training": {"cnn": 4, "lit": 2},
    "06_search_algorithms": {"gp": 12, "noisy": 18},
    "07_population_based_training": {"population": 6, "replayed": 1, "bandits": 4, "halved": 12},
}
"""Tutorial -> its sweeps with a dashboard and their trials."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the notebooks and of their results."""
    return tmp_path_factory.mktemp("tutorials")


@pytest.fixture(scope="module")
def server(home: Path, ray_folder: Path) -> Iterator[Server]:
    """A JupyterLab whose kernels have another home folder."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOME", str(home))
        with Server(home, home / "settings") as started:
            yield started


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A page. The test fails if a widget has an uncaught exception."""
    context = browser.new_context(viewport={"width": 1200, "height": 1500})
    errors: list[str] = []
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    opened.on("pageerror", lambda error: errors.append(str(error.stack)) if "blob:" in f"{error.stack}" else None)
    expect.set_options(timeout=60_000)
    yield opened
    expect.set_options(timeout=20_000)
    context.close()
    server.end_kernels()
    nbtune.stop_cluster()  # if the notebook has started one and failed before stopping it
    assert not errors, "\n".join(errors)


def write_copy(path: Path, folder: Path) -> None:
    """Write a tutorial without its outputs into another folder."""
    notebook = nbformat.read(path, as_version=4)
    if path.stem == "05_distributed_training":
        notebook.cells.append(nbformat.v4.new_code_cell(EXTRA_CODE))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, folder / path.name)


def wait_for_cells(story: Notebook, first: int, last: int, until: float) -> None:
    """Wait until code cells have ended: with a number each, and no error that skips the others."""
    skipped = 0  # how often in a row there were cells that neither ran nor waited
    while not re.fullmatch(r"(\[\d+\]:)+", "".join(prompts := story.prompts[first:last])):
        skipped = skipped + 1 if "[*]:" not in prompts and story.is_idle else 0
        assert skipped < 50, f"an error has skipped cells: {prompts}"
        assert time.monotonic() < until, f"cells {first} to {last} have not ended: {prompts}"
        story.page.locator(".jp-NotebookPanel-toolbar").first.hover()  # any action first accepts a dialog
        story.page.wait_for_timeout(200)


def run_all(story: Notebook, cells: list[Any]) -> None:
    """Run all cells; after one that kills the kernel, those after it."""
    until = time.monotonic() + LIMIT
    kill = next((number for number, cell in enumerate(cells) if is_tagged(cell, "kills-kernel")), len(cells))
    story.page.wait_for_function(f"document.querySelectorAll('.jp-CodeCell').length === {len(cells)}")
    story.run_all(lambda: story.prompts[0] != "[ ]:")
    wait_for_cells(story, 0, kill, until)
    if kill < len(cells):
        expect(story.page.locator(".nbt-header").first).to_contain_text("No connection to the kernel")
        story.idle()
        story.run_from_heading(AFTER_THE_KILL, lambda: story.prompts[kill + 1] != "[ ]:")
        wait_for_cells(story, kill + 1, len(cells), until)


def check_dashboards(story: Notebook, sweeps: dict[str, int]) -> None:
    """Check that the dashboards come to show the last states of the sweeps."""
    shown = set()
    for head in story.page.locator(".nbt-header:not(.nbt-offline)").all():  # one is offline, whose kernel was killed
        head.scroll_into_view_if_needed()
        expect(head).to_contain_text("✓ finished")
        name = head.locator(".nbt-header-name").text_content()
        expect(head).to_contain_text(f"{sweeps[name]} of {sweeps[name]}")
        expect(head.get_by_role("button", name="Stop")).to_be_hidden()
        shown.add(name)
    assert shown == set(sweeps)
    assert not [one for one in story.page.locator('img[src*="nbtune-still"]').all() if one.is_visible()]


def check_story(path: Path, cells: list[Any], folder: Path) -> None:
    """Check what the text of a tutorial says of its outputs."""
    output, last = "\n".join(map(texts, cells)), texts(cells[-1])
    if path.stem == "01_quickstart":
        (accuracy,) = re.findall(r"validation \d\.\d+, test (\d\.\d+)", output)
        assert float(accuracy) > 0.95
    elif path.stem == "02_search_spaces":
        (failing,) = [cell for cell in cells if cell.source.startswith("%%tune reduced")]
        assert f"Cell In[{failing.execution_count}], line 4, in <module>\n    data = pooled(digits_X, size)" in output
        assert "ValueError: cannot reshape array" in output
        assert len(re.findall(r"^\w+: finished, (\d+) of \1 trials", last, re.MULTILINE)) == 8
    elif path.stem == "03_long_runs":
        (reports,) = [texts(cell) for cell in cells if 'agg(["count", "nunique"' in cell.source]
        assert re.findall(r"^(\d)  +30 +30 +0 +29$", reports, re.MULTILINE) == list("01234567")
        assert last.strip() == "the local cluster has ended"
    elif path.stem == "04_spaces_and_scaling":
        assert (
            len(re.findall(r"^\w+: finished, (\d+) of \1 trials in [\d:]+ \(\1 finished\)$", last, re.MULTILINE)) == 3
        )
    elif path.stem == "05_distributed_training":
        trial = json.loads(last)
        assert trial["reports"] == under_torchrun(path, "cnn", trial["config"], folder), (
            "losses under nbtune and torchrun differ"
        )
    elif path.stem == "07_population_based_training":
        assert "(True, 0." in output, "the replay has another schedule"


def under_torchrun(path: Path, cell: str, config: dict[str, Any], folder: Path) -> list[dict[str, float]]:
    """Run a cell of a notebook on two workers under torchrun, and return the reports of rank 0."""
    script, file = Path(__file__).parent / "under_torchrun.py", folder / "reports.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", str(script)]
    process = subprocess.run([*command, str(path), cell, json.dumps(config), str(file)], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    reports: list[dict[str, float]] = json.loads(file.read_text())
    return reports


@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", tutorials("default"), ids=lambda path: path.stem)
def test_a_tutorial_runs_by_run_all(path: Path, server: Server, page: Page, home: Path, tmp_path: Path) -> None:
    file, sweeps = home / path.name, SWEEPS[path.stem]
    write_copy(path, home)
    story = Notebook(page, server, path.name)
    run_all(story, read(file))
    check_dashboards(story, sweeps)
    story.save()
    cells = read(file)
    check_outputs(cells, read(path))
    check_pictures(cells, sweeps)
    check_story(path, cells, tmp_path)
