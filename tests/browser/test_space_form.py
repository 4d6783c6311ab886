"""The form on a space in a browser, by keyboard and by mouse, with its real Python half behind the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser
Opened = Callable[..., Page]


@pytest.fixture
def opened(page: Page, address: str) -> Iterator[Opened]:
    """Open the form from a source; its choices are named as in the page's URL."""

    def show(scenario: str, **choice: str) -> Page:
        page.set_viewport_size({"width": 1100, "height": 1000})
        query = "&".join(f"{name}={value}" for name, value in {"scenario": scenario, **choice}.items())
        page.goto(f"{address}/preview-space.html?{query}")
        page.wait_for_selector("body[data-ready]", timeout=60_000)  # the first sample imports Ray
        return page

    yield show
    expect(page.locator("#space-form [role=alert]:visible")).to_have_count(0)


def field(page: Page, label: str) -> Locator:
    return page.get_by_label(label, exact=True)


def cell(page: Page) -> Locator:
    return page.get_by_role("region", name="text of the cell")


def error_of(page: Page, label: str) -> Locator:
    """Return the element with the error of a field."""
    return page.locator(f"[id='{field(page, label).get_attribute('aria-describedby')}']")


def names(page: Page) -> list[str]:
    found: list[str] = page.locator(".nbt-row").evaluate_all("rows => rows.map(row => row.ariaLabel)")
    return found


def test_a_space_is_built_by_keyboard_alone(opened: Opened) -> None:
    page = opened("empty")
    expect(page.locator("#space-form")).to_contain_text("No parameters yet. Add one")
    page.get_by_role("button", name="Add a parameter").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".nbt-row small:visible")).to_have_count(0)  # nobody has been there yet
    page.keyboard.type("lr")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("1e-4")
    page.keyboard.press("Tab")
    page.keyboard.type("1e-1")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.type("1e-2")
    expect(cell(page)).to_contain_text("lr: loguniform(1e-4, 1e-1) = 1e-2")
    expect(cell(page)).to_contain_text("%%tune sweep --metric score --mode max --samples 10")

    page.get_by_role("button", name="Add a parameter").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("hidden")
    page.keyboard.press("Tab")
    page.keyboard.type("choice")
    page.keyboard.press("Tab")
    page.keyboard.type("32, 64")
    expect(cell(page)).to_contain_text("hidden: choice([32, 64])")

    # Moved up, its field keeping the focus, and removed and brought back.
    page.keyboard.press("Alt+ArrowUp")
    assert names(page) == ["hidden", "lr"]
    expect(field(page, "values of hidden")).to_be_focused()
    page.get_by_role("button", name="move down hidden").press("Enter")
    assert names(page) == ["lr", "hidden"]
    page.get_by_role("button", name="remove lr").press("Enter")
    assert names(page) == ["hidden"]
    expect(page.get_by_role("button", name="remove hidden")).to_be_focused()
    page.get_by_role("button", name="Undo").press("Enter")
    assert names(page) == ["lr", "hidden"]
    expect(cell(page)).to_contain_text("lr: loguniform(1e-4, 1e-1) = 1e-2\nhidden: choice([32, 64])")


