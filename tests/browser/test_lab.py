"""The dashboard as a user meets it: in JupyterLab and Notebook 7, with a real kernel and a real Ray."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from tests.browser.lab import Notebook, Server, stop_all, until, write

pytestmark = [pytest.mark.browser, pytest.mark.ray, pytest.mark.notebooks]

SWEEP = """%%tune demo --metric accuracy --mode max --samples {samples} --seed 1 --storage {storage}
lr: loguniform(1e-4, 1e-1) = 1e-2
act: choice(["relu", "<img src=x onerror=alert(1)>"]) = "relu"

for epoch in range({epochs}):
    print("epoch", epoch)
    time.sleep({pause})
    report(accuracy=1 - abs(math.log10(lr) + 2.5) / 2 - 1 / (epoch + 2), loss=1 / (epoch + 1))"""
STEERED = """%%tune steered --metric accuracy --mode max --samples 2 --seed 1 --storage {storage}
lr: loguniform(1e-4, 1e-1) = 1e-2
act: choice(["relu", "tanh"]) = "relu"

checkpoint = get_checkpoint()
for epoch in range(checkpoint["epoch"] + 1 if checkpoint else 0, 60):
    time.sleep(0.1)
    report(accuracy=lr * epoch, checkpoint={{"epoch": epoch}})"""
POINTS = "document.querySelector('.nbt-curves-plot')?.data?.reduce((sum, trace) => sum + trace.x.length, 0) ?? 0"
STILL = '.jp-OutputArea-output img[src*="nbtune-still"]'


@pytest.fixture
def page(browser: Browser, lab: Server) -> Iterator[Page]:
    """A page as high as the notebooks, so that nothing is scrolled away. No kernel is left behind."""
    context = browser.new_context(viewport={"width": 1200, "height": 1500})
    errors: list[str] = []
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    # Widgets run from blobs; the frontends have errors of their own, which do not count.
    opened.on(
        "pageerror", lambda error: errors.append(f"{error}\n{error.stack}") if "blob:" in f"{error.stack}" else None
    )
    opened.on("dialog", lambda dialog: errors.append(f"a dialog: {dialog.message}"))
    expect.set_options(timeout=60_000)  # Ray has to start, and the machine may have other things to do
    yield opened
    expect.set_options(timeout=20_000)
    context.close()
    lab.end_kernels()  # each of them has a Ray of its own, which is never quite idle
    assert not errors, "\n".join(errors)


def notebook(
    server: Server, page: Page, folder: Path, name: str, *more: str, early: bool = False, **sweep: Any
) -> Notebook:
    """Open a notebook and start its sweep; if `early`, when Ray runs and the page has plotly.js already."""
    values = {"samples": 4, "epochs": 30, "pause": 0.3, "storage": folder / "results", **sweep}
    load = '%load_ext nbtune\n%config NbTune.start = "load"' if early else "%load_ext nbtune"
    write(folder / name, f"{load}\nimport math, time", SWEEP.format(**values), *more)
    opened = Notebook(page, server, name)
    opened.run(0)
    if early:
        page.wait_for_function("globalThis.__nbtunePlotlyPromise === null", timeout=60_000)
    opened.start(1)
    return opened


def points_above(page: Page, number: int, timeout: float = 120) -> int:
    """Wait until the curves have more points; return how many."""
    page.wait_for_function(f"({POINTS}) > {number}", timeout=timeout * 1000)
    return int(page.evaluate(POINTS))


def stop_one(rows: Locator) -> str | None:
    """Stop the newest running trial; return its number. Another one is stopped if it ends before the click arrives."""
    while True:
        running = rows.filter(has_text="running").last
        number = running.get_attribute("data-trial")
        try:
            running.get_by_role("button", name=re.compile("Stop")).click(timeout=2_000)
        except PlaywrightTimeoutError:
            continue
        return number


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def test_a_sweep_from_the_first_curve_to_the_static_picture(lab: Server, page: Page, folder: Path) -> None:
    done = folder / "story done"
    story = notebook(lab, page, folder, "story.ipynb", until(done), "list(demo.selected.index)", early=True)
    head, rows = page.locator(".nbt-header"), page.locator(".nbt-trials tbody tr[data-trial]")
    expect(head).to_contain_text("demo")

    # Curves grow, and clicks arrive, while another cell keeps the kernel busy.
    busy = story.start(2).locator(".jp-InputPrompt")
    points_above(page, points_above(page, 0) + 5)
    tab(page, "Trials")
    number = stop_one(rows)
    expect(page.locator(f'.nbt-trials tr[data-trial="{number}"]')).to_contain_text("stopped by you", timeout=20_000)
    expect(busy).to_have_text("[*]:")

    # A value of a parameter is text.
    expect(page.locator(".nbt-trials")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator(".nbt img").count() == 0

    # Sorting, filtering, a trial's detail.
    expect(rows).to_have_count(4, timeout=60_000)
    page.get_by_role("button", name=re.compile("^lr")).click()
    values = [float(text) for text in rows.locator("td:nth-child(6)").all_inner_texts()]
    assert values == sorted(values)
    assert len(set(values)) == 4
    field = page.get_by_role("searchbox")
    field.fill("trial = 2")
    expect(rows).to_have_count(1)
    rows.locator("button.nbt-open").click()
    expect(page.locator(".nbt-trials section")).to_contain_text("'lr':")
    expect(page.locator(".nbt-trials section")).to_contain_text("epoch 0", timeout=20_000)
    page.get_by_role("button", name="Close").click()
    rows.locator("td").nth(1).click()
    field.fill("")
    tab(page, "Curves")
    expect(page.locator(".nbt-curves-legend")).to_contain_text("selected")

    # The experiment is stopped, which the cluster confirms while the cell still runs.
    stop_all(head)
    expect(head).to_contain_text("■ stopped", timeout=20_000)
    expect(busy).to_have_text("[*]:")
    done.touch()
    story.idle()
    assert "[2]" in story.run(3).locator(".jp-OutputArea-output").inner_text()

    # Brushing selects too: here by its fields.
    tab(page, "Parallel")
    expect(page.locator(".nbt-parallel .parcoords")).to_have_count(1, timeout=30_000)
    bounds = page.locator(".nbt-parallel input")
    bounds.nth(0).fill("1e-9")
    bounds.nth(1).fill("1")
    bounds.nth(1).press("Enter")
    expect(page.locator(".nbt-parallel")).to_contain_text("selected")
    selected = json.loads(story.run(3).locator(".jp-OutputArea-output").inner_text())
    assert len(selected) >= 2

    # The page is loaded anew: the dashboard comes back, and hides the picture.
    expect(page.locator(STILL)).to_be_hidden()
    story.save()
    story.open()
    expect(page.locator(".nbt-header")).to_contain_text("■ stopped")
    tab(page, "Curves")
    points_above(page, 5)
    expect(page.locator(STILL)).to_be_hidden()

    # Without the kernel there is the picture, and nothing that complains.
    lab.end_kernels()
    story.open()
    expect(page.locator(STILL)).to_be_visible()
    expect(page.get_by_text("model not found")).to_be_hidden()
    saved = (folder / "story.ipynb").read_text()
    assert len(saved) < 64_000
    assert str(folder / "results") not in saved.replace(f"--storage {folder / 'results'}", "")


def test_a_dead_kernel_is_reported_and_the_views_stay(lab: Server, page: Page, folder: Path) -> None:
    story = notebook(lab, page, folder, "dies.ipynb", "import os\nos.getpid()")
    points_above(page, 3)
    pid = int(story.run(2).locator(".jp-OutputArea-output").inner_text())
    os.kill(pid, signal.SIGKILL)
    banner = page.locator(".nbt-header").get_by_role("alert")
    expect(banner).to_contain_text(re.compile("kernel"), timeout=30_000)
    expect(banner).to_contain_text("%tune resume")
    assert page.evaluate(POINTS) > 3


def test_a_sweep_is_controlled_by_its_buttons(lab: Server, page: Page, folder: Path) -> None:
    setup = "%load_ext nbtune\nimport time\nfrom nbtune import get_checkpoint, report"
    asked = "steered.wait(60)\nsorted(steered.df.status), 0.02 in steered.df.lr.values, set(steered.df.iterations)"
    write(folder / "steer.ipynb", setup, STEERED.format(storage=folder / "results"), asked)
    story = Notebook(page, lab, "steer.ipynb")
    story.run(0)
    story.start(1)
    head, table = page.locator(".nbt-header"), page.locator(".nbt-trials")
    tab(page, "Trials")
    running = table.locator("tbody tr[data-trial]").filter(has_text="running").first
    expect(head).to_contain_text("best accuracy")  # until then there is no checkpoint to pause with
    number = running.get_attribute("data-trial")
    line = table.locator(f'tr[data-trial="{number}"]')
    line.get_by_role("button", name="Pause").click()
    expect(line).to_contain_text("‖paused")
    expect(head).to_contain_text("1 paused")
    line.get_by_role("button", name="Resume").click()
    expect(line).to_contain_text("●running")

    page.get_by_role("button", name="Add a point").click()
    form = page.get_by_role("form", name="A point to try next")
    form.get_by_label("lr").fill("0.02")
    form.get_by_label("lr").press("Enter")
    expect(form).to_contain_text("it is tried next")
    expect(head).to_contain_text("of 3")
    head.get_by_role("button", name="Steer").click()
    head.get_by_role("textbox", name="more samples").fill("1")
    head.get_by_role("textbox", name="more samples").press("Enter")
    expect(head).to_contain_text("of 4")

    stop_all(head)
    expect(head).to_contain_text("■ stopped")
    head.get_by_role("button", name="Resume", exact=True).click()
    expect(head).to_contain_text("● running")
    expect(head).to_contain_text("✓ finished", timeout=60_000)
    expect(head).to_contain_text("4 of 4")
    expect(head.get_by_role("button", name="Resume", exact=True)).to_be_hidden()
    outcome = story.run(2).locator(".jp-OutputArea-output").inner_text()
    assert outcome.strip() == "(['finished', 'finished', 'finished', 'finished'], True, {60})"


def test_two_views_of_one_experiment_and_one_of_a_stored_one(lab: Server, page: Page, folder: Path) -> None:
    story = notebook(
        lab,
        page,
        folder,
        "views.ipynb",
        "demo.wait()\ndemo.dashboard",
        "import nbtune\nagain = nbtune.load(demo.path)\nagain.dashboard",
        samples=3,
        epochs=6,
        pause=0.1,
    )
    story.run(2)
    story.run(3)
    expect(page.locator(".nbt-header")).to_have_count(3)
    for number in (1, 2, 3):
        cell = story.cell(number)
        expect(cell.locator(".nbt-header")).to_contain_text("✓ finished")
        cell.get_by_role("tab", name="Trials").click()
        expect(cell.locator(".nbt-trials tbody tr[data-trial]")).to_have_count(3)
    story.cell(1).locator(".nbt-trials tbody tr[data-trial] td").nth(1).click()
    expect(story.cell(2).locator(".nbt-trials")).to_contain_text("1 selected")
    expect(story.cell(3).locator(".nbt-trials")).not_to_contain_text("selected")


GATED = """%%tune kept --metric accuracy --mode max --samples 2 --seed 1 --storage {storage}
lr: uniform(0, 1)

