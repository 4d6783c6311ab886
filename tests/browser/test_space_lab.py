"""The form on a space as a user meets it: in JupyterLab and Notebook 7, from an empty form to the next sweep."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import Notebook, Server, until, write
from tests.browser.test_lab import page  # noqa: F401 - a fixture

pytestmark = [pytest.mark.browser, pytest.mark.ray, pytest.mark.notebooks]

FIRST = """%%tune sweep --metric score --mode max --samples 12 --seed 1 --storage {storage}
layers: randint(1, 4)  # kept

report(score=layers)"""


def sources(page: Page) -> list[str]:  # noqa: F811
    """Return the text of each cell, as the notebook's model has it."""
    found: list[str] = page.locator(".jp-Notebook .jp-Cell .cm-content").evaluate_all(
        "all => all.map(one => [...one.querySelectorAll('.cm-line')].map(line => line.textContent).join('\\n'))"
    )
    return found


def form(page: Page, number: int) -> Locator:  # noqa: F811
    return page.locator(".nbt-space").nth(number)


def press_write(shown: Locator) -> None:
    shown.get_by_role("button", name="Write cell").press("Enter")
    expect(shown.locator(".nbt-cell-preview")).to_contain_text("written to the next cell")


@pytest.mark.timeout(300)
def test_from_a_form_to_a_sweep_and_from_its_trials_to_the_next(lab: Server, page: Page, folder: Path) -> None:  # noqa: F811
    cell, done = FIRST.format(storage=folder / "results"), folder / "space done"
    write(
        folder / "space.ipynb",
        "%load_ext nbtune\nimport nbtune, time",
        f"form = nbtune.SpaceForm('''{cell}''')\nform",
        until(done),
        "again = nbtune.SpaceForm(sweep)\nagain",
        "again.write()\nagain.space",
    )
    story = Notebook(page, lab, "space.ipynb")
    story.run(0)
    story.run(1)
    shown, before = form(page, 0), sources(page)

    # A parameter by keyboard, while another cell keeps the kernel busy; a mistake on the way.
    prompt = story.start(2).locator(".jp-InputPrompt")
    shown.get_by_role("button", name="Add a parameter").press("Enter")
    for text in ("lr", "", "abc", "1e-1"):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    expect(shown).to_contain_text("abc is neither a number nor the name of a variable or parameter")
    expect(shown.get_by_role("button", name="Write cell")).to_have_attribute("aria-disabled", "true")
    shown.get_by_label("lower of lr", exact=True).fill("1e-4")
    shown.get_by_role("group", name="lr").get_by_label("log").check()
    text = cell.replace("  # kept", "  # kept\nlr: loguniform(1e-4, 1e-1)")
    expect(shown.locator(".nbt-cell-preview pre")).to_have_text(text)
    expect(prompt).to_have_text("[*]:")
    expect(shown.locator(".nbt-picture svg.main-svg").first).to_be_visible()

    # It is written below the form, while no other cell changes, and runs as it is.
    press_write(shown)
    assert sources(page) == [*before[:2], text, *before[2:]]
    done.touch()
    story.idle()
    story.run(2)
    expect(page.locator(".nbt-header")).to_contain_text("✓ finished", timeout=90_000)

    # The next sweep starts from its trials; a cell whose input is folded has no toolbar of its own.
    story.run(4)
    second = form(page, 1)
    widen = second.get_by_role("button", name=re.compile("apply: widen layers up to 6"))
    expect(second).to_contain_text("best trials lie at the upper bound (4)")
    expect(second.locator(".nbt-plan")).to_contain_text("plan: 12 trials, ")
    widen.click()
    story.cell(4).locator(".jp-InputCollapser .jp-Collapser-child").evaluate("line => line.click()")
    expect(story.cell(4).locator(".jp-InputPlaceholder")).to_be_visible()
    before = sources(page)
    press_write(second)
    after = sources(page)
    assert after[: len(before) - 1] == before[:-1]
    assert after[-1] == before[-1]
    assert after[-2] == text.replace("randint(1, 4)", "randint(1, 6)")

    # The same from Python, and its value.
    story.run(6)
    expect(story.cell(6)).to_contain_text("randint(1, 6)")
    expect(story.cell(7).locator(".cm-content")).to_contain_text("layers: randint(1, 6)  # kept")


def test_notebook_7_accepts_the_cell(lab: Server, page: Page, folder: Path) -> None:  # noqa: F811
    with Server(folder, folder / "settings-space", app="notebook", dark=True) as server:
        write(folder / "seven-space.ipynb", "import nbtune\nnbtune.SpaceForm('a: uniform(0, 1)')", "x = 1")
        story = Notebook(page, server, "seven-space.ipynb")
        story.run(0)
        press_write(form(page, 0))
        assert sources(page)[1].startswith("%%tune sweep --metric score --mode max --samples 10\na: uniform(0, 1)\n")
        assert sources(page)[2] == "x = 1"