def test_errors_are_shown_at_their_fields_and_the_form_stays_usable(opened: Opened) -> None:
    page = opened("cell")
    expect(cell(page)).to_contain_text("lr: loguniform(1e-4, 1e-1) = 1e-2")
    for label, wrong, message, right in (
        ("lower of lr", "abc", "abc is neither a number nor", "1e-5"),
        ("lower of lr", "1", "must be less than upper (0.1), got 1", "1e-3"),
        ("lower of lr", "0", "must be > 0 in a log space", "1e-4"),
        ("values of hidden", "", "expected at least one value", "8, 16"),
        ("values of optimizer", "sgd", "text goes in quotes: 'sgd'", '"sgd"'),
        ("default of lr", "x", "no variable or parameter is named x", "1e-3"),
        ("only if of momentum", "optimzer == 1", "did you mean 'optimizer'?", 'optimizer == "sgd"'),
        ("require of constraint 9", "hidden >", "cannot be read", "hidden < 99"),
        ("samples", "many", "expected an integer >= 1, got 'many'", "5"),
    ):
        before = cell(page).inner_text()
        field(page, label).fill(wrong)
        field(page, label).blur()
        expect(error_of(page, label)).to_contain_text(message)
        expect(field(page, label)).to_have_attribute("aria-invalid", "true")
        expect(cell(page)).to_have_text(before)
        expect(page.get_by_role("button", name="Write cell")).to_have_attribute("aria-disabled", "true")
        field(page, label).fill(right)
        field(page, label).blur()
        expect(field(page, label)).to_have_attribute("aria-invalid", "false")
        expect(error_of(page, label)).to_be_hidden()
        expect(cell(page)).to_contain_text(right)
    for wrong, message in (
        ("hidden", "a parameter named hidden already exists"),
        ("2 fast", "got '2 fast'"),
        ("report", "report is a name that nbtune defines"),
        ("", "expected a name"),
    ):
        name = page.locator(".nbt-row [data-field=name]").nth(2)
        name.fill(wrong)
        name.blur()
        expect(page.locator(".nbt-row").nth(2).locator("small:visible").first).to_contain_text(message)
    page.locator(".nbt-row [data-field=name]").nth(2).fill("optimizer")
    expect(page.get_by_role("button", name="Write cell")).to_have_attribute("aria-disabled", "false")


def test_fields_change_with_the_kind(opened: Opened) -> None:
    page = opened("cell")
    expect(field(page, "below of epochs")).to_have_value("20")
    field(page, "step of epochs").fill("5")
    expect(field(page, "upper of epochs")).to_have_value("20")
    expect(cell(page)).to_contain_text("epochs: qrandint(5, 20, 5)")
    kind = field(page, "kind of epochs")
    kind.select_option("number")
    field(page, "step of epochs").fill("")
    page.locator(".nbt-row", has=kind).get_by_label("log").check()
    expect(cell(page)).to_contain_text("epochs: loguniform(5, 20)")
    kind.select_option("expression")
    field(page, "expression of epochs").fill("sample_from(lambda config: 7)")
    field(page, "expression of epochs").press("Enter")
    expect(cell(page)).to_contain_text("epochs: sample_from(lambda config: 7)")
    kind.select_option("number")
    expect(field(page, "lower of epochs")).to_have_value("5")
    page.get_by_role("button", name="condition of hidden").click()
    field(page, "only if of hidden").fill("epochs > 7")
    field(page, "else of hidden").fill("8")
    expect(cell(page)).to_contain_text("hidden: choice([32, 64, 128]) if epochs > 7 else 8 = 64")


def test_calls_are_checked_when_their_field_loses_the_focus(opened: Opened) -> None:
    page = opened("cell")
    before = page.evaluate("preview.received.length")
    field(page, "lower of epochs").fill("int('5'")
    page.wait_for_timeout(400)  # longer than what is typed is waited for
    assert page.evaluate("preview.received.length") == before
    field(page, "lower of epochs").press(")")
    field(page, "lower of epochs").press("Tab")
    expect(cell(page)).to_contain_text("epochs: randint(int('5'), 20)")


def test_rows_are_dragged_by_mouse(opened: Opened) -> None:
    page = opened("cell")
    rows = page.locator(".nbt-row")
    expect(rows).to_have_count(9)
    handle, last = (rows.nth(at).locator(".nbt-handle").bounding_box() for at in (0, 4))
    assert handle
    assert last
    page.mouse.move(handle["x"] + 5, handle["y"] + 8)
    page.mouse.down()
    page.mouse.move(last["x"] + 5, last["y"] + 22, steps=8)
    page.mouse.up()
    assert names(page)[:2] == ["hidden", "optimizer"]
    expect(cell(page)).to_contain_text(re.compile(r"epochs: .*\n# how fast it learns\nlr: "))


def test_each_parameter_has_a_histogram(opened: Opened) -> None:
    page = opened("cell")
    expect(page.locator(".nbt-picture svg.main-svg").first).to_be_visible()
    lr = page.get_by_role("img", name=re.compile("300 samples: from 0.0001.* to .*, log scale"))
    expect(lr.locator(".bars .point")).to_have_count(24)
    momentum = page.get_by_role("img", name=re.compile("no value in [45]. %"))
    expect(momentum.locator(".bars .point")).to_have_count(25)
    field(page, "values of hidden").fill("1, 2")
    expect(page.get_by_role("img", name=re.compile("^300 samples: 1 [45]. %, 2 [45]. %"))).to_be_visible()