import os
report(accuracy=lr)
while not os.path.exists({go!r}):
    time.sleep(0.05)
report(accuracy=lr)"""


def titles(file: Path) -> list[str]:
    """Return the titles of the static pictures in a saved notebook."""
    outputs = [output for cell in nbformat.read(file, as_version=4).cells for output in cell.get("outputs", [])]
    svgs = [output.data["image/svg+xml"] for output in outputs if "image/svg+xml" in output.get("data", {})]
    return [re.search("<title>kept: (.*)</title>", svg)[1] for svg in svgs]  # type: ignore[index]


def test_the_last_state_lands_in_the_file(lab: Server, page: Page, folder: Path) -> None:
    go, more, file = folder / "kept go", folder / "kept more", folder / "kept.ipynb"
    write(
        file,
        "%load_ext nbtune\nimport time",
        GATED.format(storage=folder / "results", go=str(go)),
        "kept.extend(1)\nkept.wait(60).path",
        f"{until(more)}\nkept.extend(1)\nkept.wait(60);",
        "%tune attach {path}",
    )
    story = Notebook(page, lab, "kept.ipynb")
    story.run(0)
    story.start(1)
    head = page.locator(".nbt-header")
    expect(head).to_contain_text("2 running")
    story.save()
    assert [title.partition(",")[0] for title in titles(file)] == [titles(file)[0].partition(",")[0]]
    assert titles(file)[0] in {"pending, 0 of 2 trials", "running, 0 of 2 trials"}

    # The page is loaded anew in mid-sweep.
    story.open()
    expect(head).to_contain_text("2 running")
    go.touch()
    expect(head).to_contain_text("✓ finished")
    expect(page.locator(".jp-mod-dirty")).not_to_have_count(0)
    story.save()
    assert titles(file) == ["finished, 2 of 2 trials"]

    # It is resumed in another cell, while a second tab looks on.
    tab = page.context.new_page()
    Notebook(tab, lab, "kept.ipynb")
    expect(tab.locator(".nbt-header")).to_contain_text("2 of 2")
    page.bring_to_front()
    path = story.run(2).locator(".jp-OutputArea-output").last.inner_text().strip("'")
    expect(head).to_contain_text("3 of 3")
    expect(tab.locator(".nbt-header")).to_contain_text("3 of 3")
    story.save()
    assert titles(file) == ["finished, 3 of 3 trials"]
    assert tab.locator(".jp-mod-dirty").count() == 0, "JupyterLab would ask which of the two versions to keep"
    tab.close()

    # It goes on while no page is open; the file is refreshed when it is opened again.
    story.start(3)
    story.save()
    page.goto("about:blank")
    more.touch()
    for _ in range(600):
        if lab.kernels()[0]["execution_state"] == "idle":
            break
        page.wait_for_timeout(100)
    assert titles(file) == ["finished, 3 of 3 trials"], "no page is open"
    story.open()
    expect(head).to_contain_text("4 of 4")
    expect(page.locator(".jp-mod-dirty")).not_to_have_count(0)
    story.save()
    assert titles(file) == ["finished, 4 of 4 trials"]

    # The kernel is new, and another cell attaches: both pictures are of the same experiment.
    story.restart_kernel()
    story.run(0)
    story.replace(4, f"%tune attach {path}\nkept.extend(1)\nkept.wait(60);")
    story.run(4)
    expect(story.cell(4).locator(".nbt-header")).to_contain_text("5 of 5")
    story.save()
    assert titles(file) == ["finished, 5 of 5 trials"] * 2


def test_notebook_7_shows_the_dashboard(lab: Server, page: Page, folder: Path) -> None:
    with Server(folder, folder / "settings7", app="notebook") as server:
        notebook(server, page, folder, "seven.ipynb", samples=2, epochs=5, pause=0.1)
        expect(page.locator(".nbt-header")).to_contain_text("✓ finished", timeout=90_000)
        points_above(page, 5)
        expect(page.locator(STILL)).to_be_hidden()
        tab(page, "Trials")
        expect(page.locator(".nbt-trials tbody tr[data-trial]")).to_have_count(2)
