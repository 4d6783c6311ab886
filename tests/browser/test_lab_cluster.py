"""The cluster panel and the scaling form as a user meets them: in JupyterLab, with a real kernel and a real Ray."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.lab import Notebook, Server, write
from tests.browser.test_lab import page  # noqa: F401 - a fixture

pytestmark = [pytest.mark.browser, pytest.mark.ray, pytest.mark.notebooks]

BUSY = """%%tune busy --storage {storage} --samples 2 --cpus 0.5
a: uniform(0, 1) = 0.5

import os, time
while not os.path.exists({stop!r}):
    time.sleep(0.05)
report(x=a)"""
POLLS = "import time\ntime.sleep(8)\npanel._polling.alive"  # longer than VISIBLE_TIMEOUT
CHANGES = """end = time.monotonic() + 60
while panel._polling.alive != {} and time.monotonic() < end:
    time.sleep(0.05)
panel._polling.alive"""


TALL = {"width": 1200, "height": 2400}  # as high as the notebooks, so that everything is visible


def test_a_cluster_is_connected_polled_and_planned_for(lab: Server, page: Page, folder: Path) -> None:  # noqa: F811
    page.set_viewport_size(TALL)
    stop = folder / "stop"
    write(
        folder / "cluster.ipynb",
        "%load_ext nbtune\nimport nbtune",
        "panel = nbtune.ClusterPanel()\npanel",
        "form = nbtune.ScalingForm()\nform",
        "form.options, form.samples, form.valid",
        BUSY.format(storage=folder / "results", stop=str(stop)),
        POLLS,
        CHANGES.format(False),
        CHANGES.format(True),
    )
    story = Notebook(page, lab, "cluster.ipynb")
    for number in (0, 1, 2):
        story.run(number)
    panel, form = page.locator(".nbt-cluster"), page.locator(".nbt-scaling")
    expect(panel.locator("strong")).to_have_text("no cluster")
    expect(form).to_contain_text("No cluster is connected, so there is no plan")

    # By keyboard: connect, then fill the form, with mistakes.
    address = panel.get_by_label("address")
    address.fill("nowhere")
    address.press("Enter")
    expect(panel).to_contain_text("got 'nowhere'")
    address.fill("")
    address.press("Enter")
    expect(panel.locator("strong")).to_have_text("embedded Ray")
    all_nodes = panel.locator(".nbt-cluster-all")
    expect(all_nodes).to_contain_text("1 node")
    expect(panel).to_contain_text("Nothing is in use")
    cpus = form.get_by_label("CPUs").locator("visible=true")
    cpus.fill("two")
    expect(form).to_contain_text("expected a number >= 0, got 'two'")
    cpus.press("ControlOrMeta+a")
    cpus.press_sequentially("0.5")
    expect(cpus).to_have_attribute("aria-invalid", "false")
    cpus.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("100 MB")
    form.get_by_label("samples").fill("3")
    plan = form.get_by_role("status", name="plan")
    expect(plan).to_contain_text(re.compile(r"3 trials, [1-3] at once"))
    assert "({'cpus': 0.5, 'memory': 100000000}, 3, True)" in story.run(3).inner_text()
    form.get_by_label("GPUs").locator("visible=true").fill("1000")
    expect(plan).to_contain_text("✗")
    expect(plan).to_contain_text("GPU")
    form.get_by_label("GPUs").locator("visible=true").fill("")
    expect(plan).to_contain_text("at once")

    # Write cell, and run what is written.
    form.get_by_role("button", name="Write cell").click()
    expect(form).to_contain_text("written to the next cell")
    fresh = story.cell(3)
    expect(fresh.locator(".cm-content")).to_contain_text("%%tune --metric loss --mode min --cpus 0.5 --memory 100MB")
    story.run(3)
    expect(fresh.locator(".nbt-header")).to_contain_text("✓ finished")
    expect(fresh.locator(".nbt-header")).to_contain_text("3 of 3")

    # What an experiment uses is seen while it runs, and its embedded Ray is not left.
    story.run(5)
    users = panel.get_by_role("table", name="Users")
    expect(users).to_contain_text("busy")
    expect(users).to_contain_text("this kernel")
    expect(all_nodes).to_contain_text(re.compile(r"1 of \d"))
    panel.get_by_role("button", name="Attach to another").click()
    address.fill("127.0.0.1:1")
    panel.get_by_role("button", name="Connect", exact=True).click()
    expect(panel).to_contain_text("would end this kernel's embedded Ray and its running experiment: busy")
    stop.touch()
    expect(page.locator(".nbt-header").last).to_contain_text("✓ finished")
    expect(panel).to_contain_text("Nothing is in use")

    # Out of sight, the cluster is no longer asked; in sight it is again.
    assert story.run(6).locator(".jp-OutputArea-output").inner_text().strip() == "True"
    page.evaluate("document.querySelector('.nbt-cluster').style.display = 'none'")
    assert story.run(7).locator(".jp-OutputArea-output").inner_text().strip() == "False"
    page.evaluate("document.querySelector('.nbt-cluster').style.display = ''")
    assert story.run(8).locator(".jp-OutputArea-output").inner_text().strip() == "True"


def test_a_scaling_config_is_written_by_mouse_and_from_python(lab: Server, page: Page, folder: Path) -> None:  # noqa: F811
    page.set_viewport_size(TALL)
    write(
        folder / "scaling.ipynb",
        "import nbtune\nfrom ray.train import ScalingConfig",
        "form = nbtune.ScalingForm(ScalingConfig(num_workers=4, use_gpu=True))\nform",
        "scaling == form.scaling_config, form.options",
        "form.write()",
    )
    story = Notebook(page, lab, "scaling.ipynb")
    story.run(0)
    story.run(1)
    form = page.locator(".nbt-scaling")
    expect(form.get_by_role("radio", name="distributed")).to_be_checked()
    expect(form.locator("pre")).to_contain_text("ScalingConfig(num_workers=4, use_gpu=True)")
    form.get_by_label("use GPUs").click()
    form.get_by_label("strategy").select_option("SPREAD")
    workers = form.get_by_label("workers", exact=True)
    workers.fill("some")
    expect(form).to_contain_text("expected an integer >= 0, got 'some'")
    expect(form.get_by_role("button", name="Write cell")).to_have_attribute("aria-disabled", "true")
    workers.fill("2")
    expect(form.locator("pre")).to_contain_text('ScalingConfig(num_workers=2, placement_strategy="SPREAD")')
    form.get_by_role("button", name="Write cell").click()
    expect(form).to_contain_text("written to the next cell")
    written = story.cell(2)
    expect(written.locator(".cm-content")).to_contain_text("from ray.train import ScalingConfig")
    story.run(2)
    said = story.run(3).locator(".jp-OutputArea-output").inner_text()
    assert said.startswith("(True,")
    assert "num_workers=2" in said
    story.run(4)
    expect(story.cell(5).locator(".cm-content")).to_contain_text('placement_strategy="SPREAD"')