def test_outside_a_notebook_the_cell_is_copied(opened: Opened) -> None:
    page = opened("cell")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    field(page, "lower of lr").fill("1e-5")
    page.get_by_role("button", name="Write cell").click()  # at once: what was typed last is in it
    expect(page.locator(".nbt-cell-preview")).to_contain_text("copied: paste it into a new cell")
    assert page.evaluate("navigator.clipboard.readText()") == cell(page).text_content()
    assert "loguniform(1e-5, 1e-1)" in str(page.evaluate("navigator.clipboard.readText()"))


def test_suggestions_are_applied_by_their_buttons(opened: Opened) -> None:
    page = opened("experiment")
    page.get_by_role("button", name=re.compile("apply: widen lr up to 1")).click()
    expect(cell(page)).to_contain_text("lr: loguniform(1e-4, 1) = 1e-2")
    expect(page.get_by_role("button", name=re.compile("apply: widen lr"))).to_have_text("✓ applied")
    page.get_by_role("button", name=re.compile("apply: use the values of the best trial")).press("Enter")
    expect(cell(page)).to_contain_text(
        'hidden: choice([32, 64, 128]) = 64\noptimizer: choice(["sgd", "adam"]) = "adam"'
    )


def test_values_are_never_markup(opened: Opened) -> None:
    page = opened("errors")
    expect(cell(page)).to_be_hidden()
    expect(page.locator(".nbt-row small:visible")).not_to_have_count(0)
    field(page, "name of text").fill("<i>")
    expect(page.locator("#space-form")).to_contain_text("got '<i>'")
    assert page.locator("#space-form :is(img, b, i)").count() == 0


def test_a_busy_and_a_lost_kernel(opened: Opened) -> None:
    page = opened("cell")
    page.locator("#busy").check()
    field(page, "lower of lr").fill("1e-6")
    page.get_by_role("button", name="Write cell").click()
    page.locator("#busy").uncheck()
    expect(page.locator(".nbt-cell-preview")).to_contain_text("copied")
    expect(cell(page)).to_contain_text("1e-6")
    page.locator("#lost").check()
    expect(page.locator("#space-form")).to_contain_text("No connection to the kernel")
    page.locator("#space-form .nbt-offline-note").evaluate("note => { note.hidden = true; }")


@pytest.mark.parametrize("width", ["600", "full"])
@pytest.mark.parametrize("scenario", ["empty", "cell", "experiment", "errors", "many"])
def test_nothing_is_cut_off(opened: Opened, scenario: str, width: str) -> None:
    page = opened(scenario, width=width)
    inside: list[Any] = page.locator("#space-form").evaluate(
        """form => {
          const box = form.getBoundingClientRect();
          return [...form.querySelectorAll("input, select, button, .nbt-picture, small")].filter((one) => {
            const { left, right, width } = one.getBoundingClientRect();
            return width && (left < box.left - 1 || right > box.right + 1);
          }).map((one) => one.outerHTML);
        }"""
    )
    assert inside == []
    unnamed = page.locator("#space-form :is(input, select, button):visible").evaluate_all(
        "all => all.filter(one => !one.ariaLabel && !one.textContent && !one.labels?.[0]?.textContent)"
        ".map(one => one.outerHTML)"
    )
    assert unnamed == []


def test_two_views_are_equal_and_leave_nothing_behind(opened: Opened) -> None:
    page = opened("cell")
    before = page.evaluate("preview.leaks()")
    page.get_by_role("button", name="add a view").click()
    views = page.locator(".nbt-space")
    expect(views).to_have_count(2)
    views.nth(0).get_by_label("lower of lr", exact=True).fill("1e-3")
    expect(views.nth(1).get_by_label("lower of lr", exact=True)).to_have_value("1e-3")
    page.get_by_role("button", name="remove a view").click()
    expect(views).to_have_count(1)
    assert page.evaluate("preview.leaks()") == before
