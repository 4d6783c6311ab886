"""The kernel of a running notebook is killed in a real Jupyter server; another one attaches and finds everything."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import nbtune
from tests.browser.lab import Notebook, Server, write
from tests.browser.test_lab import page, points_above, tab  # noqa: F401 - page is a fixture

pytestmark = [pytest.mark.browser, pytest.mark.ray, pytest.mark.notebooks]

# Each trial writes down by itself what it reports, before it does. Half way it waits until somebody looks again.
SWEEP = """%%tune lasting --metric acc --mode max --storage {storage} --max-failures 1
a: grid_search([1.0, 2.0, 3.0, 4.0])
notes: grid_search([{notes!r}])
attached: grid_search([{attached!r}])

import os
checkpoint = get_checkpoint()
for step in range(checkpoint["step"] + 1 if checkpoint else 0, 60):
    while step == 30 and not os.path.exists(attached):
        time.sleep(0.05)
    with open(os.path.join(notes, str(a)), "a") as file:
        print(step, file=file)
    report(acc=a * step, step=step, checkpoint={{"step": step}})
    time.sleep(0.1)"""
OUTCOME = """import json
lasting.wait(120)
json.dumps([lasting.status, lasting.history.groupby("trial")["step"].apply(list).tolist()])"""


@pytest.fixture
def one_cluster() -> Any:
    """What the notebook has started is ended, whatever happens."""
    yield
    nbtune.stop_cluster()


@pytest.mark.timeout(400)
def test_every_report_arrives_exactly_once(lab: Server, page: Page, folder: Path, one_cluster: Any) -> None:  # noqa: F811
    notes, attached = folder / "notes", folder / "attached"
    notes.mkdir()
    write(
        folder / "lasting.ipynb",
        "%load_ext nbtune\nimport os, time",
        "%tune cluster start --cpus 4 --idle 10m\nos.getpid()",
        SWEEP.format(storage=folder / "results", notes=str(notes), attached=str(attached)),
    )
    story = Notebook(page, lab, "lasting.ipynb")
    story.run(0)
    pid = int(story.run(1).locator(".jp-OutputArea-output").last.inner_text())
    story.start(2)
    points_above(page, 20)
    tab(page, "Trials")
    expect(page.locator(".nbt-trials tbody tr[data-trial]").filter(has_text="running")).to_have_count(4)
    os.kill(pid, signal.SIGKILL)
    banner = page.locator(".nbt-header").get_by_role("alert")
    expect(banner).to_contain_text("%tune attach", timeout=30_000)
    lab.end_kernels()

    write(folder / "again.ipynb", "%load_ext nbtune", "%tune attach lasting", OUTCOME)
    second = page.context.new_page()  # another tab; the first one still shows what it knew
    again = Notebook(second, lab, "again.ipynb")
    again.run(0)
    again.run(1)
    head = second.locator(".nbt-header")
    expect(head).to_contain_text("● running")
    there = points_above(second, 4 * 30 - 1)
    attached.touch()
    points_above(second, there)
    tab(second, "Trials")
    expect(second.locator(".nbt-trials tbody tr[data-trial]")).to_have_count(4)
    answer = again.run(2, timeout=150).locator(".jp-OutputArea-output").last.inner_text()
    status, histories = json.loads(answer.strip().strip("'"))
    assert status == "finished"
    written = [[int(line) for line in file.read_text().split()] for file in sorted(notes.iterdir())]
    assert histories == written == [list(range(60))] * 4
    expect(head).to_contain_text("✓ finished")
