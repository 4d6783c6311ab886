"""The workers of a distributed trial in its detail, in a browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser
Preview = Callable[..., Page]
HOSTILE = '<img src="nowhere" onerror="window.hacked = 1">'


def opened(page: Page, trial: int = 0) -> Locator:
    """Open a trial's detail."""
    page.locator(f"#trials tr[data-trial='{trial}']").dblclick()
    detail = page.locator("#trials section.nbt-detail")
    expect(detail).to_contain_text("Configuration")
    return detail


def workers(detail: Locator) -> Locator:
    return detail.get_by_role("table", name="Workers").locator("tbody tr")


def log(detail: Locator) -> Locator:
    return detail.locator("pre").last


def asked(page: Page) -> list[int | None]:
    """Return the ranks whose logs were asked for."""
    found: list[int | None] = page.evaluate(
        "preview.kernel.received.filter(one => one.message.type === 'detail').map(one => one.message.rank)"
    )
    return found


def test_a_straggler_is_marked(preview: Preview) -> None:
    detail = opened(preview("workers", height=1500))
    expect(workers(detail)).to_have_count(4)
    expect(detail.get_by_role("heading", name="workers")).to_have_text("4 workers; straggler: rank 2")
    expect(detail.get_by_role("table", name="Workers").get_by_role("columnheader")).to_have_text(
        ["rank", "node", "GPU", "iteration", "seconds", "waited (s)", "CPU (s)", "accuracy"]
    )
    said = [(line.locator("th").inner_text(), "straggler" in line.inner_text()) for line in workers(detail).all()]
    assert said == [("0", False), ("1", False), ("2", True), ("3", False)]
    widths = workers(detail).locator("i b").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")
    assert max(widths) == widths[2] > 2 * max(widths[:2] + widths[3:]) > 0
    colours = (
        workers(detail).locator("i b").evaluate_all("bars => bars.map(bar => getComputedStyle(bar).backgroundColor)")
    )
    assert colours[0] == colours[1] == colours[3] != colours[2]


def test_the_log_of_one_worker_is_chosen_by_keyboard(preview: Preview) -> None:
    page = preview("workers", height=1500)
    detail = opened(page)
    expect(log(detail)).to_contain_text("--- rank 0 ---\nepoch 1 of worker 0")
    expect(log(detail)).to_contain_text("--- rank 3 ---")
    choice = detail.get_by_role("combobox", name="rank")
    assert choice.locator("option").all_inner_texts() == ["all", "0", "1", "2", "3"]
    detail.get_by_role("button", name="Make a cell").focus()
    page.keyboard.press("Tab")
    expect(choice).to_be_focused()
    page.keyboard.press("2")
    expect(log(detail)).to_contain_text("epoch 40 of worker 2")
    expect(log(detail)).not_to_contain_text("worker 1")
    assert asked(page) == [None, 2]
    # What was asked for before, and by another view, is not this log.
    page.evaluate(
        "preview.widgets.trials.model.receive({type: 'detail', trial: 0, rank: null, log: 'stale', config: 'drawn',"
        " workers: preview.kernel.scenario.workers && {ranks: [0, 1, 2, 3], metric: null, rows: []}})"
    )
    expect(detail).to_contain_text("drawn")
    assert "epoch 40 of worker 2" in log(detail).inner_text()
    opened(page, 1)
    expect(choice).to_have_value("")
    expect(log(detail)).to_contain_text("--- rank 0 ---")


def test_64_workers_scroll_below_their_header(preview: Preview) -> None:
    page = preview("workers", height=1500)
    page.evaluate("preview.kernel.scenario.workers = 64")
    detail = opened(page)
    expect(workers(detail)).to_have_count(64)
    box = detail.get_by_role("region", name="workers")
    box.focus()
    page.keyboard.press("End")
    expect(workers(detail).last).to_be_in_viewport()
    page.wait_for_function("box => box.scrollTop > 0", arg=box.element_handle())
    place = "one => one.getBoundingClientRect().top"
    head = box.get_by_role("columnheader").first
    assert abs(head.evaluate(place) - box.evaluate(place)) < 3
    assert box.evaluate("one => one.getBoundingClientRect().height") <= 200


def test_workers_are_updated_while_the_trial_runs(preview: Preview) -> None:
    page = preview("workers", height=1500, live="half")
    # The test itself goes on: on a slow machine a trial that runs by itself ends too soon.
    page.evaluate("preview.kernel.advance(3), preview.kernel.sendUpdates()")
    detail = opened(page, page.evaluate("preview.kernel.trials.findIndex(trial => trial.status === 'running')"))
    expect(workers(detail)).to_have_count(4)
    cell = workers(detail).first.locator("td").nth(2)
    before = cell.inner_text()
    assert int(before) > 0
    page.evaluate("preview.kernel.advance(1), preview.kernel.sendUpdates()")
    expect(cell).not_to_have_text(before)
    assert int(cell.inner_text()) > int(before)


def test_names_of_nodes_and_metrics_are_never_markup(preview: Preview) -> None:
    page = preview("workers", height=1500)
    detail = opened(page)
    expect(workers(detail)).to_have_count(4)  # the answer to the opening, which would replace the following
    page.evaluate(
        "text => preview.widgets.trials.model.receive({type: 'detail', trial: 0, rank: null, log: text, config: text,"
        " workers: {ranks: [0], metric: text, rows: [[0, text, text, 1, 1, null, 1, text, false]]}})",
        HOSTILE,
    )
    expect(workers(detail)).to_have_count(1)
    assert workers(detail).first.locator("td").all_inner_texts() == [HOSTILE, HOSTILE, "1", "1", "–", "1", HOSTILE]
    expect(detail.get_by_role("table", name="Workers").get_by_role("columnheader").last).to_have_text(HOSTILE)
    assert page.evaluate("window.hacked") is None


def test_a_trial_that_is_not_distributed_has_no_workers(preview: Preview) -> None:
    detail = opened(preview(20, height=1500))
    expect(log(detail)).to_contain_text("epoch 1")
    expect(detail.get_by_role("table", name="Workers")).to_have_count(0)
    expect(detail.get_by_role("combobox")).to_have_count(0)
