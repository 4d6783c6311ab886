"""The cluster panel and the scaling form in a browser, without Jupyter and Ray; Python itself reads the form's fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_preview import CONTRAST

pytestmark = pytest.mark.browser
WIDGETS = ("cluster", "scaling")
Show = Callable[..., Page]


@pytest.fixture
def show(page: Page, address: str) -> Show:
    """Open the page; its choices are named as in its URL."""

    def open_page(scenario: str = "three", *, height: int = 1400, **choice: str) -> Page:
        page.set_viewport_size({"width": 1100, "height": height})
        page.goto(f"{address}/preview-cluster.html?{urlencode({'scenario': scenario, **choice})}")
        page.wait_for_selector("body[data-ready]")
        return page

    return open_page


def received(page: Page, widget: str, kind: str) -> list[dict[str, Any]]:
    """Return what a widget has sent to Python, but for the ids of its questions."""
    messages: list[dict[str, Any]] = page.evaluate(
        "([widget, type]) => preview.kernel.received.filter(one => one.widget === widget && one.message.type === type)"
        ".map(({message: {id, ...rest}}) => rest)",
        [widget, kind],
    )
    return messages


def panel(page: Page) -> Locator:
    return page.locator("#cluster .nbt-cluster")


def form(page: Page) -> Locator:
    return page.locator("#scaling .nbt-scaling")


def field_of(page: Page, label: str) -> Locator:
    """Return the field of this name in the mode that is shown."""
    return form(page).last.get_by_label(label, exact=True).locator("visible=true")


@pytest.mark.parametrize("scenario", ["none", "one", "three", "200", "gone", "hostile"])
def test_every_cluster_is_shown_in_both_themes(show: Show, scenario: str) -> None:
    page = show(scenario, form="distributed")
    words = {"none": "no cluster", "one": "embedded Ray", "gone": "cluster lost"}.get(scenario, "attached cluster")
    expect(panel(page).locator("strong")).to_have_text(words)
    for theme in ("light", "dark"):
        page.get_by_label("theme").select_option(theme)
        for name in WIDGETS:
            assert page.evaluate(CONTRAST, name) > 4.5
    for name in WIDGETS:
        assert received(page, name, "error") == []


def test_nodes_users_and_dead_nodes(show: Show) -> None:
    page = show("three")
    rows = panel(page).get_by_role("table", name="Nodes").locator("tbody tr")
    expect(rows).to_have_count(4)
    expect(panel(page).locator(".nbt-cluster-all")).to_contain_text("50 of 68")
    expect(rows.nth(1)).to_contain_text("2.5 of 4")
    expect(rows.nth(1)).to_contain_text("96 of 256 GB")
    expect(rows.nth(1)).to_contain_text("safe_node 0.5 of 1")
    expect(rows.nth(3)).to_contain_text("dead")
    expect(rows.nth(3)).to_contain_text("missing too many heartbeats")
    expect(panel(page)).to_contain_text("✗ 1 dead node")
    users = panel(page).get_by_role("table", name="Users").locator("tbody tr")
    expect(users).to_have_count(3)
    expect(users.nth(0)).to_contain_text("digits")
    expect(users.nth(1)).to_contain_text("another kernel")
    expect(users.nth(2)).to_contain_text("others")


def test_two_hundred_nodes_scroll_below_their_total(show: Show) -> None:
    page = show("200")
    region = panel(page).get_by_role("region", name="nodes")
    expect(region.locator("tbody tr")).to_have_count(200)
    box = region.bounding_box()
    assert box
    assert box["height"] < 300
    region.focus()
    page.keyboard.press("End")
    page.wait_for_function("document.querySelector('.nbt-cluster-scroll').scrollTop > 1000")
    at = panel(page).locator(".nbt-cluster-all").bounding_box()
    assert at
    assert box["y"] <= at["y"] < box["y"] + 60
    expect(region.locator("tbody tr").last).to_be_in_viewport()


def test_names_are_never_markup(show: Show) -> None:
    page = show("hostile")
    expect(panel(page)).to_contain_text('<img src="nowhere" onerror="window.hacked = 1">')
    assert page.locator("main").locator("img, script").count() == 0
    assert page.evaluate("window.hacked") is None


def test_the_kernel_is_polled_only_while_the_panel_is_visible(show: Show) -> None:
    page = show("three", height=500)
    page.evaluate("document.querySelector('#cluster').style.marginTop = '3000px'")
    page.wait_for_timeout(300)
    before = len(received(page, "cluster", "visible"))
    page.wait_for_timeout(2500)
    assert len(received(page, "cluster", "visible")) == before
    page.evaluate("document.querySelector('#cluster').style.marginTop = ''")
    page.wait_for_function(
        "n => preview.kernel.received.filter(one => one.widget === 'cluster' && one.message.type === 'visible').length > n + 1",
        arg=before,
    )


def test_a_silent_kernel_is_reported(show: Show) -> None:
    page = show("three")
    page.check("#silent")
    expect(panel(page).get_by_role("alert").first).to_contain_text("No message from the kernel", timeout=15_000)
    page.uncheck("#silent")
    expect(panel(page).get_by_text("No message from the kernel")).to_be_hidden()
    page.evaluate("preview.widgets.cluster.model.emit('comm_live_update')")
    expect(panel(page).get_by_role("alert").first).to_contain_text("No connection to the kernel")


def test_without_a_cluster_a_button_connects(show: Show) -> None:
    page = show("none")
    expect(panel(page)).to_contain_text("No cluster is connected.")
    expect(form(page)).to_contain_text("No cluster is connected, so there is no plan")
    page.check("#refuses")
    form(page).get_by_role("button", name="Connect").click()
    expect(form(page).get_by_text("cannot be reached")).to_be_visible()
    page.uncheck("#refuses")
    panel(page).get_by_role("button", name="Connect").click()
    expect(panel(page).get_by_role("button", name="connecting…")).to_be_visible()
    expect(panel(page).locator("strong")).to_have_text("embedded Ray")
    expect(panel(page).get_by_role("button", name="Attach to another")).to_be_visible()
    expect(panel(page).get_by_label("address")).to_be_hidden()
    assert received(page, "cluster", "connect") == [{"type": "connect", "address": ""}]
    expect(form(page)).to_contain_text("4 at once")


def test_another_cluster_is_attached_by_keyboard(show: Show) -> None:
    page = show("three")
    button = panel(page).get_by_role("button", name="Attach to another")
    button.focus()
    page.keyboard.press("Enter")
    field = panel(page).get_by_label("address")
    expect(field).to_be_focused()
    page.keyboard.press("Enter")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(panel(page)).to_contain_text("expected an address")
    page.check("#refuses")
    field.press_sequentially("10.0.0.9:6379")
    expect(field).to_have_attribute("aria-invalid", "false")
    page.keyboard.press("Enter")
    expect(panel(page)).to_contain_text("10.0.0.9:6379 cannot be reached")
    assert field.input_value() == "10.0.0.9:6379"
    page.uncheck("#refuses")
    field.focus()
    page.keyboard.press("Enter")
    expect(field).to_be_hidden()
    expect(button).to_be_focused()
    button.click()
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    expect(button).to_be_focused()


def test_the_form_is_filled_by_keyboard(show: Show) -> None:
    page = show("three", form="one")
    cpus = field_of(page, "CPUs")
    cpus.focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("4")
    page.keyboard.press("Tab")
    expect(field_of(page, "GPUs")).to_be_focused()
    written = form(page).get_by_role("region", name="text of the cell")
    expect(written).to_contain_text("%%tune --metric loss --mode min --cpus 4 --gpus 0.5 --memory 2GiB --samples 10")
    form(page).get_by_role("radio", name="one process").focus()
    page.keyboard.press("ArrowDown")
    expect(form(page).get_by_role("radio", name="distributed")).to_be_checked()
    expect(written).to_contain_text("scaling = ScalingConfig(num_workers=2)")
    expect(form(page).get_by_label("workers", exact=True)).to_be_visible()
    expect(form(page).get_by_label("resize every")).to_be_hidden()
    form(page).get_by_label("up to").fill("8")
    expect(form(page).get_by_label("resize every")).to_be_visible()
    expect(written).to_contain_text("num_workers=(2, 8)")


@pytest.mark.parametrize(
    ("mode", "label", "text", "error"),
    [
        ("one", "CPUs", "two", "expected a number >= 0, got 'two'"),
        ("one", "CPUs", "-1", "expected a number >= 0, got '-1'"),
        ("one", "GPUs", "1.5", "a part of one GPU, or whole ones"),
        ("one", "memory", "2 apples", "expected a size > 0"),
        ("one", "custom", "<b>=x", "expected NAME=NUMBER,…, got '<b>=x'"),
        ("one", "samples", "", "give the number of trials"),
        ("distributed", "workers", "", "give the number of workers"),
        ("distributed", "workers", "-3", "expected an integer >= 0"),
        ("distributed", "up to", "1", "1 is less than 4"),
        ("distributed", "labels", "zone", "KEY=VALUE"),
    ],
)
def test_errors_are_shown_at_their_fields(show: Show, mode: str, label: str, text: str, error: str) -> None:
    page = show("three", form=mode)
    field = field_of(page, label)
    before = field.input_value()
    field.fill(text)
    expect(field).to_have_attribute("aria-invalid", "true")
    message = page.locator(f"[id='{field.get_attribute('aria-describedby')}']")
    expect(message).to_contain_text(error)
    write = form(page).get_by_role("button", name="Write cell")
    expect(write).to_have_attribute("aria-disabled", "true")
    write.click(force=True)
    expect(form(page).locator(".nbt-cell-preview [role=status]")).to_contain_text("Correct the marked fields")
    assert form(page).locator("b").count() == 0
    field.fill(before)
    expect(field).to_have_attribute("aria-invalid", "false")
    expect(message).to_be_hidden()
    expect(write).to_have_attribute("aria-disabled", "false")


def test_ray_train_v1_has_other_fields(show: Show) -> None:
    page = show("three", form="v1")
    expect(form(page).get_by_label("trainer")).to_be_visible()
    for label in ("labels", "up to", "use TPUs"):
        expect(form(page).get_by_label(label)).to_be_hidden()
    form(page).get_by_label("trainer").fill("CPU=0.5")
    expect(form(page).locator("pre")).to_contain_text('trainer_resources={"CPU": 0.5}')
    page = show("three", form="distributed")
    expect(form(page).get_by_label("trainer")).to_be_hidden()
    expect(form(page)).to_contain_text("RAY_TRAIN_V2_ENABLED=0")


def test_outside_of_a_notebook_the_cell_is_copied(show: Show) -> None:
    page = show("three")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    form(page).get_by_role("button", name="Write cell").click()
    expect(form(page).locator(".nbt-cell-preview [role=status]")).to_contain_text("copied")
    assert page.evaluate("navigator.clipboard.readText()").startswith("%%tune --metric loss")


def test_two_views_are_equal_and_leave_nothing_behind(show: Show) -> None:
    page = show("three", form="distributed")
    left = []
    for _ in range(3):
        page.click("#more")
        expect(page.locator("main .nbt")).to_have_count(4)
        form(page).first.get_by_label("workers", exact=True).fill("6")
        expect(form(page).last.get_by_label("workers", exact=True)).to_have_value("6")
        expect(panel(page).last.locator("tbody tr").first).to_be_visible()
        listening = page.evaluate(
            "Promise.all(Object.values(preview.widgets).map(widget => widget.views.at(-1).remove()))"
        )
        assert listening == [0, 0]
        left.append(page.evaluate("preview.leaks()"))
    assert left[1] == left[2]
    listening = page.evaluate("Promise.all(Object.values(preview.widgets).map(widget => widget.destroy()))")
    assert listening == [0, 0]
    assert page.locator("main .nbt").count() == 0
    assert "interval" not in page.evaluate("preview.leaks()")


@pytest.mark.parametrize("scenario", ["three", "hostile", "none"])
@pytest.mark.parametrize("mode", ["one", "distributed"])
def test_nothing_is_cut_off_at_600_px(show: Show, scenario: str, mode: str) -> None:
    page = show(scenario, form=mode, width="600")
    expect(panel(page)).to_be_visible()
    for name in WIDGETS:
        wide = page.locator(f"#{name} > div").evaluate(
            "place => [place, ...place.querySelectorAll('.nbt, .nbt-cluster-scroll')].map(one => [one.scrollWidth, one.clientWidth])"
        )
        assert all(content <= box for content, box in wide), f"{name}: {wide}"


def test_every_control_has_a_name_and_is_reached_by_keyboard(show: Show) -> None:
    page = show("three", form="distributed")
    panel(page).get_by_role("button", name="Attach to another").click()
    page.locator("#fewer").focus()
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('section[id]')?.id ?? ''"))
        name = page.evaluate(
            "(e => e.ariaLabel || e.labels?.[0]?.textContent || e.textContent || e.title)(document.activeElement)"
        )
        assert name.strip(), page.evaluate("document.activeElement.outerHTML")
    assert reached >= set(WIDGETS)
    unnamed = page.locator("main :is(input, select, button)").evaluate_all(
        "found => found.filter(e => !(e.labels?.[0]?.textContent || e.ariaLabel || e.textContent).trim()).length"
    )
    assert unnamed == 0


def test_errors_are_shown_and_reported(show: Show) -> None:
    page = show("three")
    page.evaluate(
        "preview.widgets.cluster.model.receive({type: 'cluster', reset: true, cluster: {kind: 'attached', amounts: 7}, nodes: [], removed: []})"
    )
    expect(panel(page).locator(".nbt-error")).to_have_text(re.compile("Error in this view"))
    assert received(page, "cluster", "error")
    page.evaluate("preview.kernel.sendCluster(true)")
    expect(panel(page).locator("tbody tr").first).to_be_visible()
    page.evaluate("preview.widgets.scaling.model.update({planned: {state: 'planned', lines: 7, revision: 1}})")
    page.evaluate("preview.widgets.scaling.model.update({checked: {problems: {}, cell: 7, revision: 1}})")
    assert page.locator("#scaling .nbt-scaling").is_visible()
